//! Pages as the decoder takes them: read, checked against their checksums, decompressed; and the cache of them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Buf, Bytes, buf::Reader};
use parquet::{
    basic::Compression,
    column::page::{Page, PageReader as _},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::ColumnChunkMetaData,
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
    schema::types::ColumnDescPtr,
};
use quick_cache::{Weighter, sync::Cache};

use super::{
    SegmentReader,
    index::{Chunk, checksum},
};
use crate::error::{Error, ErrorKind, Result};

/// Pages that are ready to be decoded, and lists of the index, that were read before: at most so many bytes of them.
pub struct PageCache {
    held: Cache<(u64, u64), Held, ByteWeighter>,
    /// What decompresses pages, and is dear to make.
    decompressors: Mutex<Vec<Decompressor>>,
}

/// A part of a segment in memory.
#[derive(Clone)]
enum Held {
    Page(Arc<Page>),
    List(Bytes),
}

#[derive(Clone, Debug)]
struct ByteWeighter;

impl Weighter<(u64, u64), Held> for ByteWeighter {
    fn weight(&self, key: &(u64, u64), held: &Held) -> u64 {
        let bytes = match held {
            Held::Page(page) => page.buffer().len() + size_of::<Page>(),
            Held::List(bytes) => bytes.len(),
        };
        (bytes + size_of_val(key)) as u64
    }
}

/// What reading has cost.
#[derive(Debug, Default)]
pub struct ReadCounters {
    /// Bytes that were read from files.
    pub read: AtomicU64,
    /// Bytes that the cache held, as they lie on disk.
    pub cached: AtomicU64,
}

/// Where a page lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    pub(super) column: usize,
    pub(super) group: usize,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) checksum: u32,
}

impl PageCache {
    /// A cache that holds at most `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        // Ten kilobytes is about a page of a column.
        let pages = usize::try_from(bytes / 10_240).unwrap_or(usize::MAX).max(16);
        Self { held: Cache::with_weighter(pages, bytes, ByteWeighter), decompressors: Mutex::default() }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.held.weight()
    }

    /// Pages of a segment. The disk is read where the host lets threads wait.
    pub(super) async fn pages(
        self: &Arc<Self>,
        segment: &Arc<SegmentReader>,
        places: &[PagePlace],
        counters: &ReadCounters,
    ) -> Result<Vec<Arc<Page>>> {
        let cached = |place: &PagePlace| match self.held.get(&(segment.number(), place.offset)) {
            Some(Held::Page(page)) => Some(page),
            _ => None,
        };
        let mut pages: Vec<Option<Arc<Page>>> = places.iter().map(cached).collect();
        let parted = |held: bool| {
            let pairs = places.iter().zip(&pages).filter(move |(_, page)| page.is_some() == held);
            pairs.map(|(place, _)| *place).collect::<Vec<_>>()
        };
        let (held, missing) = (parted(true), parted(false));
        count(&counters.cached, held.iter().map(|place| place.length));
        count(&counters.read, missing.iter().map(|place| place.length));
        if !missing.is_empty() {
            let (cache, segment) = (Arc::clone(self), Arc::clone(segment));
            let read = tokio::task::spawn_blocking(move || cache.read_pages(&segment, &missing)).await;
            let read = read.map_err(Error::with(ErrorKind::Internal, "the reading of pages was interrupted"))??;
            pages.iter_mut().filter(|page| page.is_none()).zip(read).for_each(|(page, read)| *page = Some(read));
        }
        Ok(pages.into_iter().flatten().collect())
    }

    /// Reads pages from the file.
    fn read_pages(&self, segment: &SegmentReader, places: &[PagePlace]) -> Result<Vec<Arc<Page>>> {
        let pool = || self.decompressors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decompressor = pool().pop().unwrap_or_default();
        let mut pages = Vec::with_capacity(places.len());
        for place in places {
            let page = segment.read_exact(place.offset, place.length).and_then(|bytes| {
                if checksum(&bytes) != place.checksum {
                    return Err(Error::damaged("a page is damaged: its bytes are not those that were written"));
                }
                let decompressed = decompressor.decompress(bytes, segment.chunk(place.group, place.column)?);
                decompressed.map_err(Error::with(ErrorKind::Damaged, "a page is damaged"))
            });
            let page = Arc::new(page.map_err(|error| segment.named(error))?);
            self.held.insert((segment.number(), place.offset), Held::Page(Arc::clone(&page)));
            pages.push(page);
        }
        pool().push(decompressor);
        Ok(pages)
    }

    /// Lists of a segment's index.
    pub(super) async fn lists(
        self: &Arc<Self>,
        segment: &Arc<SegmentReader>,
        chunks: &[&Chunk],
        counters: &ReadCounters,
    ) -> Result<Vec<Bytes>> {
        let cached = |chunk: &&Chunk| match self.held.get(&(segment.number(), chunk.place.start)) {
            Some(Held::List(bytes)) => Some(bytes),
            _ => None,
        };
        let mut lists: Vec<Option<Bytes>> = chunks.iter().map(cached).collect();
        count(&counters.cached, lists.iter().flatten().map(Bytes::len));
        let missing = chunks.iter().zip(&lists).filter(|(_, list)| list.is_none());
        let missing: Vec<Chunk> = missing.map(|(chunk, _)| (*chunk).clone()).collect();
        if !missing.is_empty() {
            let (cache, segment) = (Arc::clone(self), Arc::clone(segment));
            let read = tokio::task::spawn_blocking(move || cache.read_lists(&segment, &missing)).await;
            let read = read.map_err(Error::with(ErrorKind::Internal, "the reading of lists was interrupted"))??;
            count(&counters.read, read.iter().map(Bytes::len));
            lists.iter_mut().filter(|list| list.is_none()).zip(read).for_each(|(list, read)| *list = Some(read));
        }
        Ok(lists.into_iter().flatten().collect())
    }

    /// Reads lists from the file.
    fn read_lists(&self, segment: &SegmentReader, chunks: &[Chunk]) -> Result<Vec<Bytes>> {
        let read = |chunk: &Chunk| {
            let length = usize::try_from(chunk.place.end - chunk.place.start).unwrap_or(usize::MAX);
            let bytes = segment.read_exact(chunk.place.start, length).and_then(|bytes| {
                chunk.check(&bytes)?;
                Ok(bytes)
            });
            let bytes = bytes.map_err(|error| segment.named(error))?;
            self.held.insert((segment.number(), chunk.place.start), Held::List(bytes.clone()));
            Ok(bytes)
        };
        chunks.iter().map(read).collect()
    }
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64, lengths: impl Iterator<Item = usize>) {
    let sum: usize = lengths.sum();
    if sum > 0 {
        counter.fetch_add(sum as u64, Ordering::Relaxed);
    }
}

