//! Best bound first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use super::{
    Explain, Pruning, Query,
    budget::Spending,
    condition::Conditions,
    exec::Scanner,
    kept::{Found, Kept},
    plan::{Block, Frontier, Goal, Outlook, Place, is_behind},
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    order::{Key, Position},
    segment::{ReadCounters, RowReader, SegmentReader, grouped},
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
    pub(super) pruning: Pruning,
    pub(super) spending: Spending,
    pub(super) scanner: Scanner,
    pub(super) readers: BTreeMap<usize, Arc<SegmentReader>>,
    /// Segments of which nothing is looked at.
    pub(super) left_out: BTreeSet<usize>,
    pub(super) explain: Explain,
    /// Segments and blocks that were passed over because of a part of the filter.
    pub(super) blamed: BTreeMap<usize, (u64, u64)>,
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
                Outlook::Never => match self.readers.get(&segment).cloned() {
                    Some(reader) => self.drop_segment(&reader.whole()),
                    None => self.drop_segment(entry),
                },
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
}

pub(super) fn unbounded() -> Error {
    Error::internal("the bounds of a segment say nothing of a sort key")
}
