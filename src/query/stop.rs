//! Where a page may end whose budget is spent.

use super::top_k::TopK;
use crate::order::{Key, Order};

/// How a page goes on from a search whose budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It ends before the frontier: what was found before it is answered, and the next page begins there.
    BeforeFrontier,
    /// Nothing was gained that the order of the flows can express. The archive is swept, block after block.
    Sweep,
}

/// Where a search ends whose budget is spent. `frontier` is the best key of the candidates that it has not visited, and
/// `visited` has for each candidate that it has visited a key that no flow of it comes after. `None` where it ends by
/// itself: the page is full, and nothing better is left.
///
/// All flows before the frontier are found. So the page may end there if it answers a flow, or if half of the visited
/// candidates lie before the frontier: these are never visited again, and the work of all pages that end so is at most
/// twice the number of candidates. A page that ended at a frontier for less could lead through the same blocks for ever.
///
/// For example, in the order `dstBytes:desc`, two blocks were read that hold 900 to 5 and 800 to 2 bytes, and the
/// frontier is a block of 700 bytes. A match of 850 was found: it is answered, and the next page begins before 700. Where
/// the best match has 600, it is not known whether it is the first, and neither block is done with: a sweep begins.
/// By time, blocks that lie one behind the other are done with as they are read, and the page ends without a match.
pub(super) fn stop(order: &Order, frontier: Option<&Key>, top: &TopK, visited: &[Key]) -> Option<Stop> {
    let frontier = frontier?;
    if top.worst().is_some_and(|worst| order.compare(&worst.key, frontier).is_lt()) {
        return None;
    }
    let passed = visited.iter().filter(|last| order.compare(last, frontier).is_lt()).count();
    let is_progress = top.any_before(frontier) || (passed > 0 && passed * 2 >= visited.len());
    Some(if is_progress { Stop::BeforeFrontier } else { Stop::Sweep })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        flow::{Field, Value},
        order::{Direction, SortKey},
        query::top_k::Row,
    };

    fn largest_first() -> Arc<Order> {
        let key = SortKey { field: Field::DstBytes, direction: Direction::Descending };
        Arc::new(Order::new([key], Direction::Ascending))
    }

    fn key(bytes: u128) -> Key {
        [bytes, 0, 0].map(|number| Some(Value::Number(number))).to_vec()
    }

    /// What is to be done at a frontier, with flows found and blocks visited whose least values are given.
    fn stopped(frontier: Option<u128>, want: usize, found: &[u128], visited: &[u128]) -> Option<Stop> {
        let order = largest_first();
        let mut top = TopK::new(Arc::clone(&order), want);
        found.iter().enumerate().for_each(|(row, bytes)| top.insert(key(*bytes), Row { segment: 0, row }));
        let visited: Vec<Key> = visited.iter().map(|bytes| key(*bytes)).collect();
        stop(&order, frontier.map(key).as_ref(), &top, &visited)
    }

    #[test]
    fn a_page_ends_before_the_frontier_where_a_flow_lies_before_it() {
        assert_eq!(stopped(Some(700), 2, &[850], &[5, 2]), Some(Stop::BeforeFrontier));
        assert_eq!(stopped(Some(700), 2, &[600], &[5, 2]), Some(Stop::Sweep));
        assert_eq!(stopped(Some(700), 2, &[700], &[5, 2]), Some(Stop::Sweep));
    }

    #[test]
    fn a_page_ends_before_the_frontier_where_half_of_what_was_visited_is_done_with() {
        assert_eq!(stopped(Some(700), 2, &[], &[750, 800, 2, 5]), Some(Stop::BeforeFrontier));
        assert_eq!(stopped(Some(700), 2, &[], &[750, 700, 2]), Some(Stop::Sweep));
        assert_eq!(stopped(Some(700), 2, &[], &[]), Some(Stop::Sweep));
    }

    #[test]
    fn a_search_that_ends_by_itself_is_not_stopped() {
        assert_eq!(stopped(None, 2, &[600], &[5]), None);
        assert_eq!(stopped(Some(700), 2, &[900, 800], &[5]), None);
        assert_eq!(stopped(Some(700), 2, &[900, 600], &[5]), Some(Stop::BeforeFrontier));
    }
}
