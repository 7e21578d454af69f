//! How much one page may cost.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{Error, ErrorKind},
    resources::{Clock, Deadline},
    setters::setters,
};

/// What one page may cost. A search that has used it up answers what it has found, and the cursor to go on from.
///
/// It holds for every filter and order. A page reads at most one block more than its rows, and another where it counts;
/// after its time it ends what it is just doing: to open a segment, to look into its lists, to read a block (four where
/// it counts), and fetches what it has found for 20 milliseconds more, 8 pages at a time. It gets a little further than its budget rather than nowhere: each page
/// makes progress, so following the cursor ends. Where no flow can be answered within the budget, pages are empty until
/// the search is through. Only where other queries hold the memory that it needs until its time is over, before it has
/// found anything, there is no page, but an error of the kind [`Busy`](crate::ErrorKind::Busy).
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::Budget;
///
/// let budget = Budget::default().time(Duration::from_millis(200));
/// assert_eq!(budget, Budget::new(200_000_000, Duration::from_millis(200)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Rows of the blocks that are read, to find flows and to count.
    pub rows: u64,
    /// Time on the clock.
    pub time: Duration,
}

impl Budget {
    /// So many rows, and so much time.
    pub const fn new(rows: u64, time: Duration) -> Self {
        Self { rows, time }
    }
}

setters! {
    Budget { rows: u64, time: Duration }
    optional {}
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
    deadline: Deadline,
    rows: u64,
    /// What was done since the last look at the time, where that is counted.
    work: usize,
}

/// How much later than the search the fetch of what it has found may end: to find it again would cost more.
const FETCH_TIME: Duration = Duration::from_millis(20);
/// After how many tests of a filter on bounds the time is looked at: about a millisecond.
const WORK_BETWEEN_LOOKS: usize = 4096;
/// The largest number of blocks that are read in one go.
pub(super) const LARGEST_ROUND: usize = 64;

impl Spending {
    /// A budget that is spent from now on, by this clock.
    pub(super) fn new(budget: Budget, clock: Arc<dyn Clock>) -> Self {
        Self { deadline: Deadline::after(budget.time, clock), rows: budget.rows, work: 0 }
    }

    /// One that is never used up.
    pub(super) fn unlimited() -> Self {
        Self { deadline: Deadline::never(), rows: u64::MAX, work: 0 }
    }

    /// When its time is over.
    pub(super) fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    pub(super) fn spend(&mut self, rows: u64) {
        self.rows = self.rows.saturating_sub(rows);
    }

    /// How many rows are left.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many of some blocks are read in one go, of which the numbers of rows are given: as many as it has rows left
    /// for, one at least.
    pub(super) fn round(&self, blocks: impl Iterator<Item = usize>) -> usize {
        let mut rows = 0;
        let within = |block: &usize| {
            let is_within = rows == 0 || rows < self.rows;
            rows += *block as u64;
            is_within
        };
        blocks.take(LARGEST_ROUND).take_while(within).count()
    }

    /// When the time is over to fetch what was found.
    pub(super) fn fetch_deadline(&self) -> Deadline {
        self.deadline.later(FETCH_TIME)
    }

    /// Whether its time is over, where steps are too short for a look each: `tests` says how many tests a step has made.
    pub(super) fn is_late_after(&mut self, tests: usize) -> bool {
        self.work += tests;
        let looks = self.work >= WORK_BETWEEN_LOOKS;
        if looks {
            self.work = 0;
        }
        looks && self.is_late()
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_over()
    }

    /// Whether a step has failed only for what would pass by itself, and there is no time left to wait for that: a page
    /// that has made progress ends there.
    pub(super) fn ends_at(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Busy && self.is_late()
    }

    /// Whether its rows or its time are used up.
    pub(super) fn is_spent(&self) -> bool {
        self.rows == 0 || self.is_late()
    }
}
