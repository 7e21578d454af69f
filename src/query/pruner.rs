//! Which segments and blocks are candidates, and which part of the filter has dropped the others.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Dropped, Explain,
    condition::Conditions,
    frontier::Block,
    goal::{Candidacy, Goal},
};
use crate::{
    error::{Error, Result},
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Span, ValueRef},
    order::Key,
    segment::{Effort, Needles, Probes, RowReader, SegmentReader, Selection},
};

/// Where fewer flows of a block match, by what the lists tell of each part of the filter, the rows of the parts are compared
/// before the block is a candidate: most of such blocks hold none.
const FEW: f64 = 2.0;

/// Chooses candidates by zone maps and posting lists, and counts what it drops.
#[derive(Debug)]
pub(super) struct Pruner {
    /// How much is read of the lists.
    effort: Effort,
    /// Segments and blocks that were dropped because of one part of the filter.
    dropped: BTreeMap<usize, (u64, u64)>,
    /// Made for the first segment that a filter is asked for.
    needles: Option<Needles>,
    /// What the lists of the segments tell that have candidates.
    probes: BTreeMap<usize, Probes>,
}

impl Pruner {
    pub(super) fn new(effort: Effort) -> Self {
        Self { effort, dropped: BTreeMap::new(), needles: None, probes: BTreeMap::new() }
    }

    /// The candidates among the blocks of a segment, and their keys. Puts `conditions` in order by what the posting lists
    /// tell.
    pub(super) async fn blocks(
        &mut self,
        goal: &Goal,
        (segment, reader): (usize, &Arc<SegmentReader>),
        rows: &RowReader,
        conditions: &mut Conditions,
        explain: &mut Explain,
    ) -> Result<Vec<(Key, Block)>> {
        let filter = &goal.filter;
        if filter.verdict(&reader.whole()) == Verdict::Never {
            self.drop_segment(goal, &reader.whole(), explain);
            return Ok(Vec::new());
        }
        let needles = self.needles.get_or_insert_with(|| Needles::new(filter));
        if let Some(part) = needles.missing(reader, rows)? {
            explain.segments_never += 1;
            self.blame(Some(part), 1, 0);
            return Ok(Vec::new());
        }
        let mut probes = Probes::ask(filter, reader, rows, self.effort).await?;
        if filter.verdict(&probes.whole(reader)) == Verdict::Never {
            self.drop_segment(goal, &probes.whole(reader), explain);
            return Ok(Vec::new());
        }
        conditions.order(filter, reader, &probes);
        let all = reader.blocks().len();
        explain.blocks += all as u64;
        // The list of the rarest value names the blocks, or their start times tell, so that the others need not be looked at.
        let timed = reader.blocks_in(filter.start_times());
        let (part, blocks) = match probes.rarest().filter(|(_, blocks)| blocks.len() <= timed.len()) {
            Some((part, blocks)) => (Some(part), blocks),
            None => (part_of_time(filter), timed.collect()),
        };
        let others = (all - blocks.len()) as u64;
        explain.blocks_never += others;
        self.blame(part, 0, others);
        let (mut candidates, mut few) = (Vec::with_capacity(blocks.len()), Vec::new());
        for block in blocks {
            let bounds = probes.block(reader, block);
            match goal.candidacy(&bounds) {
                Candidacy::Never => {
                    explain.blocks_never += 1;
                    self.blame(first_never(filter, &bounds), 0, 1);
                }
                Candidacy::Passed => explain.blocks_done += 1,
                Candidacy::Candidate { key, whole } => {
                    let matches = filter.count(&bounds);
                    let is_asked = self.effort == Effort::Count && matches.is_none();
                    let is_few = is_asked || probes.expected(reader, block).is_some_and(|expected| expected < FEW);
                    few.extend(is_few.then_some(block));
                    let rows = reader.block_rows(block).len();
                    candidates.push((key, Block { segment, block, rows, whole, matches, pages: u8::MAX }));
                }
                Candidacy::Unknown => return Err(unbounded()),
            }
        }
        let mut none = probes.join(reader, rows, &few).await?;
        few.retain(|block| none.binary_search(block).is_err());
        let mut counted = Vec::new();
        for block in few {
            match probes.rows(reader, rows, block).await? {
                Some(selection) if selection.rows.is_empty() => none.push(block),
                Some(selection) if selection.open.is_empty() => counted.push((block, selection.rows.len() as u64)),
                _ => {}
            }
        }
        none.sort_unstable();
        candidates.retain_mut(|(_, candidate)| {
            let block = candidate.block;
            if none.binary_search(&block).is_ok() {
                explain.blocks_never += 1;
                return false;
            }
            if let Ok(place) = counted.binary_search_by_key(&block, |(block, _)| *block) {
                candidate.matches = counted.get(place).map(|(_, matches)| *matches);
            }
            if !candidate.whole {
                candidate.pages = probes.pages(filter, block) & pages_in_time(filter, reader, block);
            }
            true
        });
        if !candidates.is_empty() && probes.tells_rows() {
            self.probes.insert(segment, probes);
        }
        Ok(candidates)
    }

