//! What a summary tells.

use std::time::Duration;

use crate::{
    flow::{Field, Timestamp, Value},
    query::Explain,
};

/// How many flows, and how many bytes. A flow whose bytes are not known adds none. No sum is too large.
///
/// ```
/// use flowseek::{Archive, Filter};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let totals = snapshot.summarize(Filter::all()).summary().await?.totals;
/// assert_eq!(totals.flows, 2592);
/// assert_eq!(totals.bytes(), totals.source_bytes.zip(totals.dest_bytes).map(|(source, dest)| source + dest));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Totals {
    /// How many flows.
    pub flows: u64,
    /// Bytes sent by the sources; `None` where they are not [added up](super::SummaryQuery::sums).
    pub source_bytes: Option<u128>,
    /// Bytes sent back, likewise.
    pub dest_bytes: Option<u128>,
}

impl Totals {
    /// Bytes in both directions; `None` where those of one are not added up.
    pub fn bytes(self) -> Option<u128> {
        Some(self.source_bytes?.saturating_add(self.dest_bytes?))
    }
}

/// The flows that have the same values.
///
/// ```
/// use flowseek::{Archive, Field, Filter};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let summary = snapshot.summarize(Filter::all()).by([Field::Protocol, Field::DstPort]).summary().await?;
/// // One value for each of the fields, and the groups with most flows first.
/// assert!(summary.groups.iter().all(|group| group.key.len() == 2));
/// assert!(summary.groups.is_sorted_by(|one, next| one.totals.flows >= next.totals.flows));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// A value for each field that flows are grouped by; `None` where they have none.
    pub key: Vec<Option<Value>>,
    /// What they add up to.
    pub totals: Totals,
}

/// The flows that begin in the same time.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::{Archive, Filter, query::Every};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let hours = Every::Length(Duration::from_secs(3600));
/// let summary = snapshot.summarize(Filter::all()).every(hours).summary().await?;
/// assert_eq!(summary.buckets.len(), 11);
/// assert_eq!(summary.buckets[0].start.to_string(), "2009-11-18T08:00:00.000Z");
/// assert_eq!(summary.buckets.iter().map(|bucket| bucket.totals.flows).sum::<u64>(), summary.totals.flows);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// When the bucket begins; it ends where the next one begins.
    pub start: Timestamp,
    /// What they add up to.
    pub totals: Totals,
}

/// What the flows that match add up to.
///
/// ```
/// use flowseek::{Archive, Filter, Summary};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let summary: Summary = snapshot.summarize(Filter::all()).summary().await?;
/// assert!(summary.is_complete());
/// assert_eq!(summary.totals.flows, 2592);
/// assert_eq!((summary.every, summary.buckets.len()), (None, 0)); // buckets were not asked for
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// All of them.
    pub totals: Totals,
    /// The fields that they are grouped by.
    pub by: Vec<Field>,
    /// The groups that have most, those first that have more; of groups that have the same, those first that have the
    /// lesser values, absent ones last.
    pub groups: Vec<Group>,
    /// How long a bucket is; `None` where buckets were not asked for.
    pub every: Option<Duration>,
    /// The buckets of all flows, from the first that has a flow to the last, the oldest first. There is one for each time
    /// in between, be there flows or none.
    pub buckets: Vec<Bucket>,
    /// `None` of a complete summary. Where the budget has ended it, the oldest and the newest start time that it covers, both
    /// included: it tells of all flows that match and began within them, and of no others.
    pub searched: Option<(Timestamp, Timestamp)>,
    /// What it has cost.
    pub explain: Explain,
}

impl Summary {
    /// Whether it tells of all flows that match.
    pub fn is_complete(&self) -> bool {
        self.searched.is_none()
    }
}
