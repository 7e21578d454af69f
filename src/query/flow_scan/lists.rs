//! Lists that tell of groups, and who goes through which of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::query::summary::Listing;

/// The lists of segments that tell of groups, which all partitions share.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) listing: Arc<Listing>,
    /// For each segment of the scan whether a partition has taken its list.
    taken: Vec<AtomicBool>,
}

impl Lists {
    /// Those of a scan of so many segments, none of them taken.
    pub(super) fn new(listing: Arc<Listing>, segments: usize) -> Arc<Self> {
        Arc::new(Self { listing, taken: (0..segments).map(|_| AtomicBool::new(false)).collect() })
    }

    /// Takes the list of the segment at a place; whether no other partition has. So the one that is through with its own
    /// sooner goes through more of them.
    pub(super) fn take(&self, place: usize) -> bool {
        self.taken.get(place).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
    }
}
