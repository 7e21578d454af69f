//! The best flows that a search has found so far.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashSet},
    sync::Arc,
};

use super::{keyed::Keyed, scan::Hits};
use crate::{
    error::Result,
    flow::Value,
    order::{Direction, Key, Order, compare_values},
    schema::Values,
};

/// Where a flow is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    /// The segment that holds it.
    pub(super) segment: usize,
    /// Its row there.
    pub(super) row: usize,
}

/// A flow that was found, with its key.
pub(super) type Found = Keyed<Row>;

/// The best `want` flows of all that were offered.
#[derive(Debug)]
pub(super) struct TopK {
    order: Arc<Order>,
    want: usize,
    /// Flows in their order. As long as each that is taken in comes after all others, as in an order by time, this is all
    /// that is needed.
    sorted: Vec<Found>,
    /// The flows, once one has come out of order: the worst is the greatest. `sorted` is then empty.
    heap: BinaryHeap<Found>,
    /// Flows that were found by the pages before. They are not taken in again.
    known: HashSet<Row>,
    /// The pages before have found flows behind this key which they did not hand on.
    horizon: Option<Key>,
}

impl TopK {
    pub(super) fn new(order: Arc<Order>, want: usize) -> Self {
        Self { order, want, sorted: Vec::new(), heap: BinaryHeap::new(), known: HashSet::new(), horizon: None }
    }

    /// How many are wanted.
    pub(super) fn want(&self) -> usize {
        self.want
    }

    /// How many are still missing.
    pub(super) fn missing(&self) -> usize {
        self.want - self.len()
    }

    /// The worst flow, once there are as many as are wanted. Its key is the threshold that another flow must beat.
    pub(super) fn worst(&self) -> Option<&Found> {
        self.last().filter(|_| self.len() >= self.want)
    }

    /// Whether a flow with this key, or with a later one, does not beat the threshold.
    pub(super) fn rejects(&self, key: &Key) -> bool {
        self.threshold().is_some_and(|threshold| self.order.compare(key, threshold).is_gt())
    }

    /// The key that another flow must not come after.
    pub(super) fn threshold(&self) -> Option<&Key> {
        // Flows behind the horizon are not taken in, so that the worst flow is never behind it.
        self.worst().map(|worst| &worst.key).or(self.horizon.as_ref())
    }

    /// Goes on from the flows taken in so far, which the pages before have found. `more` says that these have found others,
    /// which come after them all. Whether that is possible: without any flow it is not known where the others begin.
    pub(super) fn resume(&mut self, more: bool) -> bool {
        self.known = self.flows().map(|found| found.item).collect();
        self.horizon = self.last().filter(|_| more).map(|worst| worst.key.clone());
        self.horizon.is_some() || !more
    }

    /// Whether flows may have been found that are not among these. They come after all of these.
    pub(super) fn may_lack(&self) -> bool {
        self.threshold().is_some()
    }

    /// Whether some flow comes before `key`.
    pub(super) fn any_before(&self, key: &Key) -> bool {
        self.flows().any(|found| self.order.compare(&found.key, key).is_lt())
    }

    /// Takes in flows of a segment, with the columns of the order's keys. They lie newest first.
    pub(super) fn offer(&mut self, segment: usize, hits: &Hits) -> Result<()> {
        if self.want == 0 || hits.rows.is_empty() {
            return Ok(());
        }
        let order = Arc::clone(&self.order);
        let keys = order.keys();
        let columns = keys.iter().zip(&hits.columns).map(|(key, column)| Values::new(column.as_ref(), key.field));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows: Vec<usize> = hits.rows.iter().collect();
        // The best first: then most of the others are rejected at once.
        let oldest_first = order.by_time() == Some(Direction::Ascending);
        for place in (0..rows.len()).map(|place| if oldest_first { rows.len() - 1 - place } else { place }) {
            let compare = |worst: &Key| {
                let pairs = keys.iter().zip(&columns).zip(worst);
                let mut compared = pairs.map(|((key, column), worst)| {
                    compare_values(key.direction, column.get(place), worst.as_ref().map(Value::as_ref))
                });
                compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            };
            if self.threshold().is_some_and(|threshold| compare(threshold).is_ge()) {
                if order.by_time().is_some() {
                    break;
                }
                continue;
            }
            let key = columns.iter().map(|column| column.owned(place)).collect();
            let row = Row { segment, row: rows.get(place).copied().unwrap_or(0) };
            if !self.known.contains(&row) {
                self.insert(key, row);
            }
        }
        Ok(())
    }

    /// Takes in a flow.
    pub(super) fn insert(&mut self, key: Key, row: Row) {
        let found = Keyed::new(&self.order, key, row);
        if self.heap.is_empty() {
            if self.sorted.last().is_none_or(|last| *last <= found) {
                if self.sorted.len() < self.want {
                    self.sorted.push(found);
                }
                return;
            }
            // The reverse of a sorted list is a heap.
            self.heap = std::mem::take(&mut self.sorted).into_iter().rev().collect();
        }
        self.heap.push(found);
        if self.heap.len() > self.want {
            self.heap.pop();
        }
    }

    /// The flows, best first.
    pub(super) fn into_sorted(self) -> Vec<Found> {
        if self.heap.is_empty() { self.sorted } else { self.heap.into_sorted_vec() }
    }

    fn len(&self) -> usize {
        self.sorted.len() + self.heap.len()
    }

    fn flows(&self) -> impl Iterator<Item = &Found> {
        self.sorted.iter().chain(&self.heap)
    }

    /// The worst of the flows so far.
    fn last(&self) -> Option<&Found> {
        self.heap.peek().or_else(|| self.sorted.last())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn key(time: u128) -> Key {
        vec![Some(Value::Number(time)), Some(Value::Number(0))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_best_of_all_flows_are_kept_in_whatever_order_they_come(
            times in vec(0u128..40, 0..20),
            sorted in 0usize..20,
            want in 0usize..12,
        ) {
            // The first come in order, as those of a block do.
            let mut times = times;
            let sorted = sorted.min(times.len());
            times[..sorted].sort_unstable();
            let mut top = TopK::new(Arc::new(Order::oldest_first()), want);
            let mut best = Vec::new();
            for (row, time) in times.iter().enumerate() {
                top.insert(key(*time), Row { segment: 0, row });
                best.push(*time);
                best.sort_unstable();
                best.truncate(want);
                prop_assert_eq!(top.missing(), want - best.len());
                let worst = best.last().filter(|_| best.len() == want).map(|worst| key(*worst));
                prop_assert_eq!(top.worst().map(|worst| worst.key.clone()), worst);
                prop_assert_eq!(top.any_before(&key(20)), best.iter().any(|time| *time < 20));
            }
            let kept = top.into_sorted();
            prop_assert!(kept.iter().all(|found| found.key == key(times[found.item.row])));
            prop_assert_eq!(kept.iter().map(|found| found.key.clone()).collect::<Vec<_>>(), best.into_iter().map(key).collect::<Vec<_>>());
        }
    }
}
