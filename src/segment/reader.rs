//! A segment, opened: its footer and index in memory, its pages on demand.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use parquet::{
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::AsyncFileReader,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{PageIndexPolicy, ParquetMetaData},
};
use quick_cache::{Weighter, sync::Cache};

use super::{
    bounds::{BlockBounds, BoundsTable},
    index::{self, Directory, Index},
    writer::{FORMAT, FORMAT_KEY, INDEX_KEY, block_range},
};
use crate::{
    error::{Error, ErrorKind, Result},
    schema::schema,
};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A segment that is open for reading. Its file may be unlinked meanwhile.
#[derive(Debug)]
pub struct SegmentReader {
    /// Unique among all that this process has opened: what its pages are cached under.
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    metadata: Arc<ParquetMetaData>,
    /// Of the segment as a whole.
    whole: BoundsTable,
    blocks: BoundsTable,
    directory: Directory,
}

impl SegmentReader {
    /// Opens the segment in the file at `path`. This blocks on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read, [`ErrorKind::Damaged`] where it is not a segment, and
    /// [`ErrorKind::Unsupported`] where a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let name = || format!("segment {}", path.display());
        let file = File::open(path).map_err(Error::with(ErrorKind::Io, format!("{} cannot be opened", name())))?;
        Self::read(file, path.to_owned())
            .map_err(|error| Error::with(error.kind(), format!("{} cannot be read", name()))(error))
    }

    fn read(file: File, path: PathBuf) -> Result<Self> {
        let io = |what: &'static str| Error::with(ErrorKind::Io, what);
        let bytes = file.metadata().map_err(io("its size is unknown"))?.len();
        // The blocks are chosen by the index, so of the page indexes only the offsets are needed.
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let loaded = ArrowReaderMetadata::load(&file, options)
            .map_err(Error::with(ErrorKind::Damaged, "its Parquet footer is damaged"))?;
        let metadata = Arc::clone(loaded.metadata());
        let value = |key: &str| {
            let pairs = metadata.file_metadata().key_value_metadata();
            pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.clone())
        };
        match value(FORMAT_KEY) {
            Some(format) if format == FORMAT => {}
            Some(format) => {
                let message = format!("it has format {format}; this version of flowseek reads {FORMAT}");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            None => return Err(Error::damaged("it was not written by flowseek")),
        }
        if loaded.schema().fields() != schema().fields() {
            return Err(Error::damaged("its columns are not those of an archive"));
        }
        let place = value(INDEX_KEY).and_then(|text| {
            let (offset, length) = text.split_once(':')?;
            Some((offset.parse::<u64>().ok()?, length.parse::<u64>().ok()?))
        });
        let (offset, length) = place
            .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= bytes))
            .ok_or_else(|| Error::damaged("it does not say where its index is"))?;
        let mut index = vec![0; usize::try_from(length).map_err(|_| Error::damaged("its index is too large"))?];
        file.read_exact_at(&mut index, offset).map_err(io("its index cannot be read"))?;
        let Index { bounds: blocks, directory } = index::decode(&index)?;
        let whole = blocks.folded();
        if metadata.file_metadata().num_rows() != whole.block(0).rows() as i64 {
            return Err(Error::damaged("its index is not of its rows"));
        }
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Self { number, path, file: Arc::new(file), bytes, metadata, whole, blocks, directory })
    }

    /// The path of the file, when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.bytes
    }

    /// About how many bytes of memory the footer and the index take.
    pub fn memory(&self) -> usize {
        self.metadata.memory_size() + self.blocks.memory() + self.whole.memory() + self.directory.memory()
    }

    /// The Parquet footer.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The bounds of the segment as a whole.
    pub fn whole(&self) -> BlockBounds<'_> {
        self.whole.block(0)
    }

    /// The bounds of its blocks.
    pub fn blocks(&self) -> &BoundsTable {
        &self.blocks
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The rows of a block.
    pub fn block_rows(&self, block: usize) -> Range<usize> {
        block_range(block, self.blocks.block(0).rows(), self.whole().rows())
    }
}

/// Pages as they lie on disk, compressed, that were read before: at most so many bytes of them.
#[derive(Debug)]
pub struct BlockCache(Cache<(u64, u64, u64), Bytes, ByteWeighter>);

#[derive(Clone, Debug)]
struct ByteWeighter;

impl Weighter<(u64, u64, u64), Bytes> for ByteWeighter {
    fn weight(&self, key: &(u64, u64, u64), bytes: &Bytes) -> u64 {
        (bytes.len() + size_of_val(key)) as u64
    }
}

impl BlockCache {
    /// A cache that holds at most `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        // Ten kilobytes is about a page of a column.
        let pages = usize::try_from(bytes / 10_240).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(pages, bytes, ByteWeighter))
    }
}

/// What reading has cost.
#[derive(Debug, Default)]
pub struct ReadCounters {
    /// Bytes that were read from files.
    pub read: AtomicU64,
    /// Bytes that the cache held.
    pub cached: AtomicU64,
}

/// Reads a segment's pages for the Parquet decoder, through the cache.
pub(super) struct PageReader {
    pub(super) segment: Arc<SegmentReader>,
    pub(super) cache: Arc<BlockCache>,
    pub(super) counters: Arc<ReadCounters>,
}

impl AsyncFileReader for PageReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let mut pages = self.get_byte_ranges(vec![range]).await?;
            pages.pop().ok_or_else(|| ParquetError::General("no page was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let number = self.segment.number;
        let cached = |range: &Range<u64>| self.cache.0.get(&(number, range.start, range.end));
        let mut pages: Vec<Option<Bytes>> = ranges.iter().map(cached).collect();
        let lengths = ranges.iter().zip(&pages).map(|(range, page)| (range.end - range.start, page.is_some()));
        let (held, missing) =
            lengths.fold(
                (0, 0),
                |(held, missing), (length, hit)| {
                    if hit { (held + length, missing) } else { (held, missing + length) }
                },
            );
        self.counters.cached.fetch_add(held, Ordering::Relaxed);
        self.counters.read.fetch_add(missing, Ordering::Relaxed);
        if missing == 0 {
            return std::future::ready(Ok(pages.into_iter().flatten().collect())).boxed();
        }
        let file = Arc::clone(&self.segment.file);
        async move {
            let wanted: Vec<_> =
                ranges.iter().zip(&pages).filter(|(_, page)| page.is_none()).map(|(range, _)| range.clone()).collect();
            // The disk may take its time, and the host's threads must not wait for it.
            let read_all =
                move || wanted.into_iter().map(|range| read(&file, range)).collect::<ParquetResult<Vec<_>>>();
            let read = tokio::task::spawn_blocking(read_all).await;
            let read = read.map_err(|error| ParquetError::External(error.into()))??;
            let gaps = pages.iter_mut().zip(&ranges).filter(|(page, _)| page.is_none());
            for ((page, range), bytes) in gaps.zip(read) {
                self.cache.0.insert((number, range.start, range.end), bytes.clone());
                *page = Some(bytes);
            }
            Ok(pages.into_iter().flatten().collect())
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        std::future::ready(Ok(Arc::clone(&self.segment.metadata))).boxed()
    }
}

fn read(file: &File, range: Range<u64>) -> ParquetResult<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}
