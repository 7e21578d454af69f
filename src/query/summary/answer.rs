//! The answer to a query: a walk, for as long as its budget lasts.

use std::{sync::Arc, time::Instant};

use super::{builder::SummaryQuery, listing::LongLists, resolve::resolve, result::Summary, walk::Walk};
use crate::{
    error::{Error, Result},
    query::{Pruning, budget::Spending},
};

/// Answers a query.
pub(super) async fn summary(query: &SummaryQuery) -> Result<Summary> {
    let started = Instant::now();
    let spending = match query.pruning {
        Pruning::On => Spending::new(query.budget, Arc::clone(&query.snapshot.archive().settings().clock)),
        Pruning::Off => Spending::unlimited(),
    };
    match walked(query, spending, LongLists::Frequent, started).await? {
        Walked::Done(summary) => Ok(*summary),
        // The values are about as frequent as one another.
        Walked::Undecided(spending) => match walked(query, spending, LongLists::Whole, started).await? {
            Walked::Done(summary) => Ok(*summary),
            Walked::Undecided(_) => Err(Error::internal("whole lists do not tell which values are frequent")),
        },
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