    /// The rows of a block of a segment that can match; `None` where no list tells.
    pub(super) async fn rows(
        &self,
        block: &Block,
        reader: &Arc<SegmentReader>,
        rows: &RowReader,
    ) -> Result<Option<Selection>> {
        match self.probes.get(&block.segment) {
            Some(probes) => probes.rows(reader, rows, block.block).await,
            None => Ok(None),
        }
    }

    /// Forgets what lists tell, and what is looked for in them: another filter is to be asked for.
    pub(super) fn forget(&mut self) {
        self.needles = None;
        self.probes.clear();
    }

    /// Counts a segment in which no flow matches, by its `bounds`.
    pub(super) fn drop_segment(&mut self, goal: &Goal, bounds: &impl Bounds, explain: &mut Explain) {
        explain.segments_never += 1;
        self.blame(first_never(&goal.filter, bounds), 1, 0);
    }

    /// Counts what was dropped because of a part of the filter.
    fn blame(&mut self, part: Option<usize>, segments: u64, blocks: u64) {
        let Some(part) = part else { return };
        let sum = self.dropped.entry(part).or_default();
        *sum = (sum.0 + segments, sum.1 + blocks);
    }

    /// What was dropped because of each part of the filter.
    pub(super) fn dropped(&self, filter: &Filter) -> Vec<Dropped> {
        let named = |(part, (segments, blocks)): (&usize, &(u64, u64))| {
            let predicate = filter.conjuncts().get(*part)?.brief();
            Some(Dropped { predicate, segments: *segments, blocks: *blocks })
        };
        self.dropped.iter().filter_map(named).collect()
    }
}

/// The bounds of a segment or a block lack a sort key.
pub(super) fn unbounded() -> Error {
    Error::internal("the bounds of a segment lack a sort key")
}

/// All blocks of a segment, as candidates of which nothing is known.
pub(super) fn all_blocks(segment: usize, reader: &SegmentReader) -> impl Iterator<Item = Block> + '_ {
    let block = move |block| {
        let rows = reader.block_rows(block).len();
        Block { segment, block, rows, whole: false, matches: None, pages: u8::MAX }
    };
    (0..reader.blocks().len()).map(block)
}

/// The first part of a filter by which no flow within `bounds` matches, as none does: its place among the parts.
fn first_never(filter: &Filter, bounds: &impl Bounds) -> Option<usize> {
    match filter.conjuncts() {
        // No flow matches: there is nothing else to blame.
        [_] => Some(0),
        parts => parts.iter().position(|part| part.verdict(bounds) == Verdict::Never),
    }
}

/// The place of the first part of a filter that tests the start time.
fn part_of_time(filter: &Filter) -> Option<usize> {
    let is_of_time = |part: &Filter| matches!(part, Filter::Test(test) if test.field() == Some(Field::StartTime));
    filter.conjuncts().iter().position(is_of_time)
}

/// The pages of a block in which a flow can match by its start time: bit 0 is the first.
pub(super) fn pages_in_time(filter: &Filter, reader: &SegmentReader, block: usize) -> u8 {
    let shape = reader.shape();
    let rows = reader.block_rows(block);
    let first = rows.start / shape.page_rows;
    let never = |page: &usize| {
        let times = reader.page_times(*page);
        times.is_some_and(|times| filter.verdict(&PageTimes(times)) == Verdict::Never)
    };
    let excluded = (first..rows.end.div_ceil(shape.page_rows)).filter(never);
    excluded.fold(u8::MAX, |pages, page| pages & !(1 << (page - first).min(7)))
}

/// The oldest and the newest start time of a page, as its bounds.
struct PageTimes((u64, u64));

impl Bounds for PageTimes {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        let (oldest, newest) = self.0;
        let time = |ordinal: u64| ValueRef::Number(ordinal.into());
        (field == Field::StartTime).then(|| Span { values: Some((time(oldest), time(newest))), absent: false })
    }

    fn flag_masks(&self) -> (u8, u8) {
        (u8::MAX, 0)
    }
}
