//! Which segments an archive consists of: a directory of Parquet files, and numbered manifests that are written once.
//!
//! ```text
//! ARCHIVE/data/2022-11-01-<id>.parquet         a segment, named by the day of its newest flow
//! ARCHIVE/manifests/00000000000000000007.json  the segments that make version 7
//! ARCHIVE/lock                                 held by the one writing process
//! ```
//!
//! A commit first makes its segments durable, then publishes the next manifest in one atomic step: a reader sees all
//! of a commit or nothing of it, and so does whoever opens the archive after a crash.

mod commit;
mod counts;
mod files;
mod manifest;
mod snapshot;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

pub use commit::{Commit, Writer};
pub use manifest::{Manifest, SegmentEntry};
use quick_cache::{Weighter, sync::Cache};
pub use snapshot::Snapshot;

use self::{counts::CountCache, files::Files};
use crate::{
    error::{Error, ErrorKind, Result},
    segment::{PageCache, SegmentOptions, SegmentReader},
};

/// How an archive is written, and how much memory it may hold on to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How segments are cut into blocks.
    pub segment: SegmentOptions,
    /// Flows of a segment, at most, and at most 8,388,608. While it is written the next one is gathered: the flows of
    /// both are in memory, at some 100 bytes each.
    pub segment_rows: usize,
    /// Bytes of memory for the footers and indexes of segments that are not in use at the moment.
    pub index_cache_bytes: u64,
    /// Bytes of memory for pages, decompressed, and for lists of the indexes.
    pub page_cache_bytes: u64,
    /// Bytes of memory for exact counts: how many flows of a segment match a filter, for the filters asked for last.
    pub count_cache_bytes: u64,
}

impl Default for Settings {
    /// Segments of 2,097,152 flows; 256 MiB for indexes, 512 MiB for pages, 4 MiB for counts.
    fn default() -> Self {
        Self {
            segment: SegmentOptions::default(),
            segment_rows: 1 << 21,
            index_cache_bytes: 256 << 20,
            page_cache_bytes: 512 << 20,
            count_cache_bytes: 4 << 20,
        }
    }
}

/// What the caches of an archive hold; each is bounded by one of its [`Settings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes of footers and indexes, at most [`Settings::index_cache_bytes`].
    pub index_bytes: u64,
    /// Bytes of pages, at most [`Settings::page_cache_bytes`].
    pub page_bytes: u64,
    /// Bytes of counts, at most [`Settings::count_cache_bytes`].
    pub count_bytes: u64,
}

/// An archive of flows: a directory.
///
/// It is cheap to clone, and its clones share their caches. Opening and writing block on the file system; queries
/// do not.
///
/// ```
/// use flowseek::{Archive, Flow, Order, filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
///
/// let mut appender = archive.appender()?;
/// appender.push(&Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01.765Z".parse()?) })?;
/// appender.commit()?; // durable, and visible to every reader
///
/// let query = archive.snapshot()?.query(filter::dst_port().eq(443));
/// let page = query.order(Order::newest_first()).limit(100).page().await?;
/// assert_eq!(page.flows()?[0].flow.dst_port, Some(443));
/// assert!(page.next.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Archive {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Files,
    settings: Settings,
    newest: RwLock<Arc<Manifest>>,
    readers: Cache<String, Arc<SegmentReader>, ReaderWeighter>,
    pages: Arc<PageCache>,
    counts: CountCache,
}

#[derive(Clone, Debug)]
struct ReaderWeighter;

impl Weighter<String, Arc<SegmentReader>> for ReaderWeighter {
    fn weight(&self, path: &String, reader: &Arc<SegmentReader>) -> u64 {
        (path.len() + reader.memory()) as u64
    }
}

impl Archive {
    /// Opens the archive in a directory.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none; [`ErrorKind::Damaged`] or [`ErrorKind::Unsupported`] where its
    /// newest manifest cannot be read; [`ErrorKind::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Settings::default())
    }

    /// [`open`](Self::open), with settings.
    pub fn open_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        let files = Files::new(path.as_ref().to_owned());
        let Some(version) = files.newest_manifest()? else {
            let message = format!("there is no flow archive at {}", path.as_ref().display());
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        Self::at(files, settings, version)
    }

    /// Opens the archive in a directory, or creates one where there is nothing yet.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::InvalidInput`] where the directory holds something else.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_or_create_with(path, Settings::default())
    }

    /// [`open_or_create`](Self::open_or_create), with settings.
    pub fn open_or_create_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        let files = Files::new(path.as_ref().to_owned());
        let version = match files.newest_manifest()? {
            Some(version) => version,
            None => {
                files.create()?;
                // Another process may have been faster; then its first manifest serves as well.
                files.publish(&Manifest::first())?;
                Manifest::first().version
            }
        };
        Self::at(files, settings, version)
    }

    fn at(files: Files, settings: Settings, version: u64) -> Result<Self> {
        let newest = RwLock::new(Arc::new(files.manifest(version)?));
        // A segment's footer and index take about a megabyte.
        let segments = usize::try_from(settings.index_cache_bytes >> 20).unwrap_or(usize::MAX).max(16);
        let readers = Cache::with_weighter(segments, settings.index_cache_bytes, ReaderWeighter);
        let pages = Arc::new(PageCache::new(settings.page_cache_bytes));
        let counts = CountCache::new(settings.count_cache_bytes);
        Ok(Self { inner: Arc::new(Inner { files, settings, newest, readers, pages, counts }) })
    }

    /// The archive as it is now, whichever process wrote it last.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`], [`ErrorKind::Unsupported`] or [`ErrorKind::Io`] where a new manifest cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut manifest = Arc::clone(&self.inner.newest.read().unwrap_or_else(PoisonError::into_inner));
        // Versions follow on one another, so one look at the file system tells whether there is a newer one.
        while self.inner.files.has_manifest(manifest.version + 1) {
            manifest = Arc::new(self.inner.files.manifest(manifest.version + 1)?);
        }
        let mut newest = self.inner.newest.write().unwrap_or_else(PoisonError::into_inner);
        if newest.version < manifest.version {
            *newest = Arc::clone(&manifest);
        }
        drop(newest);
        Ok(Snapshot::new(self.clone(), manifest))
    }

    /// The right to write to the archive: one process and one writer at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where another writer has it; [`ErrorKind::Io`].
    pub fn writer(&self) -> Result<Writer> {
        Writer::new(self.clone())
    }

    /// How it is written and what it may hold on to.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.inner.files.root()
    }

    /// What it holds in memory.
    pub fn memory(&self) -> Memory {
        Memory {
            index_bytes: self.inner.readers.weight(),
            page_bytes: self.inner.pages.bytes(),
            count_bytes: self.inner.counts.bytes(),
        }
    }

    pub(crate) fn pages(&self) -> &Arc<PageCache> {
        &self.inner.pages
    }

    pub(crate) fn counts(&self) -> &CountCache {
        &self.inner.counts
    }

    fn segment_path(&self, entry: &SegmentEntry) -> PathBuf {
        self.inner.files.root().join(&entry.path)
    }
}
