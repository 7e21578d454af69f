//! Which values of the first sort key the first flows of an order have, as lists tell.
//!
//! A search by a sort key visits block after block until nothing better can follow, and in an order by addresses or ports
//! nearly every block has some of the first. Where the column is listed, the lists name its first values, how many flows
//! have each, and the blocks and rows that hold them.
//!
//! For example, 100 flows are wanted with the greatest destination ports, and the lists of two segments end with 65535 (40
//! flows and 10), 65534 (none and 30), and 65533 (50 and 50). With 65533 there are 180 flows, with the ports before it 80:
//! so the flows that are wanted have ports from 65533 on, and the search goes on as if the filter said so.

use std::sync::Arc;

use super::{
    frontier::{Candidate, Frontier},
    goal::Goal,
    search::Search,
};
use crate::{
    error::Result,
    filter::{Filter, Ranges, Test},
    flow::{Kind, Value},
    order::{Direction, Key, SortKey},
    segment::listed_together,
};

/// Lists of no more segments are asked: of those that come first by their bounds. The others can only have more flows.
const MOST_SEGMENTS: usize = 16;
/// For pages of more flows lists are not asked: such pages read much whatever they know.
const MOST_WANTED: usize = 1 << 14;

/// The first sort key of a goal, where it is a column of numbers with a list of its own, and any flow matches; and the value
/// behind which flows are wanted, if there is one.
fn listed(goal: &Goal) -> Option<(SortKey, Option<u128>)> {
    let key = goal.order.keys().first()?;
    let is_listed = key.field.kind() != Kind::Text && listed_together(&[key.field]) == Some(&[key.field]);
    let behind = match &goal.position {
        None => None,
        Some(position) => match position.key.first()? {
            Some(Value::Number(number)) => Some(*number),
            _ => return None,
        },
    };
    (is_listed && goal.filter.is_all()).then_some((*key, behind))
}

/// The filter that the first `want` flows of the goal pass, for the segments of a frontier; `None` where lists do not tell.
pub(super) async fn lead(search: &mut Search<'_>, frontier: &mut Frontier, want: usize) -> Result<Option<Filter>> {
    let Some((key, behind)) = listed(&search.goal) else { return Ok(None) };
    if want > MOST_WANTED || search.spending.is_spent() {
        return Ok(None);
    }
    let (mut asked, mut values, mut last) = (Vec::new(), Vec::new(), None);
    while asked.len() < MOST_SEGMENTS
        && let Some((best, candidate)) = frontier.pop()
    {
        let is_behind = |last| is_behind(&best, key.direction, last);
        // Whoever comes behind what is known already has nothing to add.
        let is_enough = last.is_some_and(is_behind) || has_no_value(&best) || search.spending.is_late();
        asked.push((best, candidate));
        let (false, Candidate::Segment(segment)) = (is_enough, candidate) else { break };
        let reader = search.segments.open(segment).await?;
        if let Some(list) = reader.value_list(&[key.field]) {
            values.extend(list.first(&search.scanner.reader, key.direction, behind, want as u64).await?);
            last = last_of(&mut values, key.direction, want as u64);
        }
    }
    asked.into_iter().for_each(|(best, candidate)| frontier.push(best, candidate));
    Ok(last.map(|last| {
        let (first, last) = match key.direction {
            Direction::Ascending => (behind.unwrap_or(0), last),
            Direction::Descending => (last, behind.unwrap_or(u128::MAX)),
        };
        Test::numbers(key.field, Ranges::from_iter([(first, last)]))
    }))
}

/// The value up to which `want` flows have those values, each with the number of its flows; `None` where fewer have. What
/// comes after it is forgotten.
fn last_of(values: &mut Vec<(u128, u64)>, direction: Direction, want: u64) -> Option<u128> {
    values.sort_unstable();
    if direction == Direction::Descending {
        values.reverse();
    }
    let mut flows = 0u64;
    let place = values.iter().position(|(_, count)| {
        flows = flows.saturating_add(*count);
        flows >= want
    })?;
    values.truncate(place + 1);
    values.last().map(|(value, _)| *value)
}

/// Whether the flows from a key on have no first sort key: absent values come last, and are in no list.
fn has_no_value(best: &Key) -> bool {
    matches!(best.first(), Some(None))
}

/// Whether the flows from a key on have first sort keys that come after a value.
fn is_behind(best: &Key, direction: Direction, value: u128) -> bool {
    let Some(Some(Value::Number(first))) = best.first() else { return false };
    match direction {
        Direction::Ascending => *first > value,
        Direction::Descending => *first < value,
    }
}

impl Search<'_> {
    /// Narrows the goal to the flows that can be among the first `want`; and the goal as it was.
    pub(super) async fn narrowed(&mut self, frontier: &mut Frontier, want: usize) -> Result<Option<Arc<Filter>>> {
        let Some(filter) = lead(self, frontier, want).await? else { return Ok(None) };
        self.pruner.forget();
        Ok(Some(std::mem::replace(&mut self.goal.filter, Arc::new(filter))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_right() {
        let values = vec![(65535, 40), (65533, 50), (65535, 10), (65534, 30), (65533, 50)];
        let last = |direction, want| last_of(&mut values.clone(), direction, want);
        assert_eq!(last(Direction::Descending, 100), Some(65533));
        assert_eq!(last(Direction::Descending, 80), Some(65534));
        assert_eq!(last(Direction::Ascending, 100), Some(65533));
        assert_eq!(last(Direction::Ascending, 180), Some(65535));
        assert_eq!(last(Direction::Ascending, 181), None);
    }
}
