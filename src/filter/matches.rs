//! The meaning of a filter for one flow: the reference that every other meaning is tested against.

use super::{
    Filter, Set, Test,
    walk::{Meaning, evaluate},
};
use crate::flow::{Field, StoredFlow, ValueRef};

impl Filter {
    /// Whether a flow matches.
    pub fn matches(&self, flow: &StoredFlow) -> bool {
        self.holds(&|field| flow.value(field))
    }

    /// Whether a flow with these values matches.
    pub(crate) fn holds<'v>(&self, value: &impl Fn(Field) -> Option<ValueRef<'v>>) -> bool {
        evaluate(self, &OfValues(value))
    }
}

/// Whether filters hold for a flow with these values.
struct OfValues<'a, F>(&'a F);

impl<'v, F: Fn(Field) -> Option<ValueRef<'v>>> Meaning for OfValues<'_, F> {
    type Value = bool;

    fn test(&self, test: &Test) -> bool {
        test.operand.value(self.0).map_or(test.absent, |value| test.set.contains(value))
    }

    fn neutral(&self, all: bool) -> bool {
        all
    }

    fn join(&self, all: bool, left: bool, right: bool) -> bool {
        if all { left && right } else { left || right }
    }

    fn not(&self, value: bool) -> bool {
        !value
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
            (Self::Patterns { patterns, matched }, ValueRef::Text(text)) => {
                patterns.iter().any(|pattern| pattern.matches(text)) == *matched
            }
            (Self::Numbers(_) | Self::Flags { .. }, ValueRef::Text(_))
            | (Self::Texts { .. } | Self::Patterns { .. }, ValueRef::Number(_)) => false,
        }
    }
}
