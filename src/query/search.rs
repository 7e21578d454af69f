//! What pages and plans have in common: a search for the first flows of an order.
//!
//! A page asks it once, within a budget, and makes a cursor of what it knows at the end; a scan of a plan in an order asks it
//! again and again, behind what was found, until nobody wants more. It goes best bound first ([`best_first`](super::best_first)),
//! and where that does not get on, block after block ([`sweep`](super::sweep)).

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering as Atomic},
};

use arrow::array::RecordBatch;

use super::{
    Explain, Pruning, Query, budget::Spending, checkpoint::Checkpoint, fetch::fetch, goal::Goal, pruner::Pruner,
    scan::Scanner, segments::Segments, top_k::Found,
};
use crate::{
    error::Result,
    flow::Field,
    order::{Key, Position},
    segment::{Effort, ReadCounters, RowReader, grouped},
};

/// What a search has found, best first.
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    /// How to go on where the budget has ended it before it has found all that was wanted.
    pub(super) stopped: Option<Stopped>,
}

/// How a search goes on that the budget has ended.
pub(super) enum Stopped {
    /// Before this key: what comes from there on was not searched.
    Before(Key),
    /// Behind the last of the found flows.
    BehindFound,
    /// From the same position, with a sweep.
    Sweeping(Checkpoint),
}

/// A search of a snapshot: what it looks for, what it has open, and what it has spent.
pub(super) struct Search<'a> {
    pub(super) goal: Goal,
    pub(super) segments: Segments<'a>,
    pub(super) scanner: Scanner,
    pub(super) spending: &'a mut Spending,
    pub(super) explain: Explain,
    pub(super) pruner: Pruner,
    /// Where the pages before have interrupted a sweep from the position on.
    pub(super) sweep: Option<Checkpoint>,
    /// Segments that are not searched.
    pub(super) left_out: BTreeSet<usize>,
    pub(super) pruning: Pruning,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        query: &'a Query,
        position: Option<Position>,
        left_out: BTreeSet<usize>,
        spending: &'a mut Spending,
    ) -> Self {
        let snapshot = &query.snapshot;
        let deadline = spending.deadline().clone();
        let reader = RowReader::new(Arc::clone(snapshot.archive().pages()), Arc::new(ReadCounters::default()));
        let reader = reader.until(deadline.clone());
        let filter = Arc::new(grouped(&query.filter));
        Self {
            goal: Goal { filter, order: Arc::new(query.order.clone()), position },
            segments: Segments::new(snapshot, deadline),
            scanner: Scanner { reader },
            spending,
            explain: Explain {
                segments: snapshot.manifest().segments.len() as u64,
                bytes: snapshot.manifest().segments.iter().map(|segment| segment.bytes).sum(),
                ..Explain::default()
            },
            pruner: Pruner::new(Effort::Page),
            sweep: None,
            left_out,
            pruning: query.pruning,
        }
    }

    /// Goes on behind what was found, and gives it out.
    pub(super) fn pass(&mut self, results: Results) -> Vec<Found> {
        let position = match results.stopped {
            Some(Stopped::Before(key)) => Some(Position::before(key)),
            Some(Stopped::Sweeping(checkpoint)) => {
                self.sweep = Some(checkpoint);
                None
            }
            Some(Stopped::BehindFound) | None => results.found.last().map(|last| Position::after(last.key.clone())),
        };
        self.goal.position = position.or(self.goal.position.take());
        results.found
    }

    /// Columns of flows that were found: of all of them, or of the first where the time ends before.
    pub(super) async fn columns(&mut self, found: &[Found], fields: &[Field]) -> Result<RecordBatch> {
        fetch(found, fields, &mut self.segments, &self.scanner, self.spending).await
    }

    /// What it has cost so far.
    pub(super) fn cost(&self) -> Explain {
        let counters = self.scanner.reader.counters();
        Explain {
            segments_opened: self.segments.opened(),
            dropped: self.pruner.dropped(&self.goal.filter),
            bytes_read: counters.read.load(Atomic::Relaxed),
            bytes_cached: counters.cached.load(Atomic::Relaxed),
            ..self.explain.clone()
        }
    }

    /// The outcome of a step; `None` where the time of a page that has `begun` was over while the step waited.
    pub(super) fn as_far<T>(&self, step: Result<T>, begun: bool) -> Result<Option<T>> {
        match step {
            Err(error) if begun && self.spending.ends_at(&error) => Ok(None),
            step => step.map(Some),
        }
    }
}
