//! Parquet files as flows.

mod cells;
mod columns;
mod footer;
mod form;
mod mapped;
mod pages;

use std::error::Error as StdError;

use arrow::array::RecordBatch;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::Result as ParquetResult,
    file::reader::ChunkReader,
};

use self::{columns::Columns, mapped::Mapped};
use super::{
    ImportOptions,
    chunk::{Chunk, Failure},
    in_order::InOrder,
};
use crate::{
    error::{Error, ErrorKind, Result},
    import::Mapping,
    resources::{guarded, input_error},
};

/// Rows of a chunk.
const CHUNK_ROWS: usize = 8192;

/// The rows of a file, in their order, by a mapping or as the names of its columns say.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it is no Parquet file, a column has the wrong type, or the start is missing;
/// [`ErrorKind::Busy`] and [`ErrorKind::Io`] where the system cannot read it.
pub(super) fn chunks(
    input: impl ChunkReader + Clone + 'static,
    mapping: Option<Mapping>,
    options: ImportOptions,
) -> Result<InOrder<Result<Chunk, Failure>>> {
    let footer = decode(|| footer::read(&input), "the input is not Parquet, or it is damaged")?;
    let mapping = mapping.or_else(|| mapped::of(footer.schema()).cloned());
    if let Some(mapping) = mapping {
        let mapped = Mapped::of(mapping, footer.schema())?;
        let rows = Rows::new(input, footer, mapped.places());
        return InOrder::start(rows, move |rows| {
            let Read { rows, bytes } = rows?;
            Ok(mapped.flows(&rows, &options)?.finish(bytes)?)
        });
    }
    let columns = Columns::of(footer.schema())?;
    let rows = Rows::new(input, footer, columns.places());
    InOrder::start(rows, move |rows| {
        let Read { rows, bytes } = rows?;
        Ok(columns.flows(&rows, &options)?.finish(bytes)?)
    })
}

/// Decodes a part of an input, which may be damaged in a way that makes the Parquet reader panic.
fn decode<T, E>(decode: impl FnOnce() -> Result<T, E>, what: &str) -> Result<T>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    // What a panic left half done is not used again.
    match guarded(|| Ok(decode())) {
        Ok(decoded) => decoded.map_err(input_error(what)),
        Err(panic) => Err(Error::with(ErrorKind::InvalidInput, what)(panic)),
    }
}

/// The rows of a file, some at a time.
struct Rows<R> {
    input: R,
    footer: ArrowReaderMetadata,
    columns: ProjectionMask,
    /// The row group that is read next.
    group: usize,
    /// The reader of the row group before it.
    reader: Option<ParquetRecordBatchReader>,
    read: u64,
    total: u64,
    ended: bool,
}

struct Read {
    rows: RecordBatch,
    /// Bytes of the file that were read, as far as rows tell.
    bytes: u64,
}

impl<R: ChunkReader + Clone + 'static> Rows<R> {
    fn new(input: R, footer: ArrowReaderMetadata, places: impl Iterator<Item = usize>) -> Self {
        let columns = ProjectionMask::roots(footer.parquet_schema(), places);
        let total = u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        Self { input, footer, columns, group: 0, reader: None, read: 0, total, ended: false }
    }

    /// The next rows; `None` at the end.
    fn read(&mut self) -> Result<Option<RecordBatch>> {
        let what = format!("the Parquet file cannot be read beyond row {}", self.read);
        loop {
            if let Some(reader) = &mut self.reader
                && let Some(rows) = decode(|| reader.next().transpose(), &what)?
            {
                return Ok(Some(rows));
            }
            if self.group == self.footer.metadata().num_row_groups() {
                return Ok(None);
            }
            self.reader = Some(decode(|| self.open(), &what)?);
            self.group += 1;
        }
    }

    /// The reader of the next row group, whose pages are what their checksums say.
    fn open(&self) -> ParquetResult<ParquetRecordBatchReader> {
        for (leaf, column) in self.footer.metadata().row_group(self.group).columns().iter().enumerate() {
            if self.columns.leaf_included(leaf) {
                pages::check(&self.input, column)?;
            }
        }
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.footer.clone())
            .with_projection(self.columns.clone())
            .with_row_groups(vec![self.group])
            .with_batch_size(CHUNK_ROWS)
            .build()
    }
}

impl<R: ChunkReader + Clone + 'static> Iterator for Rows<R> {
    type Item = Result<Read, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.read().transpose()? {
            Ok(rows) => {
                self.read += rows.num_rows() as u64;
                let bytes = u128::from(self.input.len()) * u128::from(self.read) / u128::from(self.total);
                Some(Ok(Read { rows, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error.into()))
            }
        }
    }
}
