//! Exact counts that were asked for before.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::filter::Filter;

/// How many flows of a segment match a filter: at most so many bytes of that. A segment never changes, so neither does
/// its count.
#[derive(Debug)]
pub(crate) struct CountCache(Cache<(String, Arc<Filter>), u64, CountWeighter>);

#[derive(Clone, Debug)]
struct CountWeighter;

impl Weighter<(String, Arc<Filter>), u64> for CountWeighter {
    fn weight(&self, (path, filter): &(String, Arc<Filter>), _count: &u64) -> u64 {
        (path.len() + filter.memory() + size_of::<u64>()) as u64
    }
}

impl CountCache {
    pub(super) fn new(bytes: u64) -> Self {
        // A path and a filter take some hundred bytes.
        let filters = usize::try_from(bytes / 256).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(filters, bytes, CountWeighter))
    }

    /// What was counted of the segment at `path`.
    pub(crate) fn get(&self, path: &str, filter: &Arc<Filter>) -> Option<u64> {
        self.0.get(&(path.to_owned(), Arc::clone(filter)))
    }

    pub(crate) fn insert(&self, path: &str, filter: &Arc<Filter>, count: u64) {
        self.0.insert((path.to_owned(), Arc::clone(filter)), count);
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}
