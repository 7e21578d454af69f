//! Which columns of a file are fields of a flow.

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{cells::Cells, form::Form};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Flow, columns::Key},
    import::{Draft, Remarks, Sink, Unit, key_names, meant},
    ingest::{ImportOptions, chunk::ChunkBuilder},
};

/// The columns of a file that are fields of a flow, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    known: Vec<Column>,
    unknown: Vec<Unknown>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    key: Key,
    form: Form,
    /// Its place in the file.
    place: usize,
}

/// A column that no flow has, and the one that is probably meant.
#[derive(Clone, Debug)]
struct Unknown {
    name: String,
    meant: Option<&'static str>,
}

/// How the columns of a file are named.
#[derive(Clone, Copy)]
enum Naming {
    /// As the keys of JSON.
    Keys,
    /// As the columns of an archive.
    Own,
}

impl Naming {
    /// That of a file: the keys of JSON if it has `startTime`, those of an archive if it has `start_time`.
    fn of(schema: &Schema) -> Result<Self> {
        let has = |name| schema.fields().iter().any(|field| field.name() == name);
        match (has("startTime"), has(Field::StartTime.name())) {
            (true, _) => Ok(Self::Keys),
            (false, true) => Ok(Self::Own),
            (false, false) => {
                let is_near = |name: &&String| meant(name, &["startTime"]).is_some();
                let near = schema.fields().iter().map(|field| field.name()).find(is_near);
                let near = near.map(|near| format!("; did you mean it by {near:?}?")).unwrap_or_default();
                let message =
                    format!("the Parquet file has no column startTime (or start_time, as in an archive){near}");
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }

    fn key(self, column: &str) -> Option<Key> {
        match self {
            Self::Keys => Key::named(column),
            Self::Own => Field::named(column)?.column().keys.first().and_then(|key| Key::named(key)),
        }
    }

    /// The known column that is meant by this one.
    fn meant(self, column: &str) -> Option<&'static str> {
        match self {
            Self::Keys => meant(column, &key_names()),
            Self::Own => meant(column, &Field::all().map(Field::name).collect::<Vec<_>>()),
        }
    }
}

impl Columns {
    /// The columns of a file with this schema.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let naming = Naming::of(schema)?;
        let (mut known, mut unknown): (Vec<Column>, Vec<Unknown>) = (Vec::new(), Vec::new());
        for (place, field) in schema.fields().iter().enumerate() {
            let name = field.name().clone();
            let Some(key) = naming.key(&name) else {
                // Every flow that is imported gets a new ID.
                if name != Field::FlowId.name() {
                    unknown.push(Unknown { meant: naming.meant(&name), name });
                }
                continue;
            };
            if known.iter().any(|known| known.key == key) {
                return Err(Error::new(ErrorKind::InvalidInput, format!("the Parquet file has two columns {name}")));
            }
            let form = Form::of(key.field, field.data_type()).ok_or_else(|| {
                let (given, allowed) = (field.data_type(), Form::allowed(key.field));
                Error::new(
                    ErrorKind::InvalidInput,
                    format!("column {name} has the type {given}; allowed are {allowed}"),
                )
            })?;
            known.push(Column { name, key, form, place });
        }
        Ok(Self { known, unknown })
    }

    /// The places of the columns in the file.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.known.iter().map(|column| column.place)
    }

    /// What is to be remarked of so many rows.
    pub(super) fn remarks(&self, rows: u64) -> Remarks {
        let mut remarks = Remarks::default();
        for column in &self.unknown {
            remarks.ignored(&column.name, rows, column.meant);
        }
        remarks
    }

    /// The flows of rows that have these columns and no others.
    pub(super) fn flows<'o>(&self, rows: &RecordBatch, options: &'o ImportOptions) -> Result<ChunkBuilder<'o>> {
        let cells =
            self.known.iter().zip(rows.columns()).map(|(column, array)| Ok((column, Cells::of(array, column.form)?)));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        let mut chunk = ChunkBuilder::new(Unit::Row, options);
        chunk.remarks().merge(self.remarks(rows.num_rows() as u64));
        for row in 0..rows.num_rows() {
            match flow(&cells, row) {
                Ok(flow) => chunk.flow(flow),
                Err(reason) => chunk.rejected(reason),
            }
        }
        Ok(chunk)
    }
}

fn flow(cells: &[(&Column, Cells)], row: usize) -> Result<Flow, String> {
    let mut draft = Draft::new();
    for (column, cells) in cells {
        let set = cells.get(row).and_then(|value| draft.set(column.key.field, value));
        set.map_err(|reason| format!("{}: {reason}", column.name))?;
    }
    draft.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field as ArrowField};

    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        Schema::new(columns.iter().map(|(name, data)| ArrowField::new(*name, data.clone(), true)).collect::<Vec<_>>())
    }

    fn refused(columns: &[(&str, DataType)]) -> String {
        let error = Columns::of(&schema(columns)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    }

    #[test]
    fn the_columns_of_an_archive_are_taken_all_but_the_id() {
        let columns = Columns::of(&crate::schema::schema()).unwrap();
        assert_eq!(columns.places().collect::<Vec<_>>(), (1..Field::ALL.len()).collect::<Vec<_>>());
        assert_eq!(columns.remarks(1).to_string(), "");
    }

    #[test]
    fn a_column_of_another_name_is_ignored_whatever_its_type() {
        let list = DataType::List(Arc::new(ArrowField::new("item", DataType::Int8, true)));
        let columns = [("starttime", list.clone()), ("startTime", DataType::Utf8), ("start_time", list)];
        let columns = Columns::of(&schema(&columns)).unwrap();
        assert_eq!(columns.places().collect::<Vec<_>>(), [1]);
        let remarks = columns.remarks(7).to_string();
        let expected = ["start_time", "starttime"]
            .map(|name| format!("{name:?} is unknown and was ignored in 7 records; did you mean \"startTime\"?"));
        assert_eq!(remarks, expected.join("\n"));
    }

    #[test]
    fn a_file_without_a_start_says_which_column_may_be_meant() {
        let reason = refused(&[("destIP", DataType::Utf8), ("StartTime", DataType::Utf8)]);
        assert!(reason.ends_with("; did you mean it by \"StartTime\"?"), "{reason}");
    }

    #[test]
    fn a_wrong_column_is_one_clear_error() {
        let missing = "the Parquet file has no column startTime (or start_time, as in an archive)";
        assert_eq!(refused(&[("when", DataType::Utf8)]), missing);
        let start = ("startTime", DataType::Float64);
        for (column, reason) in [
            (("destPort", DataType::Boolean), "column destPort has the type Boolean; allowed are numbers and text"),
            (
                ("destIP", DataType::UInt32),
                "column destIP has the type UInt32; allowed are text and binary of a fixed length of 16 bytes",
            ),
            (("node", DataType::Int8), "column node has the type Int8; allowed are text"),
            (
                ("endTime", DataType::Date32),
                "column endTime has the type Date32; allowed are timestamps, text and numbers",
            ),
            (start.clone(), "the Parquet file has two columns startTime"),
        ] {
            assert_eq!(refused(&[start.clone(), column]), reason);
        }
    }
}
