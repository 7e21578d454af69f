//! The meaning of a filter for one flow: the reference that every other meaning is tested against.

use super::{Filter, Set};
use crate::flow::{Field, StoredFlow, ValueRef};

impl Filter {
    /// Whether a flow matches.
    pub fn matches(&self, flow: &StoredFlow) -> bool {
        self.holds(&|field| flow.value(field))
    }

    /// Whether a flow with these values matches.
    pub(crate) fn holds<'v>(&self, value: &impl Fn(Field) -> Option<ValueRef<'v>>) -> bool {
        match self {
            Self::Test(test) => value(test.field).map_or(test.absent, |value| test.set.contains(value)),
            Self::And(filters) => filters.iter().all(|filter| filter.holds(value)),
            Self::Or(filters) => filters.iter().any(|filter| filter.holds(value)),
            Self::Not(filter) => !filter.holds(value),
        }
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
