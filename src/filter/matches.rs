//! The meaning of a filter for one flow: the reference that every other meaning is tested against.

use super::{Filter, Set, Test};
use crate::flow::{StoredFlow, ValueRef};

impl Filter {
    /// Whether a flow matches.
    pub fn matches(&self, flow: &StoredFlow) -> bool {
        match self {
            Self::Test(test) => test.matches(flow),
            Self::And(filters) => filters.iter().all(|filter| filter.matches(flow)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(flow)),
            Self::Not(filter) => !filter.matches(flow),
        }
    }
}

impl Test {
    fn matches(&self, flow: &StoredFlow) -> bool {
        flow.value(self.field).map_or(self.absent, |value| self.set.contains(value))
    }
}

impl Set {
    /// Whether a value is in the set.
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Numbers(ranges), ValueRef::Number(number)) => ranges.contains(number),
            (Self::Texts { texts, listed }, ValueRef::Text(text)) => texts.contains(text) == *listed,
            (Self::Flags { masks, carried }, ValueRef::Number(number)) => {
                masks.iter().any(|mask| number & u128::from(*mask) == u128::from(*mask)) == *carried
            }
            (Self::Numbers(_) | Self::Flags { .. }, ValueRef::Text(_)) | (Self::Texts { .. }, ValueRef::Number(_)) => {
                false
            }
        }
    }
}
