//! The best flows that a search has found so far.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use arrow::{array::RecordBatch, compute::interleave_record_batch};

use crate::{
    error::{Error, ErrorKind, Result},
    order::{Direction, Key, Order, compare_values},
    schema::Values,
};

/// At most so many flows, the best; and the batches that they are in.
#[derive(Debug)]
pub(super) struct Kept {
    order: Arc<Order>,
    want: usize,
    heap: BinaryHeap<Found>,
    batches: Vec<RecordBatch>,
    rows: usize,
}

/// A flow that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its key in the order.
    pub(super) key: Key,
    /// The segment that holds it.
    pub(super) segment: usize,
    /// The batch and the row that it was found in.
    pub(super) row: (usize, usize),
    order: Arc<Order>,
}

impl Kept {
    pub(super) fn new(order: Arc<Order>, want: usize) -> Self {
        Self { order, want, heap: BinaryHeap::new(), batches: Vec::new(), rows: 0 }
    }

    /// How many are wanted.
    pub(super) fn want(&self) -> usize {
        self.want
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The key of the worst flow, once there are as many as are wanted: only better ones matter then.
    pub(super) fn worst(&self) -> Option<&Key> {
        self.heap.peek().filter(|_| self.heap.len() >= self.want).map(|found| &found.key)
    }

    /// Whether some flow comes before `key`.
    pub(super) fn any_before(&self, key: &Key) -> bool {
        self.heap.iter().any(|found| self.order.compare(&found.key, key).is_lt())
    }

    /// Takes in the flows of a batch, which lie newest first.
    pub(super) fn offer(&mut self, segment: usize, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 || self.want == 0 {
            return Ok(());
        }
        let keys = self.order.keys().to_vec();
        let columns = keys.iter().map(|key| Values::of(&batch, key.field)).collect::<Result<Vec<_>>>()?;
        let place = self.batches.len();
        let mut taken = false;
        // The best first: of the others, most are then turned away at once.
        let rows = batch.num_rows();
        let oldest_first = self.order.by_time() == Some(Direction::Ascending);
        for row in (0..rows).map(|row| if oldest_first { rows - 1 - row } else { row }) {
            let compare = |worst: &Key| {
                let pairs = keys.iter().zip(&columns).zip(worst);
                let mut compared = pairs.map(|((key, column), worst)| {
                    compare_values(key.direction, column.get(row), worst.as_ref().map(crate::flow::Value::as_ref))
                });
                compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            };
            if self.worst().is_some_and(|worst| compare(worst).is_ge()) {
                if self.order.by_time().is_some() {
                    break;
                }
                continue;
            }
            let key = columns.iter().map(|column| column.owned(row)).collect();
            self.heap.push(Found { key, segment, row: (place, row), order: Arc::clone(&self.order) });
            taken = true;
            if self.heap.len() > self.want {
                self.heap.pop();
            }
        }
        if taken {
            self.rows += rows;
            self.batches.push(batch);
            // Batches of which few rows are still wanted must not pile up.
            if self.rows > (self.want * 8).max(1 << 16) {
                self.compact()?;
            }
        }
        Ok(())
    }

    /// Copies the flows out of their batches.
    fn compact(&mut self) -> Result<()> {
        let mut found = std::mem::take(&mut self.heap).into_vec();
        let batch = interleave(&self.batches, found.iter().map(|found| found.row))?;
        found.iter_mut().enumerate().for_each(|(row, found)| found.row = (0, row));
        self.rows = found.len();
        self.batches = batch.into_iter().collect();
        self.heap = found.into();
        Ok(())
    }

    /// The flows, best first, and the batches that they are in.
    pub(super) fn into_sorted(self) -> (Vec<Found>, Vec<RecordBatch>) {
        (self.heap.into_sorted_vec(), self.batches)
    }
}

/// The rows of several batches, as one; `None` of no row.
pub(super) fn interleave(
    batches: &[RecordBatch],
    rows: impl Iterator<Item = (usize, usize)>,
) -> Result<Option<RecordBatch>> {
    let rows: Vec<(usize, usize)> = rows.collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let batch = interleave_record_batch(&batches, &rows);
    batch.map(Some).map_err(Error::with(ErrorKind::Internal, "the flows of a page could not be put together"))
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
