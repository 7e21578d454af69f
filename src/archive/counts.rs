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

/// Counts of segments: at most so many bytes of them. A segment never changes, so neither does its count. `None` where there
/// are to be none.
#[derive(Debug)]
pub(crate) struct CountCache(Option<Cache<(String, Arc<Filter>), Counted, CountWeighter>>);

#[derive(Clone, Debug)]
struct CountWeighter;

impl Weighter<(String, Arc<Filter>), Counted> for CountWeighter {
    fn weight(&self, (path, filter): &(String, Arc<Filter>), counted: &Counted) -> u64 {
        (path.len() + filter.memory() + size_of_val(counted)) as u64
    }
}

impl CountCache {
    pub(super) fn new(bytes: u64) -> Self {
        // A path and a filter take some hundred bytes.
        let filters = usize::try_from(bytes / 256).unwrap_or(usize::MAX).max(16);
        Self((bytes > 0).then(|| Cache::with_weighter(filters, bytes, CountWeighter)))
    }

    /// What was counted of the segment at `path`.
    pub(crate) fn get(&self, path: &str, filter: &Arc<Filter>) -> Option<Counted> {
        self.0.as_ref()?.get(&(path.to_owned(), Arc::clone(filter)))
    }

    pub(crate) fn insert(&self, path: &str, filter: &Arc<Filter>, counted: Counted) {
        if let Some(counts) = &self.0 {
            counts.insert((path.to_owned(), Arc::clone(filter)), counted);
        }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, Cache::weight)
    }
}
