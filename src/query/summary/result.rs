//! What a summary tells.

use std::time::Duration;

use crate::{
    flow::{Field, Timestamp, Value},
    query::Explain,
};

/// How many flows, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// How many flows.
    pub flows: u64,
    /// Their bytes; `None` where flows alone are counted.
    pub bytes: Option<Bytes>,
}

/// Bytes of several flows. A flow whose bytes are not known adds none. No sum is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes {
    /// Sent by the sources.
    pub source: u128,
    /// Sent back.
    pub dest: u128,
}

impl Bytes {
    /// In both directions.
    ///
    /// ```
    /// use flowseek::query::Bytes;
    ///
    /// assert_eq!(Bytes { source: u128::from(u64::MAX), dest: 1 }.both(), 1 << 64);
    /// ```
    pub fn both(self) -> u128 {
        self.source.saturating_add(self.dest)
    }
}

/// The flows that have the same values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// A value for each field that flows are grouped by; `None` where they have none.
    pub key: Vec<Option<Value>>,
    /// What they add up to.
    pub totals: Totals,
}

/// The flows that begin in the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// When the bucket begins; it ends where the next one begins.
    pub start: Timestamp,
    /// What they add up to.
    pub totals: Totals,
}

/// What the flows that match add up to.
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
