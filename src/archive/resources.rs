//! What archives may hold on to: their own, or shared by several of one process.

use std::{
    collections::HashSet,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use quick_cache::{Equivalent, Weighter, sync::Cache};
use serde::Serialize;

use super::{blooms::BloomCache, counts::CountCache};
use crate::{
    resources::{Crew, DescriptorTable, MemoryPool, Workers},
    segment::{PageCache, SegmentReader},
};

/// Of the memory for what is known of segments, Bloom filters have one part in so many.
const BLOOM_SHARE: u64 = 4;
/// Threads that write what is appended to archives that share them. They wait for the disk most of the time.
const APPEND_THREADS: usize = 8;

/// Caches, open files and threads.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) indexes: MemoryPool,
    pub(super) blooms: BloomCache,
    pub(super) readers: Readers,
    pub(super) pages: Arc<PageCache>,
    pub(super) counts: CountCache,
    pub(super) open: Arc<DescriptorTable>,
    pub(super) crews: Crews,
}

/// The threads of live appenders.
#[derive(Debug)]
pub(crate) struct Crews {
    /// They write what is appended.
    pub(crate) append: Crew,
    /// They compact, and remove what is too old.
    pub(crate) upkeep: Crew,
}

/// How much of each there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) index_bytes: u64,
    pub(super) page_bytes: u64,
    pub(super) count_bytes: u64,
    pub(super) open_files: usize,
}

impl Resources {
    /// For one archive.
    pub(super) fn new(limits: Limits, workers: Arc<dyn Workers>) -> Self {
        Self::with_threads(limits, workers, 1, 1)
    }

    /// For several.
    pub(super) fn shared(limits: Limits, workers: Arc<dyn Workers>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(limits, workers, APPEND_THREADS, cores)
    }

    fn with_threads(limits: Limits, workers: Arc<dyn Workers>, append: usize, upkeep: usize) -> Self {
        let indexes = MemoryPool::new(limits.index_bytes);
        let bloom_bytes = indexes.cache_bytes() / BLOOM_SHARE;
        Self {
            blooms: BloomCache::new(bloom_bytes),
            readers: Readers::new(indexes.cache_bytes() - bloom_bytes),
            pages: Arc::new(PageCache::with_workers(limits.page_bytes, workers)),
            counts: CountCache::new(limits.count_bytes),
            open: Arc::new(DescriptorTable::new(limits.open_files)),
            crews: Crews { append: Crew::new("flowseek-append", append), upkeep: Crew::new("flowseek-upkeep", upkeep) },
            indexes,
        }
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            index_bytes: self.indexes.taken_bytes() + self.blooms.bytes(),
            page_bytes: self.pages.bytes(),
            count_bytes: self.counts.bytes(),
            open_files: self.open.open_files(),
        }
    }
}

/// What an archive holds at the moment, or all that share their limits; each is bounded by one of its
/// [`Settings`](super::Settings).
///
/// ```
/// use flowseek::{Archive, Filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let archive = Archive::open("testdata/archive")?;
/// assert_eq!(archive.memory().page_bytes, 0);
/// archive.snapshot()?.query(Filter::all()).page().await?;
/// let (memory, settings) = (archive.memory(), archive.settings());
/// assert!(memory.page_bytes > 0 && memory.page_bytes <= settings.page_cache_bytes);
/// assert!(memory.index_bytes <= settings.index_cache_bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Memory {
    /// Bytes of footers, indexes and Bloom filters, at most [`Settings::index_cache_bytes`](super::Settings::index_cache_bytes).
    pub index_bytes: u64,
    /// Bytes of pages, at most [`Settings::page_cache_bytes`](super::Settings::page_cache_bytes).
    pub page_bytes: u64,
    /// Bytes of counts, at most [`Settings::count_cache_bytes`](super::Settings::count_cache_bytes).
    pub count_bytes: u64,
    /// Segments that are open, at most [`Settings::open_files`](super::Settings::open_files).
    pub open_files: usize,
}

/// Segments that are open, of all archives, by the numbers of these and the paths of those.
#[derive(Debug)]
pub(super) struct Readers(Cache<SegmentKey, Arc<SegmentReader>, ReaderWeighter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SegmentKey {
    archive: u64,
    path: String,
}

/// The same, borrowed.
#[derive(Hash)]
struct SegmentName<'a> {
    archive: u64,
    path: &'a str,
}

impl Equivalent<SegmentKey> for SegmentName<'_> {
    fn equivalent(&self, key: &SegmentKey) -> bool {
        self.archive == key.archive && self.path == key.path
    }
}

#[derive(Clone, Debug)]
struct ReaderWeighter;

impl Weighter<SegmentKey, Arc<SegmentReader>> for ReaderWeighter {
    fn weight(&self, key: &SegmentKey, reader: &Arc<SegmentReader>) -> u64 {
        (key.path.len() + reader.memory()) as u64
    }
}

impl Readers {
    fn new(bytes: u64) -> Self {
        // A segment's footer and index take about a megabyte.
        let segments = usize::try_from(bytes >> 20).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(segments, bytes, ReaderWeighter))
    }

    pub(super) fn get(&self, archive: u64, path: &str) -> Option<Arc<SegmentReader>> {
        self.0.get(&SegmentName { archive, path })
    }

    /// The same, and nothing is kept longer for it.
    pub(super) fn peek(&self, archive: u64, path: &str) -> Option<Arc<SegmentReader>> {
        self.0.peek(&SegmentName { archive, path })
    }

    pub(super) fn insert(&self, archive: u64, path: &str, reader: Arc<SegmentReader>) {
        self.0.insert(SegmentKey { archive, path: path.to_owned() }, reader);
    }

    /// Forgets those of an archive that `is_kept` does not say are to stay; the answer is what their parts are cached under.
    pub(super) fn retain(&self, archive: u64, is_kept: impl Fn(&str) -> bool) -> HashSet<u64> {
        let gone = Mutex::new(HashSet::new());
        self.0.retain(|key, reader| {
            let stays = key.archive != archive || is_kept(&key.path);
            if !stays {
                gone.lock().unwrap_or_else(PoisonError::into_inner).insert(reader.number());
            }
            stays
        });
        gone.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
