//! How much one page may cost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::resources::{Clock, SystemClock};

/// What one page may cost. A search that has used it up answers what it has found, and the cursor to go on from.
///
/// It holds for every filter and order. A page reads at most one block more than its rows, and after its time it ends
/// what it is just doing: to open a segment, to look into its lists, to read a block, or to fetch the flows of 64 pages.
/// It gets a little further than its budget rather than nowhere: each page makes progress, so following the cursor ends.
/// Where no flow can be answered within the budget, pages are empty until the search is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Rows of the blocks that are read, to find flows and to count.
    pub rows: u64,
    /// Time on the clock.
    pub time: Duration,
}

impl Default for Budget {
    /// 200 million rows, 10 seconds.
    fn default() -> Self {
        Self { rows: 200_000_000, time: Duration::from_secs(10) }
    }
}

/// A budget that is being spent.
#[derive(Debug)]
pub(super) struct Spending {
    clock: Arc<dyn Clock>,
    deadline: Option<Instant>,
    rows: u64,
}

impl Spending {
    /// A budget that is spent from now on, by this clock.
    pub(super) fn new(budget: Budget, clock: Arc<dyn Clock>) -> Self {
        let deadline = clock.instant().checked_add(budget.time);
        Self { clock, deadline, rows: budget.rows }
    }

    /// One that is never used up.
    pub(super) fn unlimited() -> Self {
        Self { clock: Arc::new(SystemClock), deadline: None, rows: u64::MAX }
    }

    pub(super) fn spend(&mut self, rows: u64) {
        self.rows = self.rows.saturating_sub(rows);
    }

    /// How many rows are left.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.clock.instant() >= deadline)
    }

    /// Whether its rows or its time are used up.
    pub(super) fn is_spent(&self) -> bool {
        self.rows == 0 || self.is_late()
    }
}
