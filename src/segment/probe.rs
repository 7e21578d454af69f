//! What the lists of a segment tell of a filter.

use std::{collections::BTreeSet, sync::Arc};

use super::{BlockBounds, RowReader, SegmentReader, index::LISTS};
use crate::{
    error::Result,
    filter::{Bounds, Filter, Meaning, Test, evaluate},
    flow::{Field, Span},
};

/// For a page no more chunks of a list are looked at, and no more whose values all pass: what touches more matches much,
/// and a page of it is soon full.
const MOST_CHUNKS: (usize, usize) = (96, 3);

/// Of no more parts of a filter the lists are asked: the answer of each takes memory.
const MOST_PARTS: usize = 256;

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
    parts: Answers<'f, Vec<Tally>>,
}

/// What is known of some parts of one filter, found by their addresses. They are few and asked for often, once for each
/// block, so that to hash them would take longer than to find them.
#[derive(Debug)]
struct Answers<'f, T>(Vec<(&'f Filter, T)>);

impl<'f, T> Answers<'f, T> {
    /// Of each part one answer.
    fn new(mut answers: Vec<(&'f Filter, T)>) -> Self {
        answers.sort_unstable_by_key(|(part, _)| std::ptr::from_ref(*part));
        Self(answers)
    }

    fn get(&self, part: &Filter) -> Option<&T> {
        let place =
            self.0.binary_search_by_key(&std::ptr::from_ref(part), |(part, _)| std::ptr::from_ref(*part)).ok()?;
        self.0.get(place).map(|(_, answer)| answer)
    }
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
        let mut parts = Vec::new();
        for part in wanted(filter, segment) {
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
        Ok(Self { parts: Answers::new(parts) })
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
        evaluate(filter, &Pages { probes: self, block })
    }

    fn tallies(&self, part: &Filter) -> Option<&[Tally]> {
        self.parts.get(part).map(Vec::as_slice)
    }
}

/// The pages of a block that can hold a flow that matches.
struct Pages<'a> {
    probes: &'a Probes<'a>,
    block: usize,
}

impl Meaning for Pages<'_> {
    type Value = u8;

    fn test(&self, _test: &Test) -> u8 {
        u8::MAX
    }

    fn neutral(&self, all: bool) -> u8 {
        if all { u8::MAX } else { 0 }
    }

    fn join(&self, all: bool, left: u8, right: u8) -> u8 {
        if all { left & right } else { left | right }
    }

    fn not(&self, _value: u8) -> u8 {
        // A page that holds a flow that matches can hold one that does not.
        u8::MAX
    }

    fn known(&self, part: &Filter) -> Option<u8> {
        Some(self.probes.tallies(part)?.get(self.block).map_or(u8::MAX, |tally| tally.pages))
    }
}

/// What is asked of lists for a part of a filter.
struct Wanted<'f> {
    fields: BTreeSet<Field>,
    passes_absent: bool,
    parts: Vec<&'f Filter>,
}

/// The largest parts of a filter of which each is answered by one list, up to [`MOST_PARTS`].
fn wanted<'f>(filter: &'f Filter, segment: &SegmentReader) -> Vec<&'f Filter> {
    let all = |parts: &[Wanted<'_>]| parts.iter().all(|part| part.passes_absent);
    let any = |parts: &[Wanted<'_>]| parts.iter().any(|part| part.passes_absent);
    let wanted = filter.fold(|filter, parts: Vec<Wanted<'f>>| {
        let passes_absent = match filter {
            Filter::Test(test) => test.passes_absent(),
            Filter::And(_) => all(&parts),
            Filter::Or(_) => any(&parts),
            Filter::Not(_) => !all(&parts),
        };
        let mut fields = BTreeSet::new();
        if let Filter::Test(test) = filter {
            fields.insert(test.field());
        }
        fields.extend(parts.iter().flat_map(|part| &part.fields));
        let parts = if segment.directory().lists(&fields, passes_absent) {
            vec![filter]
        } else {
            parts.into_iter().flat_map(|part| part.parts).take(MOST_PARTS).collect()
        };
        Wanted { fields, passes_absent, parts }
    });
    wanted.parts
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
