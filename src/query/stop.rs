//! Where a page may end whose budget is spent.

use super::top_k::TopK;
use crate::order::{Key, Order};

/// Whether a page may end before `frontier`, the best key of what was not read: it must answer a flow, or be done with
/// a block for good. A cursor that only moves on in the order could lead through the same blocks for ever.
///
/// `read` has for each block that was read a key that no flow of it comes after.
pub(super) fn is_progress(order: &Order, frontier: &Key, top: &TopK, read: &[Key]) -> bool {
    if top.worst().is_some_and(|worst| order.compare(&worst.key, frontier).is_lt()) {
        // The page is full and nothing better is left: the search ends by itself.
        return false;
    }
    top.any_before(frontier) || read.iter().any(|last| order.compare(last, frontier).is_lt())
}
