//! The names under which a field is known outside of a query: in answers and in the archive.

use crate::flow::Field;

/// The names of fields in answers and as columns.
pub(super) fn field_names() -> impl Iterator<Item = (&'static str, Field)> {
    let keys = Field::all().filter_map(|field| Some((field.key()?, field)));
    keys.chain(Field::all().map(|field| (field.name(), field)))
}
