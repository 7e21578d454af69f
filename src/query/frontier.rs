//! The candidates of a search, best key first.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use super::keyed::Keyed;
use crate::order::{Key, Order};

/// A segment or a block that may hold flows of the page. No such flow in it comes before the candidate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// A segment of the snapshot whose blocks are not known yet.
    Segment(usize),
    /// A block of a segment.
    Block(Block),
}

/// A block that may hold flows of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its segment.
    pub(super) segment: usize,
    /// Its number there.
    pub(super) block: usize,
    /// How many flows it has.
    pub(super) rows: usize,
    /// Whether every flow of it matches and is still to come.
    pub(super) whole: bool,
    /// How many of its flows match, before the position or after it, where that is known.
    pub(super) matches: Option<u64>,
    /// Its pages in which a flow can match: bit 0 is the first.
    pub(super) pages: u8,
}

/// The candidates of a search that it has not visited: a heap that gives the best key first.
#[derive(Debug)]
pub(super) struct Frontier {
    order: Arc<Order>,
    heap: BinaryHeap<Reverse<Keyed<Candidate>>>,
}

impl Frontier {
    pub(super) fn new(order: Arc<Order>) -> Self {
        Self { order, heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, key: Key, candidate: Candidate) {
        self.heap.push(Reverse(Keyed::new(&self.order, key, candidate)));
    }

    /// The best key of any candidate: no flow that is still to be found comes before it.
    pub(super) fn best(&self) -> Option<&Key> {
        self.heap.peek().map(|Reverse(best)| &best.key)
    }

    /// The segments with the best keys, so many at most, the best first.
    pub(super) fn next_segments(&self, most: usize) -> Vec<usize> {
        let segment = |candidate: &Candidate| match candidate {
            Candidate::Segment(segment) => Some(*segment),
            Candidate::Block(_) => None,
        };
        let all = self.heap.iter().map(|Reverse(keyed)| keyed);
        let mut segments: Vec<_> = all.filter_map(|keyed| Some((keyed, segment(&keyed.item)?))).collect();
        if most < segments.len() {
            segments.select_nth_unstable_by(most, |(left, _), (right, _)| left.cmp(right));
            segments.truncate(most);
        }
        segments.sort_unstable_by_key(|(keyed, _)| *keyed);
        segments.into_iter().map(|(_, segment)| segment).collect()
    }

    /// Takes out the candidate with the best key.
    pub(super) fn pop(&mut self) -> Option<(Key, Candidate)> {
        self.heap.pop().map(|Reverse(best)| (best.key, best.item))
    }
}
