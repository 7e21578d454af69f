//! The segments that a search has open.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    archive::{SegmentEntry, Snapshot},
    error::{Error, Result},
    segment::SegmentReader,
};

/// The one place where a search opens segments and releases them. A segment stays open while candidates of it are left.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    snapshot: &'a Snapshot,
    pinned: BTreeMap<usize, Pin>,
    opened: BTreeSet<usize>,
}

/// A segment that is kept open.
#[derive(Debug)]
struct Pin {
    reader: Arc<SegmentReader>,
    /// How many candidates of it are left.
    candidates: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, pinned: BTreeMap::new(), opened: BTreeSet::new() }
    }

    /// The segments of the snapshot, in their order.
    pub(super) fn entries(&self) -> &'a [SegmentEntry] {
        &self.snapshot.manifest().segments
    }

    /// The snapshot that they belong to.
    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// A segment, opened for as long as the caller holds it.
    pub(super) async fn open(&mut self, segment: usize) -> Result<Arc<SegmentReader>> {
        if let Some(pin) = self.pinned.get(&segment) {
            return Ok(Arc::clone(&pin.reader));
        }
        let entry = self.entries().get(segment);
        let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
        let reader = self.snapshot.reader(entry).await?;
        self.opened.insert(segment);
        Ok(reader)
    }

    /// Keeps a segment open until so many candidates of it are [done](Self::done).
    pub(super) fn pin(&mut self, segment: usize, reader: Arc<SegmentReader>, candidates: usize) {
        if candidates > 0 {
            self.pinned.insert(segment, Pin { reader, candidates });
        }
    }

    /// A candidate of a segment is no longer one. With its last candidate the segment is released.
    pub(super) fn done(&mut self, segment: usize) {
        if let Some(pin) = self.pinned.get_mut(&segment) {
            pin.candidates -= 1;
            if pin.candidates == 0 {
                self.pinned.remove(&segment);
            }
        }
    }

    /// Releases all of them.
    pub(super) fn release(&mut self) {
        self.pinned.clear();
    }

    /// How many different segments were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.len() as u64
    }
}
