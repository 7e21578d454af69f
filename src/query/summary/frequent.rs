//! The most frequent values of long lists, of which not all counts are kept.
//!
//! A segment may have a million addresses, most of them with few flows. So of each list that is gone through only the most
//! frequent values are kept, and the greatest number of flows that any other value has. What is not known of a value is then
//! asked for by itself: these are few, as the others cannot be among the first.
//!
//! For example the first two of two lists, of which two values each are kept:
//!
//! ```text
//! list 1   a 90, b 70, no other more than 5       list 2   a 80, c 60, no other more than 4
//!
//! a   90 + 80        = 170
//! b   70 + (0 to 4)  =  70 to 74      list 2 is asked
//! c   60 + (0 to 5)  =  60 to 65      not among the first: two values have 70 or more
//! others (0 to 5) + (0 to 4)  at most 9
//! ```

use std::collections::HashMap;

/// Lists are asked so many times at most.
const MOST_ASKED: usize = 1 << 16;

/// What flows are counted by: a value, or none.
pub(super) type Key = Option<u128>;

/// The most frequent values of a list, among the flows of some blocks.
#[derive(Debug, Default)]
pub(super) struct Frequent {
    /// How many are kept at least, where there are so many.
    most: usize,
    kept: Vec<(u128, u64)>,
    /// No other value has more flows.
    others: u64,
}

impl Frequent {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), ..Self::default() }
    }

    /// Takes in a value, which was not taken in before, and its flows.
    pub(super) fn take(&mut self, value: u128, flows: u64) {
        if flows <= self.others {
            return;
        }
        if self.kept.len() >= 2 * self.most {
            self.kept.select_nth_unstable_by_key(self.most, |(_, flows)| std::cmp::Reverse(*flows));
            self.others = self.kept.get(self.most).map_or(self.others, |(_, flows)| self.others.max(*flows));
            self.kept.truncate(self.most);
        }
        self.kept.push((value, flows));
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> u64 {
        size_of_val(self.kept.as_slice()) as u64
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// It has so many flows at least.
    least: u64,
    /// The sum of [`Frequent::others`] over the lists that have kept it.
    told: u64,
}

/// The values that may be among the first `top`: for each its flows, as far as they are known, and the places of the lists
/// that are still to be asked for it. `counted` are the flows of values outside of the lists, all of them. `None` where values that no
/// list has kept may be among the first, too, or very many must be asked for.
pub(super) fn candidates(
    lists: &[Frequent],
    counted: &HashMap<Key, u64>,
    top: usize,
) -> Option<Vec<(Key, u64, Vec<usize>)>> {
    let others: u64 = lists.iter().map(|list| list.others).sum();
    let mut known: HashMap<Key, Known> = HashMap::new();
    for (key, flows) in counted {
        known.entry(*key).or_default().least += flows;
    }
    for list in lists {
        for (value, flows) in &list.kept {
            let known = known.entry(Some(*value)).or_default();
            known.least += flows;
            known.told += list.others;
        }
    }
    let mut least: Vec<u64> = known.values().map(|known| known.least).collect();
    let worst = match top.checked_sub(1).filter(|place| *place < least.len()) {
        Some(place) => *least.select_nth_unstable_by(place, |left, right| right.cmp(left)).1,
        None => 0,
    };
    // Of those that have the same number, the lesser value comes first: so it must be less.
    if others > 0 && others >= worst {
        return None;
    }
    // A flow without a value is in no list.
    let most = |key: &Key, known: &Known| known.least + if key.is_some() { others - known.told } else { 0 };
    known.retain(|key, known| most(key, known) >= worst);
    let mut found: HashMap<Key, (u64, Vec<bool>)> =
        known.iter().map(|(key, known)| (*key, (known.least, vec![key.is_some(); lists.len()]))).collect();
    for (place, list) in lists.iter().enumerate() {
        for (value, _) in &list.kept {
            if let Some((_, asked)) = found.get_mut(&Some(*value)) {
                asked.iter_mut().skip(place).take(1).for_each(|asked| *asked = false);
            }
        }
    }
    let is_open =
        |(place, list): (usize, &Frequent), asked: &[bool]| list.others > 0 && asked.get(place) == Some(&true);
    let open = |asked: Vec<bool>| {
        let lists = lists.iter().enumerate();
        lists.filter(|list| is_open(*list, &asked)).map(|(place, _)| place).collect()
    };
    let found: Vec<(Key, u64, Vec<usize>)> =
        found.into_iter().map(|(key, (flows, asked))| (key, flows, open(asked))).collect();
    (found.iter().map(|(_, _, lists)| lists.len()).sum::<usize>() <= MOST_ASKED).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::{btree_map, hash_map, vec},
        prelude::*,
    };

    use super::*;

    #[test]
    fn the_example_is_right() {
        let list = |kept: &[(u128, u64)], others| Frequent { most: 2, kept: kept.to_vec(), others };
        let lists = [list(&[(1, 90), (2, 70)], 5), list(&[(1, 80), (3, 60)], 4)];
        let mut found = candidates(&lists, &HashMap::new(), 2).unwrap();
        found.sort();
        assert_eq!(found, [(Some(1), 170, vec![]), (Some(2), 70, vec![1])]);
        // The third may have 9 flows, and so may a value that neither list has kept.
        assert!(candidates(&lists[..1], &HashMap::new(), 3).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_first_are_those_of_all_counts(
            lists in vec(btree_map(0u128..12, 1u64..60, 0..10), 0..4),
            counted in hash_map(proptest::option::of(0u128..12), 1u64..60, 0..6),
            most in 1usize..5,
            top in 1usize..5,
        ) {
            let kept: Vec<Frequent> = lists.iter().map(|list| {
                let mut kept = Frequent::new(most);
                list.iter().for_each(|(value, flows)| kept.take(*value, *flows));
                kept
            }).collect();
            let first = |mut all: Vec<(Key, u64)>| {
                all.sort_by_key(|(key, flows)| (std::cmp::Reverse(*flows), key.is_none(), *key));
                all.truncate(top);
                all
            };
            let mut all = counted.clone();
            lists.iter().flatten().for_each(|(value, flows)| *all.entry(Some(*value)).or_default() += flows);
            if let Some(found) = candidates(&kept, &counted, top) {
                let asked = found.into_iter().map(|(key, flows, open)| {
                    let value = |list: usize| key.and_then(|value| lists[list].get(&value)).copied().unwrap_or(0);
                    (key, flows + open.into_iter().map(value).sum::<u64>())
                });
                prop_assert_eq!(first(asked.collect()), first(all.into_iter().collect()));
            } else {
                prop_assert!(kept.iter().any(|list| list.others > 0));
            }
        }
    }
}
