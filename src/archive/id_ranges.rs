//! Ranges of flow IDs.

use serde::{Deserialize, Serialize};

/// A set of flow IDs: ranges from the first to the last ID, ascending, with others between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct IdRanges(Vec<(u64, u64)>);

impl IdRanges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The greatest ID.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.last().map(|(_, last)| *last)
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= id);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, last)| id <= *last)
    }

    /// Adds the IDs from `first` to `last`.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        self.0.push((first, last));
        self.0.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(self.0.len());
        for (first, last) in self.0.drain(..).filter(|(first, last)| first <= last) {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        self.0 = joined;
    }

    /// Takes an ID out.
    pub(super) fn remove(&mut self, id: u64) {
        let after = self.0.partition_point(|(first, _)| *first <= id);
        let Some(at) = after.checked_sub(1) else { return };
        let Some((first, last)) = self.0.get(at).copied().filter(|(_, last)| id <= *last) else { return };
        let before = id.checked_sub(1).filter(|end| first <= *end).map(|end| (first, end));
        let behind = id.checked_add(1).filter(|begin| *begin <= last).map(|begin| (begin, last));
        self.0.splice(at..=at, before.into_iter().chain(behind));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn ranges_hold_what_a_set_would(steps in prop::collection::vec((0u64..40, 0u64..5, any::<bool>()), 0..30)) {
            let (mut ranges, mut set) = (IdRanges::default(), BTreeSet::new());
            for (first, more, adds) in steps {
                if adds {
                    ranges.insert(first, first + more);
                    set.extend(first..=first + more);
                } else {
                    ranges.remove(first);
                    set.remove(&first);
                }
                prop_assert!((0..50).all(|id| ranges.contains(id) == set.contains(&id)), "{:?} of {:?}", ranges, set);
                prop_assert_eq!(ranges.last(), set.last().copied());
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", ranges);
            }
        }
    }

    #[test]
    fn the_least_and_the_greatest_id_are_ids_like_others() {
        let mut ranges = IdRanges::default();
        ranges.insert(0, u64::MAX);
        ranges.remove(0);
        ranges.remove(u64::MAX);
        assert_eq!(ranges, IdRanges(vec![(1, u64::MAX - 1)]));
        ranges.insert(5, 4);
        assert_eq!(ranges, IdRanges(vec![(1, u64::MAX - 1)]));
    }
}
