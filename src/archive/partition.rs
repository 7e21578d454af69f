//! Which flows compaction keeps apart: those of different groups of nodes.

use std::fmt::{self, Display, Formatter};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use crate::{
    error::Result,
    filter::{Filter, Set},
    flow::{Field, ValueRef},
    schema::Values,
};

/// Groups, at most: each has segments of its own, which a query that names no node reads beside one another.
const MOST_GROUPS: u16 = 64;

/// How compaction divides the flows of an archive by the nodes that logged them, so that a query for the nodes of one tenant
/// reads few flows of others: [`Writer::partition`](super::Writer::partition).
///
/// The tenant of a flow is its node ID up to a separator, or all of it; tenants are dealt to groups by a hash. A segment
/// that compaction has divided has flows of one group, in the order of time, and the manifest says which: a query whose
/// filter names nodes opens no segment of another group. The price is that a query that names none reads the segments of all
/// groups beside one another. More groups than tenants are best: the fewer tenants share one, the less is read in vain.
///
/// ```
/// use flowseek::archive::Partition;
///
/// let partition = Partition::by_node(64).up_to("/");
/// assert_eq!(partition.group(Some("tenant-7/edge-1")), partition.group(Some("tenant-7/edge-2")));
/// assert!(partition.group(Some("tenant-7/edge-1")) < 64);
/// assert_eq!(partition.to_string(), "64 groups of nodes by their IDs up to \"/\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    groups: u16,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    up_to: String,
}

impl Partition {
    /// Groups of nodes: 1 to 64 of them; what is beyond counts as the nearest of these.
    #[must_use]
    pub fn by_node(groups: u16) -> Self {
        Self { groups: groups.clamp(1, MOST_GROUPS), up_to: String::new() }
    }

    /// The same where nodes whose IDs agree up to the first `separator` are in one group. An ID without it counts as a whole, and
    /// so does every ID where the separator is empty.
    #[must_use]
    pub fn up_to(mut self, separator: impl Into<String>) -> Self {
        self.up_to = separator.into();
        self
    }

    /// How many groups there are.
    pub fn groups(&self) -> u16 {
        // A manifest may say anything.
        self.groups.clamp(1, MOST_GROUPS)
    }

    /// The group of the flows that a node has logged, or of those whose node is not known: the XXH64 with seed 0 of the
    /// bytes before the separator, modulo the number of groups. A flow without a node counts as one with an empty ID.
    pub fn group(&self, node: Option<&str>) -> u16 {
        let node = node.unwrap_or_default();
        let tenant = match self.up_to.as_str() {
            "" => node,
            separator => node.split_once(separator).map_or(node, |(tenant, _)| tenant),
        };
        // Below the number of groups.
        (XxHash64::oneshot(0, tenant.as_bytes()) % u64::from(self.groups())) as u16
    }

    /// The group of each flow.
    pub(super) fn groups_of(&self, flows: &RecordBatch) -> Result<Vec<u16>> {
        let nodes = Values::of(flows, Field::NodeId)?;
        let group = |row| match nodes.get(row) {
            Some(ValueRef::Text(node)) => self.group(Some(node)),
            Some(ValueRef::Number(_)) | None => self.group(None),
        };
        Ok((0..flows.num_rows()).map(group).collect())
    }
}

/// Such as `64 groups of nodes by their IDs up to "/"`.
impl Display for Partition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of nodes by their IDs", self.groups())?;
        if self.up_to.is_empty() { Ok(()) } else { write!(f, " up to {:?}", self.up_to) }
    }
}

/// The group that all flows of a segment are of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Group {
    /// What it is a group of. The archive may have another partition by now.
    pub(super) of: Partition,
    pub(super) number: u16,
}

impl Group {
    /// How many flows are of another group.
    pub(super) fn strangers(&self, flows: &RecordBatch) -> Result<usize> {
        Ok(self.of.groups_of(flows)?.into_iter().filter(|group| *group != self.number).count())
    }

    /// Whether no flow of the group passes a part of a filter: it names nodes, and all of them are of other groups.
    pub(super) fn excludes(&self, part: &Filter) -> bool {
        let Filter::Test(test) = part else { return false };
        match test.set() {
            Set::Texts { texts, listed: true } if test.field() == Some(Field::NodeId) && !test.passes_absent() => {
                !texts.iter().any(|node| self.of.group(Some(node)) == self.number)
            }
            Set::Patterns { patterns, matched: true }
                if test.field() == Some(Field::NodeId) && !test.passes_absent() =>
            {
                // What begins with `tenant-7/` is of that tenant.
                let is_other = |prefix: &str| {
                    let is_whole = !self.of.up_to.is_empty() && prefix.contains(&self.of.up_to);
                    is_whole && self.of.group(Some(prefix)) != self.number
                };
                patterns.iter().all(|pattern| is_other(pattern.prefix()))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a manifest says of a segment must mean the same in every version.
    #[test]
    fn groups_do_not_change() {
        let partition = Partition::by_node(16).up_to("/");
        let groups = ["tenant-7/a", "tenant-8/a", "tenant-8", ""].map(|node| partition.group(Some(node)));
        assert_eq!(groups, [15, 12, 12, 9]);
        assert_eq!(partition.group(None), groups[3]);
    }
}
