//! What is counted of a summary whose budget has ended, or of a whole one.

use super::{
    buckets::Buckets,
    builder::SummaryQuery,
    result::{Group, Summary},
    sums::Sums,
};
use crate::{flow::Timestamp, query::Explain};

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
        let added = query.added();
        let searched = self.cut.zip(newest).map(|(cut, newest)| {
            let time = |millis: i64| Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX);
            (time(cut.saturating_add(1)), time(newest))
        });
        Summary {
            totals: self.sums.totals(added),
            by: query.by.clone(),
            groups: self.groups,
            every: self.buckets.as_ref().map(Buckets::length),
            buckets: self.buckets.map(|buckets| buckets.finish(added)).unwrap_or_default(),
            searched,
            explain,
        }
    }
}
