//! Which columns of a file are fields of a flow.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Schema, TimeUnit},
};

use super::cells::Cells;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Flow},
    import::{Draft, Key},
    ingest::chunk::ChunkBuilder,
};

/// The columns of a file that are fields of a flow, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Columns(Vec<Column>);

#[derive(Clone, Debug)]
struct Column {
    name: String,
    key: Key,
    form: Form,
    /// Its place in the file.
    place: usize,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Timestamps.
    Time(TimeUnit),
    /// Numbers of any type.
    Number,
    /// Text; so are values none of which is there.
    Text,
    /// Addresses as their 16 bytes.
    Bytes,
}

impl Columns {
    /// The columns of a file with this schema: those of JSON if it has `startTime`, those of an archive if it has
    /// `start_time`.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let has = |name| schema.fields().iter().any(|field| field.name() == name);
        let key_of = match (has("startTime"), has(Field::StartTime.name())) {
            (true, _) => Key::from_name,
            (false, true) => own_key,
            (false, false) => {
                let message = "the Parquet file has no column startTime (or start_time, as in an archive)";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        };
        let mut columns: Vec<Column> = Vec::new();
        for (place, field) in schema.fields().iter().enumerate() {
            let (name, Some(key)) = (field.name().clone(), key_of(field.name())) else { continue };
            if columns.iter().any(|known| known.key == key) {
                return Err(Error::new(ErrorKind::InvalidInput, format!("the Parquet file has two columns {name}")));
            }
            let form = Form::of(key, field.data_type()).ok_or_else(|| {
                let (given, allowed) = (field.data_type(), allowed(key));
                Error::new(
                    ErrorKind::InvalidInput,
                    format!("column {name} has the type {given}; allowed are {allowed}"),
                )
            })?;
            columns.push(Column { name, key, form, place });
        }
        Ok(Self(columns))
    }

    /// The places of the columns in the file.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|column| column.place)
    }

    /// The flows of rows that have these columns and no others.
    pub(super) fn flows(&self, rows: &RecordBatch) -> Result<ChunkBuilder> {
        let cells =
            self.0.iter().zip(rows.columns()).map(|(column, array)| Ok((column, Cells::of(array, column.form)?)));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        let mut chunk = ChunkBuilder::default();
        for row in 0..rows.num_rows() {
            match flow(&cells, row) {
                Ok(flow) => chunk.flow(&flow),
                Err(reason) => chunk.rejected(reason),
            }
        }
        Ok(chunk)
    }
}

fn flow(cells: &[(&Column, Cells)], row: usize) -> Result<Flow, String> {
    let mut draft = Draft::new();
    for (column, cells) in cells {
        let set = cells.get(row).and_then(|value| draft.set(column.key, value));
        set.map_err(|reason| format!("{}: {reason}", column.name))?;
    }
    draft.finish()
}

impl Form {
    /// What the values of a column of this type are; `None` where the key does not take them.
    fn of(key: Key, column: &DataType) -> Option<Self> {
        let form = match column {
            DataType::Utf8 | DataType::Null => return Some(Self::Text),
            DataType::Timestamp(unit, _) => Self::Time(*unit),
            DataType::FixedSizeBinary(16) | DataType::Binary => Self::Bytes,
            other if other.is_numeric() => Self::Number,
            _ => return None,
        };
        let taken = match (kind(key), form) {
            (Kind::Time, form) => form != Self::Bytes,
            (Kind::Address, form) => form == Self::Bytes,
            (Kind::Number, form) => form == Self::Number,
            (Kind::Name, _) => false,
        };
        taken.then_some(form)
    }
}

enum Kind {
    Time,
    Address,
    Number,
    Name,
}

fn kind(key: Key) -> Kind {
    match key {
        Key::StartTime | Key::EndTime => Kind::Time,
        Key::SourceIp | Key::DestIp => Kind::Address,
        Key::SourceNode | Key::DestNode | Key::Node | Key::NodeId | Key::ActivityId => Kind::Name,
        Key::SourcePort | Key::DestPort | Key::SourceBytes | Key::DestBytes | Key::Protocol | Key::TcpFlags => {
            Kind::Number
        }
    }
}

fn allowed(key: Key) -> &'static str {
    match kind(key) {
        Kind::Time => "timestamps, text and numbers",
        Kind::Address => "text and binary of 16 bytes",
        Kind::Number => "numbers and text",
        Kind::Name => "text",
    }
}

/// The key that a column of an archive is.
fn own_key(column: &str) -> Option<Key> {
    Some(match Field::ALL.into_iter().find(|field| field.name() == column)? {
        Field::FlowId => return None,
        Field::StartTime => Key::StartTime,
        Field::EndTime => Key::EndTime,
        Field::Protocol => Key::Protocol,
        Field::SrcIp => Key::SourceIp,
        Field::DstIp => Key::DestIp,
        Field::SrcPort => Key::SourcePort,
        Field::DstPort => Key::DestPort,
        Field::SrcBytes => Key::SourceBytes,
        Field::DstBytes => Key::DestBytes,
        Field::TcpFlags => Key::TcpFlags,
        Field::SrcNode => Key::SourceNode,
        Field::DstNode => Key::DestNode,
        Field::NodeId => Key::NodeId,
        Field::ActivityId => Key::ActivityId,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field as ArrowField;

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
        assert_eq!(columns.places().collect::<Vec<_>>(), (1..15).collect::<Vec<_>>());
    }

    #[test]
    fn a_column_of_another_name_is_ignored_whatever_its_type() {
        let list = DataType::List(Arc::new(ArrowField::new("item", DataType::Int8, true)));
        let columns = [("starttime", list.clone()), ("startTime", DataType::Utf8), ("start_time", list)];
        assert_eq!(Columns::of(&schema(&columns)).unwrap().places().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_wrong_column_is_one_clear_error() {
        let missing = "the Parquet file has no column startTime (or start_time, as in an archive)";
        assert_eq!(refused(&[("time", DataType::Utf8)]), missing);
        let start = ("startTime", DataType::Float64);
        for (column, reason) in [
            (("destPort", DataType::Boolean), "column destPort has the type Boolean; allowed are numbers and text"),
            (
                ("destIP", DataType::UInt32),
                "column destIP has the type UInt32; allowed are text and binary of 16 bytes",
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
