//! The segments that a search looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::{Arc, atomic::Ordering},
};

use futures::future::{join, join_all};

use crate::{
    archive::{Known, SegmentEntry, Snapshot},
    error::{Error, Result},
    filter::{Filter, Verdict},
    flow::Field,
    resources::{Deadline, Pin},
    segment::{ReadCounters, SegmentReader, is_asked},
};

/// So many segments are opened side by side.
const MOST_TOGETHER: usize = 8;

/// Of so many segments Bloom filters are read in one go: of each a page or a few, of 4 kilobytes.
const MOST_BLOOMS: usize = 64;

/// The one place where a search opens segments.
///
/// A search holds the footer and the index of a segment while it works on it, and the memory for them; what it needs
/// again comes from the cache. It holds one [`Pin`] at a time, so that searches never wait for one another.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    snapshot: &'a Snapshot,
    /// Memory is waited for until then.
    deadline: Deadline,
    /// The segments that were opened, how many rows a page of each has, and which columns it has.
    opened: BTreeMap<usize, (usize, &'static [Field])>,
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

    /// What is known of a segment that is not open.
    pub(super) fn known(&self, segment: usize) -> Result<Known<'a>> {
        Ok(Known::of(self.entry(segment)?, self.snapshot))
    }

    /// What is known of a segment of which no flow passes a filter, by its Bloom filter: it need not be opened. `None` where
    /// flows may pass. What the Bloom filter tells of the filter is read if it is not in memory, and with it that of others
    /// that the search needs next, of which `next` names some, so many at most.
    pub(super) async fn excluded(
        &self,
        segment: usize,
        filter: &Filter,
        counters: &ReadCounters,
        next: impl FnOnce(usize) -> Vec<usize>,
    ) -> Result<Option<Known<'a>>> {
        let entry = self.entry(segment)?;
        if entry.bloom.is_none() || !is_asked(filter) {
            return Ok(None);
        }
        if self.snapshot.lacks_bloom(entry, filter) {
            let next = next(MOST_BLOOMS - 1);
            let next = next.iter().filter_map(|segment| self.entries().get(*segment));
            let entries: Vec<&SegmentEntry> = std::iter::once(entry).chain(next).collect();
            let read = self.snapshot.read_blooms(&entries, filter).await?;
            counters.read.fetch_add(read, Ordering::Relaxed);
        }
        let known = Known::of(entry, self.snapshot);
        Ok((filter.verdict(&known) == Verdict::Never).then_some(known))
    }

    /// A segment, opened. The caller holds no other.
    pub(super) async fn open(&mut self, segment: usize) -> Result<OpenSegment> {
        self.open_with(segment, |_| Vec::new()).await
    }

    /// The same. Where it must be opened, others are opened with it, side by side, of which `next` names some that the
    /// search needs next, so many at most. They are then open when it needs them. What cannot be opened, or not without
    /// waiting for memory, is left to be opened alone.
    pub(super) async fn open_with(
        &mut self,
        segment: usize,
        next: impl FnOnce(usize) -> Vec<usize>,
    ) -> Result<OpenSegment> {
        let entry = self.entry(segment)?;
        let pin = self.snapshot.pin(Snapshot::index_memory(entry), &self.deadline).await?;
        let reader = match self.snapshot.open_reader(entry) {
            Some(reader) => reader,
            None => {
                let next = next(MOST_TOGETHER - 1);
                join(self.snapshot.reader(entry), self.open_ahead(&next)).await.0?
            }
        };
        self.opened.insert(segment, (reader.shape().page_rows, reader.fields()));
        Ok(OpenSegment { reader, _pin: pin })
    }

    /// Opens those of some segments that are not open, as far as memory is free for them at once.
    async fn open_ahead(&self, segments: &[usize]) {
        let entries = segments.iter().filter_map(|segment| self.entries().get(*segment));
        let mut pins = Vec::new();
        let mut opening = Vec::new();
        for entry in entries.filter(|entry| self.snapshot.open_reader(entry).is_none()) {
            let Some(pin) = self.snapshot.try_pin(Snapshot::index_memory(entry)) else { break };
            pins.push(pin);
            opening.push(self.snapshot.reader(entry));
        }
        // An error is told to who needs the segment.
        drop(join_all(opening).await);
    }

    /// Segments, opened: a reader for each of `segments`, which may name one several times; for the first of them alone
    /// where there is not memory or time for all, and for one at least. The caller holds no other.
    pub(super) async fn open_all(&mut self, segments: impl Iterator<Item = usize>) -> Result<Open> {
        let entries = self.entries();
        let (mut chosen, mut distinct, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
        for segment in segments {
            if distinct.insert(segment) {
                bytes += entries.get(segment).map_or(0, Snapshot::index_memory);
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

    fn entry(&self, segment: usize) -> Result<&'a SegmentEntry> {
        self.entries().get(segment).ok_or_else(|| Error::internal("a segment is not in its manifest"))
    }

    async fn reader(&mut self, segment: usize) -> Result<Arc<SegmentReader>> {
        let reader = self.snapshot.reader(self.entry(segment)?).await?;
        self.opened.insert(segment, (reader.shape().page_rows, reader.fields()));
        Ok(reader)
    }

    /// How many rows a page has of a segment that was opened before.
    pub(super) fn page_rows(&self, segment: usize) -> Option<usize> {
        self.opened.get(&segment).map(|(page_rows, _)| *page_rows)
    }

    /// The columns that a segment has that was opened before.
    pub(super) fn fields(&self, segment: usize) -> &'static [Field] {
        self.opened.get(&segment).map_or(Field::ALL, |(_, fields)| fields)
    }

    /// How many different segments were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.len() as u64
    }
}
