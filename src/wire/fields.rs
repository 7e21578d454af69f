//! The fields of an answer that the arguments ask for.

use super::{field_name::field_names, problem::Wrong, reader::Reader, view::all_fields};
use crate::flow::Field;

/// A field under its name in an answer.
type Named = (&'static str, Field);

/// Reads `fields`; `None` where it is absent or wrong.
pub(super) fn read(reader: &mut Reader) -> Option<Vec<Named>> {
    let lists = reader.list("fields", fields)?;
    if lists.contains(&all_fields()) {
        return Some(all_fields().to_vec());
    }
    let fields = lists.concat();
    for (place, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(place).any(|(earlier, _)| earlier == name) {
            reader.refuse("fields", &Wrong::because(format!("{name} is given twice")).allowed("each field once"));
            return None;
        }
    }
    Some(fields)
}

/// A field by its name, or all of them.
fn fields(name: &str) -> Result<&'static [Named], Wrong> {
    let known = all_fields();
    if name == "*" {
        return Ok(known);
    }
    let place = known.iter().position(|(known, _)| *known == name);
    place.and_then(|place| known.get(place..=place)).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let here = |field| known.iter().find(|(_, known)| *known == field).map(|(name, _)| *name);
        let aliases = Field::all().flat_map(|field| field.column().aliases.iter().map(move |alias| (*alias, field)));
        let elsewhere = field_names().chain(aliases).filter_map(|(name, field)| Some((name, here(field)?)));
        let near = names.iter().map(|name| (*name, *name)).chain(elsewhere);
        Wrong::value(name, "is not a field of an answer")
            .allowed(format!("{}, *", names.join(", ")))
            .meant_among(name, near)
    })
}
