//! The question that a summary answers.

use std::time::Duration;

use super::sums::Added;
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::Filter,
    flow::Field,
    query::{Budget, Pruning},
};

/// The largest number of groups that a summary tells.
pub const LARGEST_TOP: usize = 1000;
/// The largest number of buckets that a summary tells.
pub const MOST_BUCKETS: usize = 10_000;
/// The longest bucket: about a hundred years.
const LONGEST_BUCKET: Duration = Duration::from_secs(36_500 * 86_400);
/// Fields that flows are grouped by at most.
const MOST_FIELDS: usize = 2;

/// What groups are compared by.
///
/// ```
/// use flowseek::{Archive, Field, Filter, query::Measure};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let query = snapshot.summarize(Filter::all()).by([Field::DstIp]).measure(Measure::Bytes);
/// let groups = query.summary().await?.groups;
/// // Those first that have most bytes in both directions.
/// let bytes: Vec<_> = groups.iter().map(|group| group.totals.bytes()).collect();
/// assert!(bytes.is_sorted_by(|one, next| one >= next));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// How many flows.
    #[default]
    Flows,
    /// Bytes in both directions.
    Bytes,
    /// Bytes that the sources sent.
    SourceBytes,
    /// Bytes that were sent back.
    DestBytes,
}

/// How long the buckets of a summary are. They are aligned to 1970-01-01T00:00:00Z.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::{Archive, Filter, query::Every};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// // There are at most 120 buckets: of five minutes it would be 123, so they are of fifteen.
/// let summary = snapshot.summarize(Filter::all()).every(Every::Auto).summary().await?;
/// assert_eq!(summary.every, Some(Duration::from_secs(900)));
/// assert!(summary.buckets.len() <= 120);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Every {
    /// The shortest of 1, 10 and 100 ms, 1, 5 and 15 s, 1, 5 and 15 min, 1, 3 and 12 h, 1, 7 and 28 days, 1, 10 and 100
    /// times 364 days with which there are at most 120 of them.
    Auto,
    /// So long: from a millisecond to 36,500 days, in whole milliseconds.
    Length(Duration),
}

/// A question to a snapshot: what the flows that match add up to.
///
/// ```
/// use flowseek::{Archive, filter, flow::{Field, Protocol, Value}, query::Measure};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let udp = filter::protocol().eq(Protocol::UDP);
/// let summary = snapshot.summarize(udp).by([Field::DstPort]).measure(Measure::Bytes).top(3).summary().await?;
/// assert!(summary.is_complete());
/// let busiest = &summary.groups[0];
/// assert_eq!(busiest.key, [Some(Value::Number(53))]);
/// assert!(busiest.totals.flows <= summary.totals.flows);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SummaryQuery {
    pub(super) snapshot: Snapshot,
    pub(super) filter: Filter,
    pub(super) by: Vec<Field>,
    pub(super) measure: Measure,
    pub(super) top: usize,
    pub(super) every: Option<Every>,
    /// The fields whose sums are told.
    pub(super) sums: Vec<Field>,
    pub(super) budget: Budget,
    pub(super) group_bytes: u64,
    pub(super) pruning: Pruning,
}

impl Snapshot {
    /// Asks what the flows that match `filter` add up to: one total, unless said otherwise.
    pub fn summarize(&self, filter: Filter) -> SummaryQuery {
        SummaryQuery {
            snapshot: self.clone(),
            filter: filter.normal(),
            by: Vec::new(),
            measure: Measure::Flows,
            top: 10,
            every: None,
            sums: vec![Field::SrcBytes, Field::DstBytes],
            budget: Budget::default(),
            group_bytes: 64 << 20,
            pruning: Pruning::On,
        }
    }
}

impl SummaryQuery {
    /// By the values of these fields, at most two. Of protocols it tells apart those that the endpoint names; all others
    /// are one group, [`Protocol::UNKNOWN`](crate::flow::Protocol::UNKNOWN).
    pub fn by(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.by = fields.into_iter().collect();
        self
    }

    /// Those groups that have most of this: of flows, unless said otherwise.
    pub fn measure(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// So many groups: 10 unless said otherwise, and at most [`LARGEST_TOP`].
    pub fn top(mut self, top: usize) -> Self {
        self.top = top;
        self
    }

    /// In buckets of time, too; at most [`MOST_BUCKETS`].
    pub fn every(mut self, every: Every) -> Self {
        self.every = Some(every);
        self
    }

    /// Without their bytes, unless these are the measure. Then less is read, and nothing where bounds and lists tell how many
    /// flows match, and how many of them are in each group: by destination port, an address, a node, the protocol, TCP flags,
    /// or the last two.
    pub fn flows_only(self) -> Self {
        self.sums([])
    }

    /// With the sums of these fields, [`Field::SrcBytes`] and [`Field::DstBytes`], and of what is the measure: of both unless said
    /// otherwise. Of others nothing is read.
    ///
    /// ```
    /// use flowseek::{Archive, Field, Filter};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> flowseek::Result<()> {
    /// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
    /// let totals = snapshot.summarize(Filter::all()).sums([Field::DstBytes]).summary().await?.totals;
    /// assert!(totals.source_bytes.is_none() && totals.dest_bytes > Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sums(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.sums = fields.into_iter().collect();
        self
    }

    /// What it may cost. A summary that has used it up tells what it [covers](super::Summary::searched): never nothing, as it gets a
    /// little further than its budget.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// About how many bytes of memory its groups may take: 64 MiB unless said otherwise, some 500,000 groups of short
    /// values. All groups are counted before it is known which have most. A summary with more ends as if its
    /// [`budget`](Self::budget) were used up.
    pub fn group_bytes(mut self, bytes: u64) -> Self {
        self.group_bytes = bytes;
        self
    }

    /// Whether it is told by bounds and lists what need not be read.
    pub fn pruning(mut self, pruning: Pruning) -> Self {
        self.pruning = pruning;
        self
    }

    /// Which bytes are added up.
    pub(super) fn added(&self) -> Added {
        let of = |field: Field, measure: Measure| {
            self.sums.contains(&field) || self.measure == measure || self.measure == Measure::Bytes
        };
        Added { source: of(Field::SrcBytes, Measure::SourceBytes), dest: of(Field::DstBytes, Measure::DestBytes) }
    }

    pub(super) fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        if self.by.len() > MOST_FIELDS {
            problems.push(format!("`by`: {} fields are given; allowed: at most {MOST_FIELDS}", self.by.len()));
        }
        if matches!(self.by.as_slice(), [first, second] if first == second) {
            problems.push("`by`: a field is given twice; allowed: each field once".to_owned());
        }
        if self.top == 0 || self.top > LARGEST_TOP {
            problems.push(format!("`top`: {} is not a number of groups; allowed: 1 to {LARGEST_TOP}", self.top));
        }
        if let Some(Every::Length(length)) = self.every
            && (length.is_zero() || length > LONGEST_BUCKET || length.subsec_nanos() % 1_000_000 != 0)
        {
            let allowed = "whole milliseconds, from one to 36500 days";
            problems.push(format!("`every`: {length:?} is not the length of a bucket; allowed: {allowed}"));
        }
        let has_sum = |field: &&Field| matches!(field, Field::SrcBytes | Field::DstBytes);
        if let Some(field) = self.sums.iter().find(|field| !has_sum(field)) {
            problems.push(format!("`sums`: there is none of {}; allowed: src_bytes, dst_bytes", field.name()));
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::invalid_query(problems)) }
    }
}
