//! The order that the arguments ask for.

use super::{
    field_name::field_names,
    operator::word,
    problem::Wrong,
    reader::Reader,
    view::{Profile, all_fields},
};
use crate::{
    flow::Field,
    order::{Direction, Order, SortKey},
};

const DIRECTIONS: [(&str, Direction); 2] = [("asc", Direction::Ascending), ("desc", Direction::Descending)];

/// Reads `sort` and `reverse`.
pub(super) fn read(reader: &mut Reader) -> Order {
    let keys = reader.list("sort", sort_key).unwrap_or_default();
    for (index, (name, key)) in keys.iter().enumerate() {
        let earlier = keys.iter().take(index).find(|(_, earlier)| earlier.field == key.field);
        if let Some((earlier, _)) = earlier {
            let what = format!("{name} sorts by the same field as {earlier} before it");
            reader.refuse("sort", &Wrong::because(what).allowed("each field once"));
            // The first is enough, and comes soon: there are few fields, however many keys.
            break;
        }
    }
    let newest_first = reader.one("reverse", switch).unwrap_or(false);
    let time = if newest_first { Direction::Descending } else { Direction::Ascending };
    Order::new(keys.into_iter().map(|(_, key)| key), time)
}

/// Reads `field`, `field:asc` or `field:desc`.
fn sort_key(item: &str) -> Result<(&'static str, SortKey), Wrong> {
    let (name, direction) = item.split_once(':').unwrap_or((item, "asc"));
    let (name, field) = field(name.trim())?;
    let direction = word(direction.trim(), "is not a direction", &DIRECTIONS)
        .map_err(|wrong| wrong.allowed(format!("{name}:asc, {name}:desc")))?;
    Ok((name, SortKey { field, direction }))
}

/// The names of the fields that flows can be sorted by: those of a response, those of parameters and what their analogy
/// makes, and then those of a response that is asked for them. An object has no order, and may be too long for a cursor.
pub(crate) fn sortable() -> impl Iterator<Item = (&'static str, Field)> {
    let usual = Profile::Seed.fields();
    let others = all_fields().iter().filter(|shown| !usual.contains(shown) && shown.1 != Field::Meta);
    let aliases = Field::all().flat_map(|field| field.column().aliases.iter().map(move |alias| (*alias, field)));
    usual.iter().copied().chain(aliases).chain(others.copied())
}

/// A field by the name of a response or of a parameter; and that name.
pub(super) fn field(name: &str) -> Result<(&'static str, Field), Wrong> {
    let known = sortable;
    known().find(|(known, _)| *known == name).ok_or_else(|| {
        let names: Vec<&str> = known().map(|(name, _)| name).collect();
        let here = |field| known().find(|(_, known)| *known == field).map(|(name, _)| name);
        let elsewhere = field_names().filter_map(|(name, field)| here(field).map(|here| (name, here)));
        let near = names.iter().map(|name| (*name, *name)).chain(elsewhere);
        Wrong::value(name, "is not a field").allowed(names.join(", ")).meant_among(name, near)
    })
}

/// Reads `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Wrong::value(text, "is neither true nor false")),
    }
}
