//! Best bound first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use super::{
    Dropped, Explain, Pruning, Query,
    budget::Spending,
    condition::{Conditions, parts},
    exec::Scanner,
    kept::{Found, Kept},
    plan::{Block, Frontier, Goal, Outlook, Place, is_behind},
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Span, ValueRef},
    order::{Key, Position},
    segment::{Effort, Probes, ReadCounters, RowReader, SegmentReader, grouped},
};

/// The largest number of blocks that are read in one go.
const LARGEST_ROUND: usize = 64;

/// What a search has found, best first.
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    /// Where the budget was spent: what comes from this key on was not searched.
    pub(super) stopped_before: Option<Key>,
}

pub(super) struct Search<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) goal: Goal,
    pruning: Pruning,
    pub(super) spending: Spending,
    pub(super) scanner: Scanner,
    pub(super) readers: BTreeMap<usize, Arc<SegmentReader>>,
    /// Segments of which nothing is looked at.
    pub(super) left_out: BTreeSet<usize>,
    pub(super) explain: Explain,
    /// Segments and blocks that were passed over because of a part of the filter.
    blamed: BTreeMap<usize, (u64, u64)>,
    pub(super) started: Instant,
}

impl<'a> Search<'a> {
    pub(super) fn new(query: &'a Query, position: Option<Position>, now: Instant) -> Self {
        let snapshot = &query.snapshot;
        let reader = RowReader::new(Arc::clone(snapshot.archive().pages()), Arc::new(ReadCounters::default()));
        let filter = Arc::new(grouped(&query.filter));
        Self {
            snapshot,
            goal: Goal { filter, order: Arc::new(query.order.clone()), position },
            pruning: query.pruning,
            spending: Spending::new(query.budget, now),
            scanner: Scanner { reader },
            readers: BTreeMap::new(),
            left_out: BTreeSet::new(),
            explain: Explain {
                segments: snapshot.manifest().segments.len() as u64,
                bytes: snapshot.manifest().segments.iter().map(|segment| segment.bytes).sum(),
                ..Explain::default()
            },
            blamed: BTreeMap::new(),
            started: now,
        }
    }

    /// Goes on behind what was found.
    pub(super) fn pass(&mut self, results: Results) {
        let end = match results.stopped_before {
            Some(frontier) => Some(Position::before(frontier)),
            None => results.found.last().map(|last| Position::after(last.key.clone())),
        };
        self.goal.position = end.or(self.goal.position.take());
    }

    pub(super) async fn reader(&mut self, segment: usize) -> Result<Arc<SegmentReader>> {
        if let Some(reader) = self.readers.get(&segment) {
            return Ok(Arc::clone(reader));
        }
        let entry = self.snapshot.manifest().segments.get(segment);
        let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
        let reader = self.snapshot.reader(entry).await?;
        self.explain.segments_opened += 1;
        self.readers.insert(segment, Arc::clone(&reader));
        Ok(reader)
    }

    /// The first `want` flows behind the position.
    pub(super) async fn find(&mut self, want: usize) -> Result<Results> {
        let order = Arc::clone(&self.goal.order);
        let mut kept = Kept::new(Arc::clone(&order), want);
        let mut frontier = self.frontier().await?;
        let mut conditions = Conditions::new(&self.goal)?;
        let mut read = Vec::new();
        let mut round_size = 1;
        let mut stopped_before = None;
        loop {
            let round = self.round(&mut frontier, &kept, round_size, &mut conditions).await?;
            if round.is_empty() {
                break;
            }
            self.read(&round, &conditions, &mut kept).await?;
            read.extend(round);
            round_size = (round_size * 2).min(LARGEST_ROUND);
            if self.pruning == Pruning::On && self.spending.is_spent() {
                stopped_before = frontier.best().filter(|best| self.is_progress(best, &kept, &read)).cloned();
                if stopped_before.is_some() {
                    self.explain.budget_spent = true;
                    break;
                }
            }
        }
        let mut found = kept.into_sorted();
        if let Some(frontier) = &stopped_before {
            found.retain(|found| order.compare(&found.key, frontier).is_lt());
        }
        Ok(Results { found, stopped_before })
    }

    /// Whether a page may end before `frontier`, the best key of what was not read: it must answer a flow, or be done
    /// with a block for good. A cursor that only moves on in the order could lead through the same blocks for ever.
    fn is_progress(&self, frontier: &Key, kept: &Kept, read: &[Block]) -> bool {
        let order = &self.goal.order;
        if kept.worst().is_some_and(|worst| order.compare(&worst.key, frontier).is_lt()) {
            // The page is full and nothing better is left: the search ends by itself.
            return false;
        }
        let position = Position::before(frontier.clone());
        let is_done = |block: &Block| {
            let reader = self.readers.get(&block.segment);
            reader.is_some_and(|reader| is_behind(order, &position, &reader.blocks().block(block.block)))
        };
        kept.any_before(frontier) || read.iter().any(is_done)
    }