/// Parses and decompresses pages one by one, whichever column they are of, with the contexts of one codec.
///
/// The Parquet crate does that only for a column chunk from its beginning. So it is given a chunk without end, whose
/// bytes are at any moment just those of the next page.
#[derive(Default)]
struct Decompressor {
    codecs: Vec<Codec>,
}

struct Codec {
    compression: Compression,
    reader: SerializedPageReader<NextPage>,
    next: Arc<NextPage>,
    at: u64,
}

/// Longer than any chunk is.
const ENDLESS: i64 = i64::MAX / 2;

impl Decompressor {
    fn decompress(&mut self, bytes: Bytes, chunk: &ColumnChunkMetaData) -> ParquetResult<Page> {
        let known = self.codecs.iter().position(|codec| codec.compression == chunk.compression());
        // A codec that fails stays out: where it stands in its bytes is then unknown.
        let mut codec = match known {
            Some(place) => self.codecs.swap_remove(place),
            None => Codec::new(chunk.compression(), chunk.column_descr_ptr())?,
        };
        let page = codec.decompress(bytes)?;
        self.codecs.push(codec);
        Ok(page)
    }
}

impl Codec {
    fn new(compression: Compression, column: ColumnDescPtr) -> ParquetResult<Self> {
        let endless = ColumnChunkMetaData::builder(column)
            .set_compression(compression)
            .set_total_compressed_size(ENDLESS)
            .set_data_page_offset(0)
            .build()?;
        let next = Arc::new(NextPage::default());
        let reader = SerializedPageReader::new(Arc::clone(&next), &endless, 0, None)?;
        Ok(Self { compression, reader, next, at: 0 })
    }

    fn decompress(&mut self, bytes: Bytes) -> ParquetResult<Page> {
        let length = bytes.len() as u64;
        *self.next.lock() = (self.at, bytes);
        let page = self.reader.get_next_page()?;
        self.at += length;
        page.ok_or_else(|| ParquetError::EOF("a page ends early".to_owned()))
    }
}

/// The bytes of the next page, and where they begin.
#[derive(Default)]
struct NextPage(Mutex<(u64, Bytes)>);

impl NextPage {
    fn lock(&self) -> MutexGuard<'_, (u64, Bytes)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let (begin, bytes) = &*self.lock();
        let skip = start.checked_sub(*begin).and_then(|skip| usize::try_from(skip).ok());
        let skip = skip.filter(|skip| *skip <= bytes.len());
        skip.map(|skip| bytes.slice(skip..)).ok_or_else(|| ParquetError::EOF("a page is cut off".to_owned()))
    }
}

impl Length for NextPage {
    fn len(&self) -> u64 {
        ENDLESS as u64
    }
}

impl ChunkReader for NextPage {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.from(start)?;
        if rest.len() == length {
            return Ok(rest);
        }
        Err(ParquetError::EOF(format!("a page has {} bytes where its header says {length}", rest.len())))
    }
}
