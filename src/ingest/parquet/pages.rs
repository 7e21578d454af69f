//! The checksums of the pages of a column.

use flate2::Crc;
use parquet::{
    errors::{ParquetError, Result},
    file::{metadata::ColumnChunkMetaData, reader::ChunkReader},
};

use super::footer::byte_range;
use crate::segment::{PageHeader, page_header};

/// Bytes in which a header is first looked for; it is longer where it holds long statistics.
const HEADER_BYTES: u64 = 1 << 12;
/// No header is longer.
const MOST_HEADER_BYTES: u64 = 1 << 20;

/// Checks the pages of a column of a row group, as far as their writer has noted checksums. A writer notes them for all
/// pages or for none, so the first that has none ends it.
pub(super) fn check(input: &impl ChunkReader, column: &ColumnChunkMetaData) -> Result<()> {
    let range = byte_range(column)?;
    let mut at = range.start;
    while at < range.end {
        // What is wrong with a header the reader will say.
        let Some(page) = header(input, at, range.end)? else { return Ok(()) };
        let (Some(expected), Some(length)) = (page.crc, page.length()) else { return Ok(()) };
        let mut crc = Crc::new();
        crc.update(&input.get_bytes(at + page.header as u64, page.data)?);
        if crc.sum() != expected {
            let (name, end) = (column.column_path().string(), at + length as u64);
            let message = format!("the checksum of a page of column {name} is wrong: bytes {at} to {end}");
            return Err(ParquetError::General(message));
        }
        at += length as u64;
    }
    Ok(())
}

/// The header of the page at a place; `None` where there is none.
fn header(input: &impl ChunkReader, at: u64, end: u64) -> Result<Option<PageHeader>> {
    let mut length = HEADER_BYTES;
    loop {
        let room = length.min(end - at);
        let bytes = input.get_bytes(at, usize::try_from(room)?)?;
        match page_header(&bytes) {
            None if length < MOST_HEADER_BYTES && length < end - at => length *= 16,
            page => return Ok(page),
        }
    }
}
