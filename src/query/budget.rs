//! How much one page may cost.

use std::time::{Duration, Instant};

/// What one page may cost. A search that has used it up answers what it has found, and the cursor to go on from.
///
/// A page gets a little further than its budget rather than nowhere: each makes progress, so following the cursor
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Rows of the blocks that are read.
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
    deadline: Option<Instant>,
    rows: u64,
}

impl Spending {
    pub(super) fn new(budget: Budget, now: Instant) -> Self {
        Self { deadline: now.checked_add(budget.time), rows: budget.rows }
    }

    pub(super) fn spend(&mut self, rows: u64) {
        self.rows = self.rows.saturating_sub(rows);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.rows == 0 || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
