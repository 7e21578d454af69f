//! Best bound first.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::array::RecordBatch;

use super::{
    Explain, Pruning, Query,
    budget::Spending,
    exec::Scanner,
    kept::{Found, Kept},
    plan::{Frontier, Goal, Outlook, Place, is_behind},
    read::{Block, Depth, Matching},
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::Verdict,
    order::{Key, Position},
    segment::{ReadCounters, SegmentReader},
};

/// The largest number of blocks that are read in one go.
const LARGEST_ROUND: usize = 64;

/// What a search has found, best first.
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    pub(super) batches: Vec<RecordBatch>,
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
    pub(super) explain: Explain,
    pub(super) started: Instant,
}

impl<'a> Search<'a> {
    pub(super) fn new(query: &'a Query, position: Option<Position>, now: Instant) -> Self {
        let snapshot = &query.snapshot;
        let scanner =
            Scanner { pages: Arc::clone(snapshot.archive().pages()), counters: Arc::new(ReadCounters::default()) };
        Self {
            snapshot,
            goal: Goal { filter: Arc::new(query.filter.clone()), order: Arc::new(query.order.clone()), position },
            pruning: query.pruning,
            spending: Spending::new(query.budget, now),
            scanner,
            readers: BTreeMap::new(),
            explain: Explain { segments: snapshot.manifest().segments.len() as u64, ..Explain::default() },
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
    pub(super) async fn find(&mut self, want: usize, depth: Depth) -> Result<Results> {
        let order = Arc::clone(&self.goal.order);
        let mut kept = Kept::new(Arc::clone(&order), want);
        let mut frontier = self.frontier().await?;
        let matching = Matching::new(&self.goal)?;
        let mut read = Vec::new();
        let mut round_size = 1;
        let mut stopped_before = None;
        loop {
            let round = self.round(&mut frontier, &kept, round_size).await?;
            if round.is_empty() {
                break;
            }
            self.read(&round, &matching, depth, &mut kept).await?;
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
        let (mut found, batches) = kept.into_sorted();
        if let Some(frontier) = &stopped_before {
            found.retain(|found| order.compare(&found.key, frontier).is_lt());
        }
        Ok(Results { found, batches, stopped_before })
    }

    /// Whether a page may end before `frontier`, the best key of what was not read: it must answer a flow, or be done
    /// with a block for good. A cursor that only moves on in the order could lead through the same blocks for ever.
    fn is_progress(&self, frontier: &Key, kept: &Kept, read: &[Block]) -> bool {
        let order = &self.goal.order;
        if kept.worst().is_some_and(|worst| order.compare(worst, frontier).is_lt()) {
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
                Outlook::Never => self.explain.segments_never += 1,
                Outlook::Done => self.explain.segments_done += 1,
                Outlook::Ahead { key, .. } => frontier.push(key, Place::Segment(segment)),
                Outlook::Unknown => return Err(unbounded()),
            }
        }
        Ok(frontier)
    }

    /// The next blocks to read, the best first, and none that cannot matter any more: as many as hold what is wanted
    /// where that is known, else at most `size`.
    async fn round(&mut self, frontier: &mut Frontier, kept: &Kept, size: usize) -> Result<Vec<Block>> {
        let mut round = Vec::with_capacity(size);
        let missing = (kept.want() - kept.len()) as u64;
        let mut expected = Some(0);
        while round.len() < LARGEST_ROUND
            && match expected {
                Some(expected) if expected > 0 => expected < missing,
                _ => round.len() < size,
            }
        {
            let order = &self.goal.order;
            let beaten = |best: &Key| kept.worst().is_some_and(|worst| order.compare(best, worst).is_gt());
            if self.pruning == Pruning::On && frontier.best().is_some_and(beaten) {
                break;
            }
            let Some(candidate) = frontier.pop() else { break };
            match candidate.place {
                Place::Block { segment, block, whole, matches } => {
                    expected = expected.zip(matches).map(|(expected, matches)| expected + matches);
                    round.push(Block { segment, block, whole });
                }
                Place::Segment(segment) => self.look_into(segment, frontier).await?,
            }
        }
        Ok(round)
    }

    async fn look_into(&mut self, segment: usize, frontier: &mut Frontier) -> Result<()> {
        let reader = self.reader(segment).await?;
        let blocks = reader.blocks();
        if self.pruning == Pruning::Off {
            self.explain.blocks += blocks.len() as u64;
            for block in 0..blocks.len() {
                frontier.push(Key::new(), Place::Block { segment, block, whole: false, matches: None });
            }
            return Ok(());
        }
        let filter = Arc::clone(&self.goal.filter);
        let never = filter.verdict(&reader.whole()) == Verdict::Never;
        let probes = if never { None } else { Some(self.scanner.probe(&filter, &reader).await?) };
        match probes.filter(|probes| filter.verdict(&probes.whole(&reader)) != Verdict::Never) {
            None => self.explain.segments_never += 1,
            Some(probes) => {
                let bounds = (0..blocks.len()).map(|block| probes.block(blocks, block));
                frontier.extend(&self.goal, segment, bounds, &mut self.explain)?;
            }
        }
        Ok(())
    }
}

pub(super) fn unbounded() -> Error {
    Error::internal("the bounds of a segment say nothing of a sort key")
}
