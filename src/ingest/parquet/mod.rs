//! Parquet files as flows.

mod cells;
mod columns;

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::reader::ChunkReader,
};

use self::columns::Columns;
use super::{
    chunk::{Chunk, Failure},
    in_order::InOrder,
};
use crate::{
    error::{Error, ErrorKind, Result},
    import::Remarks,
};

/// Rows of a chunk.
const CHUNK_ROWS: usize = 8192;

/// The rows of a file of `bytes` bytes, in their order.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it is no Parquet file, a column has the wrong type, or the start is missing.
pub(super) fn chunks(file: impl ChunkReader + 'static, bytes: u64) -> Result<InOrder<Result<Chunk, Failure>>> {
    // The types are those of Parquet; what an Arrow program has noted beside them changes nothing that matters here.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = guarded(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options));
    let damaged = |error| Error::with(ErrorKind::InvalidInput, "the input is not Parquet, or it is damaged")(error);
    let file = opened.map_err(damaged)?;
    let columns = Columns::of(file.schema())?;
    let total = u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let known = ProjectionMask::roots(file.parquet_schema(), columns.places());
    let reader = file.with_projection(known).with_batch_size(CHUNK_ROWS).build().map_err(damaged)?;
    let rows = Rows { reader, read: 0, total, bytes, ended: false };
    InOrder::start(rows, move |rows| {
        let Read { rows, bytes } = rows?;
        Ok(columns.flows(&rows)?.finish(Remarks::default(), bytes)?)
    })
}

/// The rows of a file, some at a time.
struct Rows {
    reader: ParquetRecordBatchReader,
    read: u64,
    total: u64,
    bytes: u64,
    ended: bool,
}

struct Read {
    rows: RecordBatch,
    /// Bytes of the file that were read, as far as rows tell.
    bytes: u64,
}

impl Iterator for Rows {
    type Item = Result<Read, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match guarded(|| self.reader.next().transpose()).transpose()? {
            Ok(rows) => {
                self.read += rows.num_rows() as u64;
                let bytes = u128::from(self.bytes) * u128::from(self.read) / u128::from(self.total);
                Some(Ok(Read { rows, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }))
            }
            Err(error) => {
                self.ended = true;
                let message = format!("the Parquet file cannot be read beyond row {}", self.read);
                Some(Err(Error::with(ErrorKind::InvalidInput, message)(error).into()))
            }
        }
    }
}

/// Some damage makes the Parquet reader panic, where it should give an error.
fn guarded<T, E: From<ParquetError>>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let panicked = |_| Err(ParquetError::General("the reader has panicked".to_owned()).into());
    // Whatever the panic left half done is not used again.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(panicked)
}
