//! What is left of the segments.

use std::collections::{BTreeSet, HashMap};

use super::plan::Plan;
use crate::{filter::Filter, flow::Timestamp};

/// The segments of which something is still to be counted.
#[derive(Debug)]
pub(super) struct Fronts {
    /// For each of them the newest start time of what is left.
    fronts: BTreeSet<(i64, usize)>,
    /// Those that were opened.
    plans: HashMap<usize, Plan>,
    /// No flow that matches began later than this.
    latest: i64,
}

impl Fronts {
    /// None, for a filter.
    pub(super) fn new(filter: &Filter) -> Self {
        Self {
            fronts: BTreeSet::new(),
            plans: HashMap::new(),
            latest: Timestamp::ordinal_millis(filter.start_times().1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fronts.is_empty()
    }

    /// The segment with the newest of all that is left, and when that began.
    pub(super) fn newest(&self) -> Option<(i64, usize)> {
        self.fronts.last().copied()
    }

    /// The newest segments that were not opened, so many at most, the newest first.
    pub(super) fn next_segments(&self, most: usize) -> Vec<usize> {
        let segments = self.fronts.iter().rev().map(|(_, segment)| *segment);
        segments.filter(|segment| !self.plans.contains_key(segment)).take(most).collect()
    }

    /// Takes that segment out. Its plan stays.
    pub(super) fn pop_newest(&mut self) {
        self.fronts.pop_last();
    }

    /// Puts a segment in, of which something is left that began at `newest` or earlier.
    pub(super) fn put(&mut self, segment: usize, newest: i64) {
        self.fronts.insert((newest.min(self.latest), segment));
    }

    /// Lets a segment be as new as one of its blocks. One that has no such block is done with.
    pub(super) fn put_block(&mut self, segment: usize, block: usize) {
        if let Some(newest) = self.plan(segment).and_then(|plan| plan.blocks.get(block)).map(|block| block.times.1) {
            self.put(segment, newest);
        }
    }

    /// What is left of a segment that was opened.
    pub(super) fn plan(&self, segment: usize) -> Option<&Plan> {
        self.plans.get(&segment)
    }

    /// Takes note of what is left of a segment.
    pub(super) fn set_plan(&mut self, segment: usize, plan: Plan) {
        self.plans.insert(segment, plan);
    }

    /// Takes a segment out with its plan, which is as new as its block number `block`.
    pub(super) fn take_plan(&mut self, segment: usize, block: usize) -> Option<Plan> {
        let plan = self.plans.remove(&segment)?;
        if let Some(next) = plan.blocks.get(block) {
            self.fronts.remove(&(next.times.1.min(self.latest), segment));
        }
        Some(plan)
    }
}
