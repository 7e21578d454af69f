//! The answer to a query: a walk, for as long as its budget lasts.

use std::{sync::Arc, time::Instant};

use super::{builder::SummaryQuery, listing::LongLists, resolve::resolve, result::Summary, walk::Walk};
use crate::{
    error::{Error, Result},
    query::{Pruning, budget::Spending},
};

impl SummaryQuery {
    /// The summary. The work is done where the future is polled, on all threads of its runtime where it is large, and ends
    /// when it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidQuery`](crate::ErrorKind::InvalidQuery) where what is asked for is not within its limits, or the
    /// flows that match begin in more than [`MOST_BUCKETS`](super::MOST_BUCKETS) buckets; [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) or
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where a segment cannot be read; [`ErrorKind::Busy`](crate::ErrorKind::Busy)
    /// where other queries hold the memory that it needs for a second longer than its time, before it has counted anything,
    /// or where some addresses must still be looked up in lists to tell which have most.
    pub async fn summary(&self) -> Result<Summary> {
        self.check()?;
        let started = Instant::now();
        let spending = match self.pruning {
            Pruning::On => Spending::new(self.budget, Arc::clone(&self.snapshot.archive().settings().clock)),
            Pruning::Off => Spending::unlimited(),
        };
        match walked(self, spending, LongLists::Frequent, started).await? {
            Walked::Done(summary) => Ok(*summary),
            // The values are about as frequent as one another.
            Walked::Undecided(spending) => match walked(self, spending, LongLists::Whole, started).await? {
                Walked::Done(summary) => Ok(*summary),
                Walked::Undecided(_) => Err(Error::internal("whole lists do not tell which values are frequent")),
            },
        }
    }
}

/// What comes of a walk.
enum Walked {
    Done(Box<Summary>),
    /// What was kept of long lists does not tell which of their values are the most frequent. The budget that is left.
    Undecided(Spending),
}

async fn walked(query: &SummaryQuery, spending: Spending, long: LongLists, started: Instant) -> Result<Walked> {
    let mut walk = Walk::new(query, spending, long);
    walk.begin();
    let newest = walk.fronts.newest().map(|(newest, _)| newest);
    let mut is_begun = false;
    while !walk.fronts.is_empty() {
        // It gets a little further than its budget rather than nowhere.
        if is_begun && walk.counting.is_spent() {
            break;
        }
        if let Err(error) = walk.round(is_begun).await {
            if !is_begun || !walk.counting.spending.ends_at(&error) {
                return Err(error);
            }
            // What was counted before it is answered.
            walk.cut_off();
            break;
        }
        is_begun = true;
    }
    Ok(if resolve(&mut walk.counting.accumulator, &mut walk.segments, query.top).await? {
        let covered = walk.covered().await?;
        Walked::Done(Box::new(walk.told(covered, newest, started)))
    } else {
        Walked::Undecided(walk.counting.spending)
    })
}
