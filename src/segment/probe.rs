//! What the lists of a segment tell of a filter.

use std::sync::Arc;

use super::{BlockBounds, RowReader, SegmentReader, index::LISTS};
use crate::{
    error::Result,
    filter::{Bounds, Filter},
    flow::{Field, Span},
};

/// For a page no more chunks of a list are looked at, and no more whose values all pass: what touches more matches much,
/// and a page of it is soon full.
const MOST_CHUNKS: (usize, usize) = (96, 3);

/// How much is read of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What finds a page sooner than without.
    Page,
    /// All that tells how many flows match.
    Count,
}

/// The flows of a block that pass a part of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u32,
    /// The pages of the block that hold them: bit 0 is the first.
    pub(super) pages: u8,
}

/// How many flows of each block pass the parts of a filter that the lists of a segment answer.
#[derive(Debug)]
pub struct Probes<'f> {
    parts: Vec<(&'f Filter, Vec<Tally>)>,
}

/// The same filter, with those parts side by side that one list answers together.
pub fn grouped(filter: &Filter) -> Filter {
    LISTS.iter().filter(|fields| fields.len() > 1).fold(filter.clone(), |filter, fields| filter.grouped(fields))
}

impl<'f> Probes<'f> {
    /// Asks the lists of `segment`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where a list is not what was written,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
    pub async fn ask(
        filter: &'f Filter,
        segment: &Arc<SegmentReader>,
        reader: &RowReader,
        effort: Effort,
    ) -> Result<Self> {
        let (most, most_inside) = match effort {
            Effort::Page => MOST_CHUNKS,
            Effort::Count => (usize::MAX, usize::MAX),
        };
        let mut wanted = Vec::new();
        listed(filter, segment, &mut wanted);
        let mut parts = Vec::with_capacity(wanted.len());
        for part in wanted {
            let Some(touched) = segment.directory().touched(part, most, most_inside) else { continue };
            let chunks: Vec<_> = touched.chunks.iter().map(|(chunk, _, _)| *chunk).collect();
            let lists = reader.cache().lists(segment, &chunks, reader.counters()).await?;
            let mut tallies = vec![Tally::default(); segment.blocks().len()];
            for ((chunk, low, high), bytes) in touched.chunks.iter().zip(lists) {
                let tallied = chunk.tally(&bytes, touched.list, part, (low, high), &mut tallies);
                tallied.map_err(|error| segment.named(error))?;
            }
            parts.push((part, tallies));
        }
        Ok(Self { parts })
    }

    /// The segment as a whole, as its bounds and lists tell of it.
    pub fn whole<'a>(&'a self, segment: &'a SegmentReader) -> ProbedBlock<'a> {
        ProbedBlock { bounds: segment.whole(), probes: self, block: None }
    }

    /// A block, as the bounds and lists of its segment tell of it.
    pub fn block<'a>(&'a self, segment: &'a SegmentReader, block: usize) -> ProbedBlock<'a> {
        ProbedBlock { bounds: segment.blocks().block(block), probes: self, block: Some(block) }
    }

    /// The pages of a block that can hold a flow that matches, as far as the lists tell: bit 0 is the first.
    pub fn pages(&self, filter: &Filter, block: usize) -> u8 {
        if let Some(tallies) = self.tallies(filter) {
            return tallies.get(block).map_or(u8::MAX, |tally| tally.pages);
        }
        match filter {
            Filter::And(filters) => filters.iter().fold(u8::MAX, |pages, filter| pages & self.pages(filter, block)),
            Filter::Or(filters) => filters.iter().fold(0, |pages, filter| pages | self.pages(filter, block)),
            Filter::Test(_) | Filter::Not(_) => u8::MAX,
        }
    }

    fn tallies(&self, part: &Filter) -> Option<&[Tally]> {
        // The parts are those of the one filter that was asked for, so that it is the same part tells its address.
        let (_, tallies) = self.parts.iter().find(|(probed, _)| std::ptr::eq(*probed, part))?;
        Some(tallies)
    }
}

/// The largest parts of a filter of which each is answered by one list.
fn listed<'f>(filter: &'f Filter, segment: &SegmentReader, parts: &mut Vec<&'f Filter>) {
    if segment.directory().lists(filter) {
        parts.push(filter);
        return;
    }
    match filter {
        Filter::Test(_) => {}
        Filter::And(filters) | Filter::Or(filters) => filters.iter().for_each(|each| listed(each, segment, parts)),
        Filter::Not(filter) => listed(filter, segment, parts),
    }
}

/// A block, or a segment, as its bounds and lists tell of it.
#[derive(Clone, Copy, Debug)]
pub struct ProbedBlock<'a> {
    bounds: BlockBounds<'a>,
    probes: &'a Probes<'a>,
    block: Option<usize>,
}

impl Bounds for ProbedBlock<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        self.bounds.field(field)
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.bounds.flag_masks()
    }

    fn rows(&self) -> Option<u64> {
        Bounds::rows(&self.bounds)
    }

    fn passing(&self, part: &Filter) -> Option<u64> {
        let tallies = self.probes.tallies(part)?;
        match self.block {
            Some(block) => tallies.get(block).map(|tally| u64::from(tally.count)),
            None => Some(tallies.iter().map(|tally| u64::from(tally.count)).sum()),
        }
    }
}
