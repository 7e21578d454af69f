//! What is known of a segment that is not open.

use super::{SegmentEntry, Snapshot};
use crate::{
    filter::{Bounds, Filter},
    flow::{Field, Span},
};

/// What is known of a segment that is not open: its zone map, and what is in memory of its Bloom filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    entry: &'a SegmentEntry,
    snapshot: &'a Snapshot,
}

impl<'a> Known<'a> {
    /// What is known of a segment of a snapshot.
    pub(crate) fn of(entry: &'a SegmentEntry, snapshot: &'a Snapshot) -> Self {
        Self { entry, snapshot }
    }
}

impl Bounds for Known<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        self.entry.bounds(field)
    }

    fn flag_masks(&self) -> (u8, u8) {
        Bounds::flag_masks(self.entry)
    }

    fn rows(&self) -> Option<u64> {
        Some(self.entry.rows)
    }

    fn passing(&self, part: &Filter) -> Option<u64> {
        let excluded = || self.snapshot.excludes(self.entry, part).then_some(0);
        self.entry.passing(part).or_else(excluded)
    }
}
