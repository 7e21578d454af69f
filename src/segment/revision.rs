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
    use std::{fs::File, sync::Arc};

    use arrow::{
        array::{ArrayRef, new_null_array},
        datatypes::{DataType, Field as Column, Schema},
    };
    use parquet::{
        arrow::ArrowWriter,
        file::{metadata::KeyValue, properties::WriterProperties},
    };

    use super::*;
    use crate::{
        flow::{Flow, FlowId, Timestamp},
        schema::{FlowBuilder, schema},
        segment::SegmentReader,
    };

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

    #[test]
    fn a_segment_with_a_column_of_a_later_version_is_refused_by_the_name_of_the_column() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("later.parquet");
        let flow = |second| Flow::starting(Timestamp::from_millis(1000 * i64::from(second)).unwrap());
        let mut flows = FlowBuilder::default();
        (0..3).for_each(|second| flows.push(&flow(second)).unwrap());
        let flows = flows.finish(FlowId::new(1)).unwrap();
        let later = Column::new("vlan", DataType::UInt16, true);
        let columns: Vec<Column> = schema().fields().iter().map(|column| column.as_ref().clone()).collect();
        let write = |columns: Vec<Column>, values: Vec<ArrayRef>| {
            let columns = Arc::new(Schema::new(columns));
            let properties = WriterProperties::builder().set_offset_index_disabled(false).build();
            let sink = File::create(&file).unwrap();
            let mut writer = ArrowWriter::try_new(sink, Arc::clone(&columns), Some(properties)).unwrap();
            writer.write(&RecordBatch::try_new(columns, values).unwrap()).unwrap();
            writer.append_key_value_metadata(KeyValue::new("flowseek.format".to_owned(), "1".to_owned()));
            writer.close().unwrap();
            SegmentReader::open(&file).unwrap_err()
        };
        let absent = new_null_array(&DataType::UInt16, 3);
        let (mut more, mut values) = (columns.clone(), flows.columns().to_vec());
        more.push(later.clone());
        values.push(Arc::clone(&absent));
        let error = write(more, values);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("columns that this version of flowseek does not know: vlan"), "{error}");
        // A column is only ever added at the end.
        let (mut other, mut values) = (columns, flows.columns().to_vec());
        other.insert(3, later);
        values.insert(3, absent);
        assert_eq!(write(other, values).kind(), ErrorKind::Damaged);
    }
}
