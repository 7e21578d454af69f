//! A segment for readers of plain Parquet, among them DataFusion's: bytes from the file, past the cache, each checked.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
};

use super::{ReadCounters, SegmentReader, index::checksum, reader::PagePlace};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    resources::{Workers, blocking},
};

/// Reads the bytes of a segment, and answers its footer from memory.
#[derive(Clone, Debug)]
pub(crate) struct RawReader {
    pub(crate) segment: Arc<SegmentReader>,
    /// Whether the footer is known to be what was written.
    pub(crate) is_footer_checked: bool,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) counters: Arc<ReadCounters>,
}

impl AsyncFileReader for RawReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let mut parts = self.get_byte_ranges(vec![range]).await?;
            parts.pop().ok_or_else(|| ParquetError::General("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let (segment, counters) = (Arc::clone(&self.segment), Arc::clone(&self.counters));
        // The disk may take its time, and the host's threads must not wait for it.
        let read = move || {
            let read = |range| {
                let bytes = segment.checked(range).map_err(|error| segment.named(error))?;
                counters.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            };
            ranges.into_iter().map(read).collect::<Result<Vec<_>>>()
        };
        async move { blocking(self.workers.as_ref(), read).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let metadata = match self.is_footer_checked {
            true => Ok(Arc::clone(self.segment.metadata())),
            false => without_statistics(self.segment.metadata())
                .map(Arc::new)
                .map_err(|error| external(self.segment.named(error))),
        };
        std::future::ready(metadata).boxed()
    }
}

/// The error of a reader of Parquet.
fn external(error: Error) -> ParquetError {
    ParquetError::External(error.into())
}

/// A footer that nothing is left out by: no bounds of values, and as many values in each column as there are rows.
fn without_statistics(metadata: &ParquetMetaData) -> Result<ParquetMetaData> {
    let damaged = Error::with(ErrorKind::Damaged, "its Parquet footer is damaged");
    let group = |group: &RowGroupMetaData| {
        let column = |column: &ColumnChunkMetaData| {
            if column.num_values() != group.num_rows() {
                return Err(ParquetError::General("a column has more or fewer values than rows".to_owned()));
            }
            column.clone().into_builder().clear_statistics().build()
        };
        let columns = group.columns().iter().map(column).collect::<ParquetResult<_>>()?;
        group.clone().into_builder().set_column_metadata(columns).build()
    };
    let groups = metadata.row_groups().iter().map(group).collect::<ParquetResult<_>>().map_err(damaged)?;
    Ok(metadata.clone().into_builder().set_row_groups(groups).build())
}

impl SegmentReader {
    /// Bytes of the file that are whole pages and dictionaries side by side, as they were written. This blocks on the
    /// file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file cannot be read,
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where it is not what was written, and
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where the range has other bytes.
    fn checked(&self, range: Range<u64>) -> Result<Bytes> {
        let places = self.places(&range)?;
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let bytes = self.read_exact(range.start, length)?;
        let mut rest: &[u8] = &bytes;
        for PagePlace { length, checksum: written, .. } in places {
            let (page, following) = rest.split_at_checked(length).ok_or_else(unverifiable)?;
            if checksum(page) != written {
                return Err(Error::damaged("a page is damaged: its bytes are not those that were written"));
            }
            rest = following;
        }
        if rest.is_empty() { Ok(bytes) } else { Err(unverifiable()) }
    }

    /// The pages and dictionaries that lie side by side from the start of a range to its end.
    fn places(&self, range: &Range<u64>) -> Result<Vec<PagePlace>> {
        let mut places = Vec::new();
        for (group, columns) in self.metadata().row_groups().iter().enumerate() {
            for (field, chunk) in Field::ALL.into_iter().zip(columns.columns()) {
                let (start, length) = chunk.byte_range();
                if start < range.end && range.start < start.saturating_add(length) {
                    places.extend(self.dictionary(field, group)?);
                    let pages = self.pages_of(group).map(|page| self.page(field, page));
                    places.extend(pages.collect::<Result<Vec<_>>>()?);
                }
            }
        }
        places.retain(|place| range.contains(&place.offset));
        places.sort_unstable_by_key(|place| place.offset);
        // Of a part that begins before the range, or between two pages, nothing could be checked.
        let end = places.iter().try_fold(range.start, |end, place| {
            (place.offset == end).then_some(end.saturating_add(place.length as u64))
        });
        if end == Some(range.end) { Ok(places) } else { Err(unverifiable()) }
    }
}

fn unverifiable() -> Error {
    Error::internal("bytes were asked for that are not whole pages, and cannot be checked")
}
