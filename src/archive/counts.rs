//! Exact counts that were asked for before.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::filter::Filter;

/// How many flows of a segment match a filter, as far as that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Of all its blocks.
    Whole(u64),
    /// Of so many of its blocks, from the first on. The budget has ended the count there.
    Part { blocks: usize, flows: u64 },
}

/// Counts of segments of all archives, by the numbers of these: at most so many bytes of them. A segment never changes, so
/// neither does its count. `None` where there are to be none.
#[derive(Debug)]
pub(super) struct CountCache(Option<Cache<Key, Counted, CountWeighter>>);

/// An archive, a segment of it, and a filter.
type Key = (u64, String, Arc<Filter>);

/// The counts of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts<'a> {
    cache: &'a CountCache,
    archive: u64,
}

#[derive(Clone, Debug)]
struct CountWeighter;

impl Weighter<Key, Counted> for CountWeighter {
    fn weight(&self, (_, path, filter): &Key, counted: &Counted) -> u64 {
        (path.len() + filter.memory() + size_of_val(counted)) as u64
    }
}

impl CountCache {
    pub(super) fn new(bytes: u64) -> Self {
        // A path and a filter take some hundred bytes.
        let filters = usize::try_from(bytes / 256).unwrap_or(usize::MAX).max(16);
        Self((bytes > 0).then(|| Cache::with_weighter(filters, bytes, CountWeighter)))
    }

    /// Those of an archive.
    pub(super) fn of(&self, archive: u64) -> Counts<'_> {
        Counts { cache: self, archive }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, Cache::weight)
    }
}

impl Counts<'_> {
    /// What was counted of the segment at `path`.
    pub(crate) fn get(&self, path: &str, filter: &Arc<Filter>) -> Option<Counted> {
        self.cache.0.as_ref()?.get(&(self.archive, path.to_owned(), Arc::clone(filter)))
    }

    pub(crate) fn insert(&self, path: &str, filter: &Arc<Filter>, counted: Counted) {
        if let Some(counts) = &self.cache.0 {
            counts.insert((self.archive, path.to_owned(), Arc::clone(filter)), counted);
        }
    }
}
