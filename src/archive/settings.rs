//! How an archive is written, and what it may hold on to.

use std::{path::Path, sync::Arc};

use super::{
    files::Files,
    resources::{Limits, Resources},
};
use crate::{
    order::CursorKey,
    resources::{
        Clock, LocalStorage, Random, RuntimeWorkers, Storage, SystemClock, SystemRandom, Workers, default_open_files,
    },
    segment::SegmentOptions,
    setters::setters,
};

/// How an archive is written, and how much memory it may hold on to.
///
/// ```
/// use flowseek::Settings;
///
/// // Half of the memory that it takes by default, and segments of a million flows.
/// let settings = Settings::default().index_cache_bytes(128 << 20).page_cache_bytes(256 << 20).segment_rows(1_000_000);
/// assert_eq!(settings.count_cache_bytes, 4 << 20);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How segments are cut into blocks.
    pub segment: SegmentOptions,
    /// Flows of a segment, at most, and at most 2,097,152. While it is written the next one is gathered: the flows of
    /// both are in memory, at some 100 bytes each.
    pub segment_rows: usize,
    /// Bytes of memory for the footers, indexes and Bloom filters of segments. Three quarters of them are for what was used
    /// before, and the rest for what queries hold at the moment: a query waits until there is room.
    pub index_cache_bytes: u64,
    /// Bytes of memory for pages, decoded, and for lists of the indexes, likewise.
    pub page_cache_bytes: u64,
    /// Bytes of memory for exact counts: how many flows of a segment match a filter, for the filters asked for last. A
    /// count that its budget has interrupted goes on from there, where it is remembered.
    pub count_cache_bytes: u64,
    /// The key that cursors are sealed with, in place of the archive's own, which its manifest has. Cursors that were
    /// sealed with another are refused.
    pub cursor_key: Option<CursorKey>,
    /// Segments that are open at a time, at most: file descriptors. `None` is a quarter of what the process may open,
    /// at least 8 and at most 1,024. A search opens and closes files as it needs them.
    pub open_files: Option<usize>,
    /// What reads and changes the files.
    pub storage: Arc<dyn Storage>,
    /// The threads that wait for the files.
    pub workers: Arc<dyn Workers>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What names of files and keys are made of.
    pub random: Arc<dyn Random>,
    /// What archives share that are opened with these settings.
    resources: Option<Arc<Resources>>,
}

setters! {
    Settings {
        segment: SegmentOptions,
        segment_rows: usize,
        index_cache_bytes: u64,
        page_cache_bytes: u64,
        count_cache_bytes: u64,
        storage: Arc<dyn Storage>,
        workers: Arc<dyn Workers>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    }
    optional { cursor_key: CursorKey, open_files: usize }
}

/// Flows of a segment, at most, whatever the settings say: as many of the longest texts still have 32-bit offsets.
const MOST_ROWS: usize = 1 << 21;

impl Settings {
    /// The same, where all archives that are opened with these settings, or with a clone of them, share one set of limits:
    /// the bytes for indexes, pages and counts, and the open files, as they are now, are those of all of them together. What
    /// was used last stays, whichever archive it is of. Their [live appenders](crate::LiveAppender) share threads as well: 8 that write, and
    /// as many that compact as there are cores, which take turns, a job of one archive after that of another. Without this
    /// each archive has its own of everything. [`open_files`](field@Self::open_files) bounds segments; besides, an archive has a file open while it is
    /// read, and a live appender two.
    ///
    /// ```
    /// use flowseek::{Archive, Flow, Settings};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// // An archive for each tenant, and memory and files for all of them.
    /// let settings = Settings::default().page_cache_bytes(1 << 30).open_files(128).shared();
    /// let tenants = ["tenant-7", "tenant-8"];
    /// let archives = tenants.map(|tenant| Archive::open_or_create_with(directory.path().join(tenant), settings.clone()));
    /// let [seven, eight] = archives.map(Result::unwrap);
    /// # let mut appender = seven.appender()?;
    /// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
    /// # appender.commit()?;
    /// assert_eq!(seven.memory(), eight.memory()); // what both hold
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn shared(self) -> Self {
        let resources = Resources::shared(self.limits(), Arc::clone(&self.workers));
        Self { resources: Some(Arc::new(resources)), ..self }
    }

    /// What an archive that is opened with these settings has: its own, or what it shares.
    pub(super) fn resources(&self) -> Arc<Resources> {
        let own = || Arc::new(Resources::new(self.limits(), Arc::clone(&self.workers)));
        self.resources.as_ref().map_or_else(own, Arc::clone)
    }

    fn limits(&self) -> Limits {
        Limits {
            index_bytes: self.index_cache_bytes,
            page_bytes: self.page_cache_bytes,
            count_bytes: self.count_cache_bytes,
            open_files: self.open_files.unwrap_or_else(default_open_files),
        }
    }

    /// The files of the archive in a directory.
    pub(super) fn files(&self, path: &Path, resources: &Resources) -> Files {
        let (storage, random) = (Arc::clone(&self.storage), Arc::clone(&self.random));
        Files::new(path.to_owned(), storage, random, Arc::clone(&resources.open))
    }

    /// Flows of a segment, at most, and at least one.
    pub(crate) fn most_rows(&self) -> usize {
        self.segment_rows.clamp(1, MOST_ROWS)
    }
}

impl Default for Settings {
    /// Segments of 2,097,152 flows; 256 MiB for indexes, 512 MiB for pages, 4 MiB for counts; the archive's own key for
    /// cursors; a local file system, the threads of the runtime in which a query is polled, and the clock and the random
    /// numbers of the system.
    fn default() -> Self {
        Self {
            segment: SegmentOptions::default(),
            segment_rows: MOST_ROWS,
            index_cache_bytes: 256 << 20,
            page_cache_bytes: 512 << 20,
            count_cache_bytes: 4 << 20,
            cursor_key: None,
            open_files: None,
            storage: Arc::new(LocalStorage),
            workers: Arc::new(RuntimeWorkers),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            resources: None,
        }
    }
}
