//! How an archive is written, and what it may hold on to.

use std::sync::Arc;

use crate::{
    order::CursorKey,
    resources::{Clock, LocalStorage, Random, RuntimeWorkers, Storage, SystemClock, SystemRandom, Workers},
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
        }
    }
}
