//! The segments that a search looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::Arc,
};

use crate::{
    archive::{SegmentEntry, Snapshot},
    error::{Error, Result},
    resources::{Deadline, Pin},
    segment::SegmentReader,
};

/// The one place where a search opens segments.
///
/// A search holds the footer and the index of a segment while it works on it, and the memory for them; what it needs
/// again comes from the cache. It holds one [`Pin`] at a time, so that searches never wait for one another.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    snapshot: &'a Snapshot,
    /// Memory is waited for until then.
    deadline: Deadline,
    /// The segments that were opened, and how many rows a page of each has.
    opened: BTreeMap<usize, usize>,
}

/// Segments that are open, and the memory that they take, until this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) readers: Vec<Arc<SegmentReader>>,
    _pin: Pin,
}

/// A segment that is open, and the memory that it takes.
#[derive(Debug)]
pub(super) struct OpenSegment {
    reader: Arc<SegmentReader>,
    _pin: Pin,
}

impl Deref for OpenSegment {
    type Target = Arc<SegmentReader>;

    fn deref(&self) -> &Self::Target {
        &self.reader
    }
}

impl<'a> Segments<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, deadline: Deadline) -> Self {
        Self { snapshot, deadline, opened: BTreeMap::new() }
    }

    /// The segments of the snapshot, in their order.
    pub(super) fn entries(&self) -> &'a [SegmentEntry] {
        &self.snapshot.manifest().segments
    }

    /// The snapshot that they belong to.
    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// A segment, opened. The caller holds no other.
    pub(super) async fn open(&mut self, segment: usize) -> Result<OpenSegment> {
        let bytes = self.entries().get(segment).map_or(0, Snapshot::index_bytes);
        let pin = self.snapshot.pin(bytes, &self.deadline).await?;
        Ok(OpenSegment { reader: self.reader(segment).await?, _pin: pin })
    }

    /// Segments, opened: a reader for each of `segments`, which may name one several times; for the first of them alone
    /// where there is not memory or time for all, and for one at least. The caller holds no other.
    pub(super) async fn open_all(&mut self, segments: impl Iterator<Item = usize>) -> Result<Open> {
        let entries = self.entries();
        let (mut chosen, mut distinct, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
        for segment in segments {
            if distinct.insert(segment) {
                bytes += entries.get(segment).map_or(0, Snapshot::index_bytes);
                if bytes > self.snapshot.index_pin_bytes() && !chosen.is_empty() {
                    break;
                }
            }
            chosen.push(segment);
        }
        let pin = self.snapshot.pin(bytes, &self.deadline).await?;
        let mut readers = Vec::with_capacity(chosen.len());
        for segment in chosen {
            if !readers.is_empty() && self.deadline.is_over() {
                break;
            }
            readers.push(self.reader(segment).await?);
        }
        Ok(Open { readers, _pin: pin })
    }

    async fn reader(&mut self, segment: usize) -> Result<Arc<SegmentReader>> {
        let entry = self.entries().get(segment);
        let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
        let reader = self.snapshot.reader(entry).await?;
        self.opened.insert(segment, reader.shape().page_rows);
        Ok(reader)
    }

    /// How many rows a page has of a segment that was opened before.
    pub(super) fn page_rows(&self, segment: usize) -> Option<usize> {
        self.opened.get(&segment).copied()
    }

    /// How many different segments were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.len() as u64
    }
}
