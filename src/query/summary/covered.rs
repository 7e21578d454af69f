//! What was counted when a round was through.

use super::{
    accumulator::Sums,
    buckets::Buckets,
    builder::SummaryQuery,
    result::{Group, Summary},
};
use crate::{flow::Timestamp, query::Explain};

/// To put together what is counted takes about as long as to read a row for so many bytes of it.
const BYTES_OF_ROW: u64 = 4;

/// The flows that began after a cut, added up.
#[derive(Debug)]
pub(super) struct Covered {
    /// `None` where all flows are.
    pub(super) cut: Option<i64>,
    pub(super) sums: Sums,
    /// The groups that have most.
    pub(super) groups: Vec<Group>,
    pub(super) buckets: Option<Buckets>,
}

impl Covered {
    /// The summary of them. `newest` is the newest start time that a flow may have that matches.
    pub(super) fn summary(self, query: &SummaryQuery, newest: Option<i64>, explain: Explain) -> Summary {
        let adds_bytes = query.adds_bytes();
        let searched = self.cut.zip(newest).map(|(cut, newest)| {
            let time = |millis: i64| Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX);
            (time(cut.saturating_add(1)), time(newest))
        });
        Summary {
            totals: self.sums.totals(adds_bytes),
            by: query.by.clone(),
            groups: self.groups,
            every: self.buckets.as_ref().map(Buckets::length),
            buckets: self.buckets.map(|buckets| buckets.finish(adds_bytes)).unwrap_or_default(),
            searched,
            explain,
        }
    }
}

/// What was counted last in full. A round adds to groups that are held once, so what a round that fails has added cannot be
/// taken away again: what is answered then was put together before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    last: Option<Covered>,
    /// About so many rows were read since.
    rows: u64,
}

impl Kept {
    /// Takes note of a round that is through, which was about as much work as to read so many rows.
    pub(super) fn advance(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Whether it pays to put together what is counted, which takes `bytes`: after the first round, and when that is little
    /// beside what was read since.
    pub(super) fn is_due(&self, bytes: u64) -> bool {
        self.last.is_none() || bytes / BYTES_OF_ROW <= self.rows
    }

    /// Keeps what is counted.
    pub(super) fn keep(&mut self, covered: Covered) {
        (self.last, self.rows) = (Some(covered), 0);
    }

    /// What was kept last.
    pub(super) fn take(&mut self) -> Option<Covered> {
        self.last.take()
    }
}
