//! What a search looks for, and what bounds tell of it.

use std::sync::Arc;

use crate::{
    filter::{Bounds, Filter, Verdict},
    flow::Span,
    order::{Key, Order, Position, best_key, first_key},
};

/// What a search looks for: the first flows of an order, behind a position, that pass a filter.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) filter: Arc<Filter>,
    pub(super) order: Arc<Order>,
    pub(super) position: Option<Position>,
}

/// Whether a segment or a block is a candidate, by its bounds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidacy {
    /// No flow of it matches.
    Never,
    /// All its flows come before the position.
    Passed,
    /// Flows of it may be of the page.
    Candidate {
        /// No flow of the page that it holds comes before this key.
        key: Key,
        /// Whether all its flows match and are still to come.
        whole: bool,
    },
    /// The bounds lack a sort key.
    Unknown,
}

impl Goal {
    /// Whether a segment or a block with these bounds is a candidate.
    pub(super) fn candidacy(&self, bounds: &impl Bounds) -> Candidacy {
        let verdict = self.filter.verdict(bounds);
        if verdict == Verdict::Never {
            return Candidacy::Never;
        }
        let Some(key) = best_key(&self.order, |field| bounds.field(field)) else {
            return Candidacy::Unknown;
        };
        if self.position.as_ref().is_none_or(|position| position.precedes(&self.order, &key)) {
            return Candidacy::Candidate { key, whole: verdict == Verdict::Always };
        }
        let Some(spans) = spans(&self.order, bounds) else {
            return Candidacy::Unknown;
        };
        let key = first_key(&self.order, &spans, self.position.as_ref());
        key.map_or(Candidacy::Passed, |key| Candidacy::Candidate { key, whole: false })
    }
}

/// The values that each sort key has within `bounds`; `None` where the bounds lack one.
pub(super) fn spans<'a>(order: &Order, bounds: &'a impl Bounds) -> Option<Vec<Span<'a>>> {
    order.keys().iter().map(|key| bounds.field(key.field)).collect()
}