    /// The segments of the snapshot that may hold something of the page.
    async fn frontier(&mut self) -> Result<Frontier> {
        let mut frontier = Frontier::new(Arc::clone(&self.goal.order));
        let snapshot = self.snapshot;
        for (segment, entry) in snapshot.manifest().segments.iter().enumerate() {
            if self.left_out.contains(&segment) {
                continue;
            }
            if self.pruning == Pruning::Off {
                frontier.push(Key::new(), Place::Segment(segment));
                continue;
            }
            let mut outlook = self.goal.outlook(entry);
            if outlook == Outlook::Unknown {
                let reader = self.reader(segment).await?;
                outlook = self.goal.outlook(&reader.whole());
            }
            match outlook {
                Outlook::Never => {
                    self.explain.segments_never += 1;
                    let part = match self.readers.get(&segment) {
                        Some(reader) => to_blame(&self.goal.filter, &reader.whole()),
                        None => to_blame(&self.goal.filter, entry),
                    };
                    self.blame(part, 1, 0);
                }
                Outlook::Done => self.explain.segments_done += 1,
                Outlook::Ahead { key, .. } => frontier.push(key, Place::Segment(segment)),
                Outlook::Unknown => return Err(unbounded()),
            }
        }
        Ok(frontier)
    }

    /// The next blocks to read, the best first, and none that cannot matter any more: as many as hold what is wanted
    /// where that is known, else at most `size`.
    async fn round(
        &mut self,
        frontier: &mut Frontier,
        kept: &Kept,
        size: usize,
        conditions: &mut Conditions,
    ) -> Result<Vec<Block>> {
        let mut round = Vec::with_capacity(size);
        let missing = kept.missing() as u64;
        let mut expected = Some(0);
        while round.len() < LARGEST_ROUND
            && match expected {
                Some(expected) if expected > 0 => expected < missing,
                _ => round.len() < size,
            }
        {
            let order = &self.goal.order;
            let beaten = |best: &Key| kept.worst().is_some_and(|worst| order.compare(best, &worst.key).is_gt());
            if self.pruning == Pruning::On && frontier.best().is_some_and(beaten) {
                break;
            }
            let Some(candidate) = frontier.pop() else { break };
            match candidate.place {
                Place::Block(block) => {
                    expected = expected.zip(block.matches).map(|(expected, matches)| expected + matches);
                    round.push(block);
                }
                Place::Segment(segment) => self.look_into(segment, frontier, conditions).await?,
            }
        }
        Ok(round)
    }

    /// Puts the blocks of a segment to the candidates.
    async fn look_into(&mut self, segment: usize, frontier: &mut Frontier, conditions: &mut Conditions) -> Result<()> {
        let reader = self.reader(segment).await?;
        let blocks = reader.blocks().len();
        if self.pruning == Pruning::Off {
            self.explain.blocks += blocks as u64;
            for block in 0..blocks {
                let block = Block { segment, block, whole: false, matches: None, pages: u8::MAX };
                frontier.push(Key::new(), Place::Block(block));
            }
            return Ok(());
        }
        let filter = Arc::clone(&self.goal.filter);
        let mut never = filter.verdict(&reader.whole()) == Verdict::Never;
        let mut part = to_blame(&filter, &reader.whole());
        if !never {
            let probes = Probes::ask(&filter, &reader, &self.scanner.reader, Effort::Page).await?;
            never = filter.verdict(&probes.whole(&reader)) == Verdict::Never;
            part = to_blame(&filter, &probes.whole(&reader));
            if !never {
                conditions.order(&filter, &reader, &probes);
                return self.look_at_blocks(segment, &reader, &probes, frontier);
            }
        }
        self.explain.segments_never += 1;
        self.blame(part, 1, 0);
        Ok(())
    }

    fn look_at_blocks(
        &mut self,
        segment: usize,
        reader: &SegmentReader,
        probes: &Probes<'_>,
        frontier: &mut Frontier,
    ) -> Result<()> {
        let filter = Arc::clone(&self.goal.filter);
        for block in 0..reader.blocks().len() {
            self.explain.blocks += 1;
            let bounds = probes.block(reader, block);
            match self.goal.outlook(&bounds) {
                Outlook::Never => {
                    self.explain.blocks_never += 1;
                    self.blame(to_blame(&filter, &bounds), 0, 1);
                }
                Outlook::Done => self.explain.blocks_done += 1,
                Outlook::Ahead { key, whole } => {
                    let matches = filter.count(&bounds);
                    let pages =
                        if whole { u8::MAX } else { probes.pages(&filter, block) & in_time(&filter, reader, block) };
                    frontier.push(key, Place::Block(Block { segment, block, whole, matches, pages }));
                }
                Outlook::Unknown => return Err(unbounded()),
            }
        }
        Ok(())
    }

    /// Counts what was passed over because of a part of the filter.
    fn blame(&mut self, part: Option<usize>, segments: u64, blocks: u64) {
        let Some(part) = part else { return };
        let sum = self.blamed.entry(part).or_default();
        *sum = (sum.0 + segments, sum.1 + blocks);
    }

    /// What was passed over because of one part of the filter.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        let told = |(part, (segments, blocks)): (&usize, &(u64, u64))| {
            let predicate = parts(&self.goal.filter).get(*part)?.to_string();
            Some(Dropped { predicate, segments: *segments, blocks: *blocks })
        };
        self.blamed.iter().filter_map(told).collect()
    }
}

/// The part of a filter by which no flow within `bounds` matches, where there is one: its place among the parts.
fn to_blame(filter: &Filter, bounds: &impl Bounds) -> Option<usize> {
    parts(filter).iter().position(|part| part.verdict(bounds) == Verdict::Never)
}

/// The pages of a block in which a flow can match by its start time: bit 0 is the first.
fn in_time(filter: &Filter, reader: &SegmentReader, block: usize) -> u8 {
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

pub(super) fn unbounded() -> Error {
    Error::internal("the bounds of a segment say nothing of a sort key")
}
