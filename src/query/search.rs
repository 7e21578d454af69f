//! The first flows of an order, best bound first.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Explain, Pruning, Query,
    block_reader::{BlockReader, OpenBlock},
    budget::Spending,
    condition::Conditions,
    frontier::{Block, Candidate, Frontier},
    goal::{Candidacy, Goal, spans},
    pruner::{Pruner, all_blocks, unbounded},
    round::{LARGEST_ROUND, Round},
    scan::Scanner,
    segments::Segments,
    stop::is_progress,
    top_k::{Found, TopK},
};
use crate::{
    error::Result,
    order::{Key, Position, last_key},
    segment::{ReadCounters, RowReader, grouped},
};

/// What a search has found, best first.
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    /// Where the budget was spent: what comes from this key on was not searched.
    pub(super) stopped_before: Option<Key>,
}

/// A search of a snapshot: what it looks for, what it has open, and what it has spent.
pub(super) struct Search<'a> {
    pub(super) goal: Goal,
    pub(super) segments: Segments<'a>,
    pub(super) scanner: Scanner,
    pub(super) spending: Spending,
    pub(super) explain: Explain,
    pub(super) pruner: Pruner,
    /// Segments that are not searched.
    pub(super) left_out: BTreeSet<usize>,
    pruning: Pruning,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        query: &'a Query,
        position: Option<Position>,
        left_out: BTreeSet<usize>,
        spending: Spending,
    ) -> Self {
        let snapshot = &query.snapshot;
        let reader = RowReader::new(Arc::clone(snapshot.archive().pages()), Arc::new(ReadCounters::default()));
        let filter = Arc::new(grouped(&query.filter));
        Self {
            goal: Goal { filter, order: Arc::new(query.order.clone()), position },
            segments: Segments::new(snapshot),
            scanner: Scanner { reader },
            spending,
            explain: Explain {
                segments: snapshot.manifest().segments.len() as u64,
                bytes: snapshot.manifest().segments.iter().map(|segment| segment.bytes).sum(),
                ..Explain::default()
            },
            pruner: Pruner::default(),
            left_out,
            pruning: query.pruning,
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

    /// The first `want` flows behind the position.
    pub(super) async fn find(&mut self, want: usize) -> Result<Results> {
        let order = Arc::clone(&self.goal.order);
        let mut top = TopK::new(Arc::clone(&order), want);
        let mut frontier = self.frontier().await?;
        let mut conditions = Conditions::new(&self.goal)?;
        // For each block that was read, a key that no flow of it comes after.
        let mut read = Vec::new();
        let mut size = 1;
        let mut stopped_before = None;
        loop {
            let mut round = Round::new(size, top.missing());
            while let Some(segment) = round.fill(&mut frontier, &top) {
                self.look_into(segment, &mut frontier, &mut conditions).await?;
            }
            if round.blocks.is_empty() {
                break;
            }
            self.read(&round.blocks, &conditions, &mut top, &mut read).await?;
            size = (size * 2).min(LARGEST_ROUND);
            if self.pruning == Pruning::On && self.spending.is_spent() {
                stopped_before = frontier.best().filter(|best| is_progress(&order, best, &top, &read)).cloned();
                if stopped_before.is_some() {
                    self.explain.budget_spent = true;
                    break;
                }
            }
        }
        self.segments.release();
        let mut found = top.into_sorted();
        if let Some(frontier) = &stopped_before {
            found.retain(|found| order.compare(&found.key, frontier).is_lt());
        }
        Ok(Results { found, stopped_before })
    }

    /// The segments of the snapshot that may hold flows of the page.
    async fn frontier(&mut self) -> Result<Frontier> {
        let mut frontier = Frontier::new(Arc::clone(&self.goal.order));
        for (segment, entry) in self.segments.entries().iter().enumerate() {
            if self.left_out.contains(&segment) {
                continue;
            }
            if self.pruning == Pruning::Off {
                frontier.push(Key::new(), Candidate::Segment(segment));
                continue;
            }
            let mut candidacy = self.goal.candidacy(entry);
            if candidacy == Candidacy::Never {
                self.pruner.drop_segment(&self.goal, entry, &mut self.explain);
                continue;
            }
            if candidacy == Candidacy::Unknown {
                let reader = self.segments.open(segment).await?;
                candidacy = self.goal.candidacy(&reader.whole());
                if candidacy == Candidacy::Never {
                    self.pruner.drop_segment(&self.goal, &reader.whole(), &mut self.explain);
                    continue;
                }
            }
            match candidacy {
                Candidacy::Never => {}
                Candidacy::Passed => self.explain.segments_done += 1,
                Candidacy::Candidate { key, .. } => frontier.push(key, Candidate::Segment(segment)),
                Candidacy::Unknown => return Err(unbounded()),
            }
        }
        Ok(frontier)
    }

    /// Puts the blocks of a segment to the frontier.
    async fn look_into(&mut self, segment: usize, frontier: &mut Frontier, conditions: &mut Conditions) -> Result<()> {
        let reader = self.segments.open(segment).await?;
        let Self { goal, pruner, scanner, explain, .. } = self;
        let candidates = match self.pruning {
            Pruning::On => pruner.blocks(goal, (segment, &reader), &scanner.reader, conditions, explain).await?,
            Pruning::Off => {
                explain.blocks += reader.blocks().len() as u64;
                all_blocks(segment, &reader).map(|block| (Key::new(), block)).collect()
            }
        };
        self.segments.pin(segment, reader, candidates.len());
        for (key, block) in candidates {
            frontier.push(key, Candidate::Block(block));
        }
        Ok(())
    }

    /// Reads blocks. For each, `read` gets a key that no flow of it comes after.
    async fn read(
        &mut self,
        blocks: &[Block],
        conditions: &Conditions,
        top: &mut TopK,
        read: &mut Vec<Key>,
    ) -> Result<()> {
        let mut open: Vec<OpenBlock> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let reader = self.segments.open(block.segment).await?;
            self.segments.done(block.segment);
            let bounds = reader.blocks().block(block.block);
            read.extend(spans(&self.goal.order, &bounds).map(|spans| last_key(&self.goal.order, &spans)));
            open.push((*block, reader));
        }
        let reader = BlockReader { goal: &self.goal, conditions, scanner: &self.scanner };
        let rows = reader.read(&open, top).await?;
        self.explain.blocks_read += blocks.len() as u64;
        self.explain.rows_scanned += rows;
        self.spending.spend(rows);
        Ok(())
    }
}
