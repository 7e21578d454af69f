//! Where what one call appends stands among all that is appended.

use std::ops::Range;

/// The place of a call among all since the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Of its flows among all.
    pub(super) flows: Range<u64>,
    /// Its number among the batches that have numbers of their sources, from 1 on; 0 where it is none.
    pub(super) batch: u64,
}

impl Place {
    /// Of a batch without flows of its own, which is known as soon as this one is.
    pub(super) fn behind(&self) -> Self {
        Self { flows: self.flows.end..self.flows.end, batch: self.batch }
    }

    /// Whether it is durable, where so many flows and batches are. The flows of a batch and its number are in one commit.
    pub(super) fn is_within(&self, flows: u64, batches: u64) -> bool {
        self.flows.end <= flows && (!self.flows.is_empty() || self.batch <= batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_flows_is_durable_with_its_number_and_one_with_flows_with_these() {
        let place = |flows: Range<u64>, batch| Place { flows, batch };
        assert!(place(0..0, 0).is_within(0, 0));
        assert!(!place(3..5, 1).is_within(4, 9) && place(3..5, 1).is_within(5, 0));
        assert!(!place(5..5, 2).is_within(5, 1) && place(5..5, 2).is_within(5, 2));
        assert!(!place(3..5, 2).behind().is_within(5, 1) && !place(3..5, 2).behind().is_within(4, 2));
    }
}
