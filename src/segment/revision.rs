//! Which columns a segment has.
//!
//! Format 1 has revisions, each of which adds nullable columns behind those that there were. A segment has the columns of
//! one of them: it is written with those of the least revision that holds all its values. So a segment without values in
//! newer columns takes no bytes for them, and older programs read it; of one with such values they say that it has columns
//! which they do not know. What a segment has no column for is absent in all its flows.

use arrow::array::{Array as _, RecordBatch};

use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
};

/// The fields whose columns a revision of the format has.
fn fields_of(revision: u8) -> &'static [Field] {
    let end = Field::ALL.partition_point(|field| field.column().since <= revision);
    Field::ALL.get(..end).unwrap_or_default()
}

/// The fields of a segment with so many columns; `None` where no revision has so many.
pub(super) fn fields_with(columns: usize) -> Option<&'static [Field]> {
    let fields = Field::ALL.get(..columns)?;
    let revision = fields.last()?.column().since;
    (fields_of(revision).len() == columns).then_some(fields)
}

/// The fields whose columns a segment of these flows has. They are in the columns of an archive.
pub(super) fn fields_for(flows: &RecordBatch) -> &'static [Field] {
    let with_values = Field::all().zip(flows.columns()).filter(|(_, column)| column.null_count() < column.len());
    fields_of(with_values.map(|(field, _)| field.column().since).max().unwrap_or(0))
}

/// The first columns of flows, one for each of `fields`.
pub(super) fn projected(flows: &RecordBatch, fields: &[Field]) -> Result<RecordBatch> {
    let columns: Vec<usize> = (0..fields.len()).collect();
    flows.project(&columns).map_err(Error::with(ErrorKind::Internal, "flows lack a column"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_revision_adds_columns_behind_those_that_there_were() {
        let since: Vec<u8> = Field::all().map(|field| field.column().since).collect();
        assert!(since.is_sorted());
        assert!(Field::all().all(|field| field.column().since == 0 || !field.always_present()));
        for columns in 0..=Field::ALL.len() + 1 {
            let is_revision = since.get(columns) != since.get(columns.wrapping_sub(1)) && columns > 0;
            let fields = fields_with(columns);
            assert_eq!(fields.map(<[Field]>::len), (is_revision && columns <= since.len()).then_some(columns));
        }
        assert_eq!(fields_of(0).len(), 15, "the first revision is frozen");
    }
}
