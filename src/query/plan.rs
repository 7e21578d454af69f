//! Which blocks are read, and in which order: pure, over bounds.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use crate::{
    filter::{Bounds, Filter, Verdict},
    flow::Span,
    order::{Key, Order, Position, first_key},
};

/// What a search looks for.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) filter: Arc<Filter>,
    pub(super) order: Arc<Order>,
    pub(super) position: Option<Position>,
}

/// A segment or a block that may hold flows of the page.
#[derive(Debug)]
pub(super) struct Candidate {
    /// No flow of the page that it holds comes before this key.
    pub(super) key: Key,
    pub(super) place: Place,
    order: Arc<Order>,
}

/// Where a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A segment of the snapshot, not looked into yet.
    Segment(usize),
    /// A block of a segment.
    Block(Block),
}

/// A block that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its segment.
    pub(super) segment: usize,
    /// Its number there.
    pub(super) block: usize,
    /// Whether every flow of it matches and is still to come.
    pub(super) whole: bool,
    /// How many of its flows match, come or gone, where that is known.
    pub(super) matches: Option<u64>,
    /// Its pages in which a flow can match: bit 0 is the first.
    pub(super) pages: u8,
}

/// What is to be done with flows within some bounds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// None matches.
    Never,
    /// All come before the position.
    Done,
    /// Some may be of the page.
    Ahead {
        /// None comes before this key.
        key: Key,
        /// Whether all match and are still to come.
        whole: bool,
    },
    /// The bounds say nothing of a sort key.
    Unknown,
}

impl Goal {
    /// What is to be done with flows within `bounds`.
    pub(super) fn outlook(&self, bounds: &impl Bounds) -> Outlook {
        let verdict = self.filter.verdict(bounds);
        if verdict == Verdict::Never {
            return Outlook::Never;
        }
        let reach: Option<Vec<Span<'_>>> = self.order.keys().iter().map(|key| bounds.field(key.field)).collect();
        let Some(reach) = reach else {
            return Outlook::Unknown;
        };
        let Some(best) = first_key(&self.order, &reach, None) else {
            return Outlook::Done;
        };
        let ahead = self.position.as_ref().is_none_or(|position| position.precedes(&self.order, &best));
        let key = if ahead { Some(best) } else { first_key(&self.order, &reach, self.position.as_ref()) };
        key.map_or(Outlook::Done, |key| Outlook::Ahead { key, whole: ahead && verdict == Verdict::Always })
    }
}

/// Whether all flows within `bounds` come before `position`.
pub(super) fn is_behind(order: &Order, position: &Position, bounds: &impl Bounds) -> bool {
    let reach: Option<Vec<Span<'_>>> = order.keys().iter().map(|key| bounds.field(key.field)).collect();
    reach.is_some_and(|reach| first_key(order, &reach, Some(position)).is_none())
}

/// The candidates, best key first.
#[derive(Debug)]
pub(super) struct Frontier {
    order: Arc<Order>,
    heap: BinaryHeap<Candidate>,
}

impl Frontier {
    pub(super) fn new(order: Arc<Order>) -> Self {
        Self { order, heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, key: Key, place: Place) {
        self.heap.push(Candidate { key, place, order: Arc::clone(&self.order) });
    }

    /// The best key of any candidate.
    pub(super) fn best(&self) -> Option<&Key> {
        self.heap.peek().map(|candidate| &candidate.key)
    }

    pub(super) fn pop(&mut self) -> Option<Candidate> {
        self.heap.pop()
    }
}

impl Ord for Candidate {
    /// The heap gives the greatest first: that is the candidate with the best key.
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&other.key, &self.key)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
