//! The rows of a file as a mapping describes them.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::NullBuffer,
    datatypes::{DataType, Fields, Schema},
};

use super::{cells::Cells, form::Form};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    import::{Mapping, Sink, Slots, Unit, parquet_mappings},
    ingest::{ImportOptions, chunk::ChunkBuilder},
};

/// The columns of a file that a mapping names, some of which may lie in structs.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    mapping: Mapping,
    columns: Vec<Column>,
    /// The places in the file of the columns that they lie in, in order.
    roots: Vec<usize>,
    paths: usize,
}

#[derive(Clone, Debug)]
struct Column {
    slot: usize,
    name: String,
    form: Form,
    /// Its place in the file, and those in the structs in which it lies.
    places: Vec<usize>,
}

/// The mapping of the crate that a file with this schema is of, where its columns are neither those of JSON nor those of an archive.
pub(super) fn of(schema: &Schema) -> Option<&'static Mapping> {
    if ["startTime", Field::StartTime.name()].iter().any(|own| schema.fields().find(own).is_some()) {
        return None;
    }
    parquet_mappings().find(|mapping| mapping.is_of_columns(|keys| find(schema.fields(), keys).is_some()))
}

/// The places that keys lead to, and the type there.
fn find<'s>(fields: &'s Fields, keys: &[String]) -> Option<(Vec<usize>, &'s DataType)> {
    let (key, inner) = keys.split_first()?;
    let (place, field) = fields.find(key)?;
    if inner.is_empty() {
        return Some((vec![place], field.data_type()));
    }
    let DataType::Struct(fields) = field.data_type() else { return None };
    let (mut places, found) = find(fields, inner)?;
    places.insert(0, place);
    Some((places, found))
}

impl Mapped {
    /// The columns of a file with this schema.
    pub(super) fn of(mapping: Mapping, schema: &Schema) -> Result<Self> {
        let mut columns = Vec::new();
        let mut paths = 0;
        for (slot, keys) in mapping.keys().enumerate() {
            paths = slot + 1;
            let Some((places, found)) = find(schema.fields(), &keys) else { continue };
            let name = keys.join(".");
            let form = Form::of_type(found).ok_or_else(|| {
                let allowed = "numbers, text, timestamps and binary of a fixed length of 16 bytes";
                let message = format!("column {name} has the type {found}; allowed are {allowed}");
                Error::new(ErrorKind::InvalidInput, message)
            })?;
            columns.push(Column { slot, name, form, places });
        }
        if columns.is_empty() {
            let message = "the Parquet file has none of the columns that the mapping names";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let mut roots: Vec<usize> = columns.iter().filter_map(|column| column.places.first().copied()).collect();
        roots.sort_unstable();
        roots.dedup();
        Ok(Self { mapping, columns, roots, paths })
    }

    /// The places of the columns in the file.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.roots.iter().copied()
    }

    /// The flows of rows that have these columns and no others.
    pub(super) fn flows<'o>(&self, rows: &RecordBatch, options: &'o ImportOptions) -> Result<ChunkBuilder<'o>> {
        let cells = self.columns.iter().map(|column| self.cells(column, rows)).collect::<Result<Vec<_>>>()?;
        let mut chunk = ChunkBuilder::new(Unit::Row, options);
        for row in 0..rows.num_rows() {
            let mut slots = Slots::new(self.paths);
            let read = self.columns.iter().zip(&cells).try_for_each(|(column, (cells, absent))| {
                slots.note(column.slot);
                if absent.as_ref().is_none_or(|absent| absent.is_valid(row)) {
                    let value = cells.get(row).map_err(|reason| format!("{}: {reason}", column.name))?;
                    slots.set(column.slot, value);
                }
                Ok(())
            });
            match read {
                Ok(()) => self.mapping.record(slots, &mut chunk),
                Err(reason) => chunk.rejected(reason),
            }
        }
        Ok(chunk)
    }

    /// The values of a column, and where the structs are there that it lies in.
    fn cells(&self, column: &Column, rows: &RecordBatch) -> Result<(Cells, Option<NullBuffer>)> {
        let missing = || Error::internal("a column of the Parquet file is not where its schema says");
        let (root, inner) = column.places.split_first().ok_or_else(missing)?;
        let root = self.roots.iter().position(|place| place == root).ok_or_else(missing)?;
        let mut array: &ArrayRef = rows.columns().get(root).ok_or_else(missing)?;
        let mut absent: Option<NullBuffer> = None;
        for place in inner {
            let of = array.as_struct_opt().ok_or_else(missing)?;
            absent = NullBuffer::union(absent.as_ref(), of.nulls());
            array = of.columns().get(*place).ok_or_else(missing)?;
        }
        Ok((Cells::of(array, column.form)?, absent))
    }
}
