//! Sets of numbers that are cheap to change, while a filter is put in normal form.

use std::{collections::BTreeMap, mem};

use super::Ranges;

/// A set of numbers as the places where membership changes.
///
/// A [`Ranges`] is made anew for each union; of 100,000 unions with one number each, that would be 100,000 copies. Here
/// one costs what the smaller of the two sets has ranges, each times the logarithm of the larger; a complement costs
/// nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Growing {
    /// From each key on, up to the next one, the numbers are in the set or are not; before the first they are not.
    changes: BTreeMap<u128, bool>,
    /// Whether the set is every number that `changes` leaves out.
    is_complement: bool,
}

impl From<&Ranges> for Growing {
    fn from(ranges: &Ranges) -> Self {
        let ends = ranges.as_slice().iter().flat_map(|(first, last)| {
            let end = last.checked_add(1).map(|end| (end, false));
            [Some((*first, true)), end].into_iter().flatten()
        });
        Self { changes: ends.collect(), is_complement: false }
    }
}

impl From<Growing> for Ranges {
    fn from(set: Growing) -> Self {
        let mut starts = set.changes.iter().filter(|(_, inside)| **inside).map(|(start, _)| *start);
        let mut ends = set.changes.iter().filter(|(_, inside)| !**inside).map(|(end, _)| *end);
        let ranges: Self = starts.by_ref().map(|start| (start, ends.next().map_or(u128::MAX, |end| end - 1))).collect();
        if set.is_complement { ranges.complement() } else { ranges }
    }
}

impl Growing {
    /// What both hold.
    pub(super) fn intersection(self, other: Self) -> Self {
        self.complement().union(other.complement()).complement()
    }

    /// What either holds.
    pub(super) fn union(mut self, mut other: Self) -> Self {
        if self.changes.len() < other.changes.len() {
            mem::swap(&mut self, &mut other);
        }
        let is_complement = self.is_complement;
        for &(first, last) in Ranges::from(other).as_slice() {
            // Left out of a complement is what is not in it: a union takes from that.
            self.set(first, last, !is_complement);
        }
        self
    }

    /// Whether it holds all numbers up to `greatest`, or none of them; `None` where it holds some.
    pub(super) fn constant(&self, greatest: u128) -> Option<bool> {
        let is_constant = greatest == 0 || self.changes.range(1..=greatest).next().is_none();
        is_constant.then(|| self.holds(0) != self.is_complement)
    }

    fn complement(self) -> Self {
        Self { is_complement: !self.is_complement, ..self }
    }

    /// Puts the numbers from `first` to `last` into what `changes` tells, or takes them out.
    fn set(&mut self, first: u128, last: u128, inside: bool) {
        let before = first.checked_sub(1).is_some_and(|number| self.holds(number));
        let end = last.checked_add(1);
        let behind = end.map(|end| (end, self.holds(end)));
        while let Some((&change, _)) = self.changes.range(first..=end.unwrap_or(last)).next() {
            self.changes.remove(&change);
        }
        if before != inside {
            self.changes.insert(first, inside);
        }
        if let Some((end, behind)) = behind
            && behind != inside
        {
            self.changes.insert(end, behind);
        }
    }

    /// Whether `changes` tells that a number is inside.
    fn holds(&self, number: u128) -> bool {
        self.changes.range(..=number).next_back().is_some_and(|(_, inside)| *inside)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn grown_sets_are_those_of_the_same_operations_on_ranges(
            steps in vec((0u8..12, 0u8..12, any::<bool>(), any::<bool>()), 1..12),
        ) {
            // The ends of the numbers are near, too.
            let number = |n: u8| if n < 6 { u128::from(n) } else { u128::MAX - 11 + u128::from(n) };
            let (mut grown, mut plain) = (Growing::default(), Ranges::default());
            for (first, last, all, negated) in steps {
                let step = Ranges::from_iter([(number(first.min(last)), number(first.max(last)))]);
                let step = if negated { step.complement() } else { step };
                plain = if all { plain.intersection(&step) } else { plain.union(&step) };
                let set = Growing::from(&step);
                grown = if all { grown.intersection(set) } else { grown.union(set) };
                prop_assert_eq!(Ranges::from(grown.clone()), plain.clone());
            }
        }
    }
}
