//! The first flows of an order: the candidate with the best bound first.

use std::sync::Arc;

use super::{
    Pruning,
    block_reader::{BlockReader, OpenBlock},
    budget::LARGEST_ROUND,
    checkpoint::Checkpoint,
    condition::Conditions,
    frontier::{Block, Candidate, Frontier},
    goal::{Candidacy, spans},
    pruner::{all_blocks, unbounded},
    round::Round,
    search::{Results, Search, Stopped},
    stop::{Stop, stop},
    sweep::{self, sweep},
    top_k::TopK,
};
use crate::{
    archive::Known,
    error::Result,
    order::{Key, last_key},
};

impl Search<'_> {
    /// The first `want` flows behind the position, as far as the budget reaches.
    pub(super) async fn find(&mut self, want: usize) -> Result<Results> {
        let results = match self.sweep.take() {
            Some(checkpoint) => sweep(self, want, checkpoint).await,
            None => self.best_first(want).await,
        };
        results.inspect(|results| self.explain.budget_spent |= results.stopped.is_some())
    }

    /// Visits candidates, the best key first, until nothing better is left than what was found, or the budget ends it.
    async fn best_first(&mut self, want: usize) -> Result<Results> {
        let Some(mut frontier) = self.frontier().await? else {
            return Ok(Results { found: Vec::new(), stopped: Some(Stopped::Sweeping(Checkpoint::default())) });
        };
        let whole = match self.pruning {
            Pruning::On => self.narrowed(&mut frontier, want).await?,
            Pruning::Off => None,
        };
        let results = self.visit(frontier, want).await;
        if let Some(whole) = whole {
            self.goal.filter = whole;
            self.pruner.forget();
        }
        results
    }

    /// Visits the candidates of a frontier.
    async fn visit(&mut self, mut frontier: Frontier, want: usize) -> Result<Results> {
        let order = Arc::clone(&self.goal.order);
        let mut top = TopK::new(Arc::clone(&order), want);
        let mut conditions = Conditions::new(&self.goal);
        // For each candidate that was visited, a key that no flow of it comes after.
        let mut visited = Vec::new();
        let mut size = 1;
        // A page that begins anew, as a segment cannot be read, has had its first step.
        let mut begun = !self.left_out.is_empty();
        let stop = loop {
            let mut round = Round::new(size, top.missing(), self.spending.rows());
            while let Some((key, segment)) = round.fill(&mut frontier, &top) {
                let looked = match begun && self.spending.is_spent() {
                    true => None,
                    false => {
                        let looked = self.look_into(segment, &mut frontier, &mut conditions, &mut visited).await;
                        self.as_far(looked, begun)?
                    }
                };
                if looked.is_none() {
                    frontier.push(key, Candidate::Segment(segment));
                    break;
                }
                begun = true;
            }
            if !round.blocks.is_empty() {
                let read = self.read(&round.blocks, &conditions, &mut top, &mut visited).await;
                let done = self.as_far(read, begun)?.unwrap_or(0);
                for (key, block) in round.blocks.into_iter().skip(done) {
                    frontier.push(key, Candidate::Block(block));
                }
            } else if frontier.best().is_none_or(|best| top.rejects(best)) {
                break None;
            }
            size = (size * 2).min(LARGEST_ROUND);
            begun = true;
            if self.spending.is_spent() {
                match stop(&order, frontier.best(), &top, &visited) {
                    None => break None,
                    Some(stop) => break Some(stop),
                }
            }
        };
        let mut found = top.into_sorted();
        let stopped = match (stop, frontier.best()) {
            (Some(Stop::BeforeFrontier), Some(frontier)) => {
                found.retain(|found| order.compare(&found.key, frontier).is_lt());
                Some(Stopped::Before(frontier.clone()))
            }
            (Some(Stop::Sweep), _) => {
                let checkpoint = sweep::begin(&found, self);
                found.clear();
                Some(Stopped::Sweeping(checkpoint))
            }
            _ => None,
        };
        Ok(Results { found, stopped })
    }

    /// The segments of the snapshot that may hold flows of the page; `None` where the budget ends before they are known.
    async fn frontier(&mut self) -> Result<Option<Frontier>> {
        let mut frontier = Frontier::new(Arc::clone(&self.goal.order));
        let work = 1 + self.goal.filter.tests().count();
        for (segment, entry) in self.segments.entries().iter().enumerate() {
            if self.spending.is_late_after(work) {
                return Ok(None);
            }
            if self.left_out.contains(&segment) {
                continue;
            }
            if self.pruning == Pruning::Off {
                frontier.push(Key::new(), Candidate::Segment(segment));
                continue;
            }
            let known = Known::of(entry, self.segments.snapshot());
            let mut candidacy = self.goal.candidacy(&known);
            if candidacy == Candidacy::Never {
                self.pruner.drop_segment(&self.goal, &known, &mut self.explain);
                continue;
            }
            if candidacy == Candidacy::Unknown {
                if self.spending.is_spent() {
                    return Ok(None);
                }
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
        Ok(Some(frontier))
    }

    /// Puts the blocks of a segment to the frontier. A segment that has no candidate is visited.
    async fn look_into(
        &mut self,
        segment: usize,
        frontier: &mut Frontier,
        conditions: &mut Conditions,
        visited: &mut Vec<Key>,
    ) -> Result<()> {
        if self.pruning == Pruning::On {
            let Self { goal, pruner, scanner, explain, segments, .. } = self;
            let next = |most: usize| frontier.next_segments(most.min(visited.len()));
            let counters = scanner.reader.counters();
            if let Some(known) = segments.excluded(segment, &goal.filter, counters, next).await? {
                pruner.drop_segment(goal, &known, explain);
                visited.extend(spans(&goal.order, &known).map(|spans| last_key(&goal.order, &spans)));
                return Ok(());
            }
        }
        // As many as were needed so far may be needed yet.
        let opened = usize::try_from(self.segments.opened()).unwrap_or(usize::MAX);
        let reader = self.segments.open_with(segment, |most| frontier.next_segments(most.min(opened))).await?;
        let Self { goal, pruner, scanner, explain, .. } = self;
        let candidates = match self.pruning {
            Pruning::On => pruner.blocks(goal, (segment, &*reader), &scanner.reader, conditions, explain).await?,
            Pruning::Off => {
                explain.blocks += reader.blocks().len() as u64;
                all_blocks(segment, &reader).map(|block| (Key::new(), block)).collect()
            }
        };
        if candidates.is_empty() {
            // By the bounds that the next page has before it opens the segment, if there are any.
            let order = &self.goal.order;
            let entry = self.segments.entries().get(segment);
            let last = entry.and_then(|entry| spans(order, entry)).map(|spans| last_key(order, &spans));
            visited.extend(last.or_else(|| spans(order, &reader.whole()).map(|spans| last_key(order, &spans))));
        }
        for (key, block) in candidates {
            frontier.push(key, Candidate::Block(block));
        }
        Ok(())
    }

    /// Reads blocks, as many of them as time and memory suffice for. How many that were: one at least.
    async fn read(
        &mut self,
        blocks: &[(Key, Block)],
        conditions: &Conditions,
        top: &mut TopK,
        visited: &mut Vec<Key>,
    ) -> Result<usize> {
        let opened = self.segments.open_all(blocks.iter().map(|(_, block)| block.segment)).await?;
        let readers = opened.readers.iter().cloned();
        let open: Vec<OpenBlock> = blocks.iter().map(|(_, block)| *block).zip(readers).collect();
        let spending = &*self.spending;
        let reader =
            BlockReader { goal: &self.goal, conditions, scanner: &self.scanner, pruner: &self.pruner, spending };
        let read = reader.read(&open, top).await?;
        let order = &self.goal.order;
        for (block, reader) in open.iter().take(read.blocks) {
            let bounds = reader.blocks().block(block.block);
            visited.extend(spans(order, &bounds).map(|spans| last_key(order, &spans)));
        }
        self.explain.blocks_read += read.blocks as u64;
        self.explain.rows_scanned += read.rows;
        self.spending.spend(read.rows);
        Ok(read.blocks)
    }
}
