//! The best flows that a search has found so far.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use super::exec::Hits;
use crate::{
    error::Result,
    flow::Value,
    order::{Direction, Key, Order, compare_values},
    schema::Values,
};

/// At most so many flows, the best.
#[derive(Debug)]
pub(super) struct Kept {
    order: Arc<Order>,
    want: usize,
    heap: BinaryHeap<Found>,
}

/// A flow that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its key in the order.
    pub(super) key: Key,
    /// The segment that holds it.
    pub(super) segment: usize,
    /// Its row there.
    pub(super) row: usize,
    order: Arc<Order>,
}

impl Kept {
    pub(super) fn new(order: Arc<Order>, want: usize) -> Self {
        Self { order, want, heap: BinaryHeap::new() }
    }

    /// How many are wanted.
    pub(super) fn want(&self) -> usize {
        self.want
    }

    /// How many are still missing.
    pub(super) fn missing(&self) -> usize {
        self.want - self.heap.len()
    }

    /// The worst flow, once there are as many as are wanted: only better ones matter then.
    pub(super) fn worst(&self) -> Option<&Found> {
        self.heap.peek().filter(|_| self.heap.len() >= self.want)
    }

    /// Whether some flow comes before `key`.
    pub(super) fn any_before(&self, key: &Key) -> bool {
        self.heap.iter().any(|found| self.order.compare(&found.key, key).is_lt())
    }

    /// Takes in flows of a segment, with the columns of the order's keys; they lie newest first.
    pub(super) fn offer(&mut self, segment: usize, hits: &Hits) -> Result<()> {
        if self.want == 0 || hits.rows.is_empty() {
            return Ok(());
        }
        let order = Arc::clone(&self.order);
        let keys = order.keys();
        let columns = keys.iter().zip(&hits.columns).map(|(key, column)| Values::new(column.as_ref(), key.field));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows: Vec<usize> = hits.rows.iter().collect();
        // The best first: of the others, most are then turned away at once.
        let oldest_first = order.by_time() == Some(Direction::Ascending);
        for place in (0..rows.len()).map(|place| if oldest_first { rows.len() - 1 - place } else { place }) {
            let compare = |worst: &Key| {
                let pairs = keys.iter().zip(&columns).zip(worst);
                let mut compared = pairs.map(|((key, column), worst)| {
                    compare_values(key.direction, column.get(place), worst.as_ref().map(Value::as_ref))
                });
                compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            };
            if self.worst().is_some_and(|worst| compare(&worst.key).is_ge()) {
                if order.by_time().is_some() {
                    break;
                }
                continue;
            }
            let key = columns.iter().map(|column| column.owned(place)).collect();
            let row = rows.get(place).copied().unwrap_or(0);
            self.heap.push(Found { key, segment, row, order: Arc::clone(&order) });
            if self.heap.len() > self.want {
                self.heap.pop();
            }
        }
        Ok(())
    }

    /// The flows, best first.
    pub(super) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec()
    }
}

impl Ord for Found {
    /// The heap gives the greatest first: that is the worst flow.
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.key, &other.key)
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Found {}
