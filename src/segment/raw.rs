//! A segment for readers of plain Parquet, among them DataFusion's: bytes from the file, past the cache.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::ParquetMetaData,
};

use super::{ReadCounters, SegmentReader};

/// Reads the bytes of a segment, and answers its footer from memory.
#[derive(Clone, Debug)]
pub(crate) struct RawReader {
    pub(crate) segment: Arc<SegmentReader>,
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
        let read = tokio::task::spawn_blocking(move || {
            let read = |range: Range<u64>| {
                let length = usize::try_from(range.end.saturating_sub(range.start))?;
                counters.read.fetch_add(length as u64, Ordering::Relaxed);
                segment.read_exact(range.start, length).map_err(|error| ParquetError::External(error.into()))
            };
            ranges.into_iter().map(read).collect::<ParquetResult<Vec<_>>>()
        });
        async move { read.await.map_err(|error| ParquetError::External(error.into()))? }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        std::future::ready(Ok(Arc::clone(self.segment.metadata()))).boxed()
    }
}
