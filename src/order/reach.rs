//! The first key that flows within bounds can have: what makes a search "best bound first".

use std::cmp::Ordering;

use super::{Direction, Key, Order, Position, Side, SortKey, compare_values};
use crate::flow::{Field, Span, Value, ValueRef};

impl<'a> Span<'a> {
    fn best(self, direction: Direction) -> Option<ValueRef<'a>> {
        self.values.map(|(least, greatest)| match direction {
            Direction::Ascending => least,
            Direction::Descending => greatest,
        })
    }

    fn worst(self, direction: Direction) -> Option<ValueRef<'a>> {
        if self.absent {
            return None;
        }
        self.values.map(|(least, greatest)| match direction {
            Direction::Ascending => greatest,
            Direction::Descending => least,
        })
    }

    fn holds(self, value: Option<ValueRef<'_>>) -> bool {
        match (value, self.values) {
            (None, _) => self.absent,
            (Some(value), Some((least, greatest))) => least <= value && value <= greatest,
            (Some(_), None) => false,
        }
    }

    /// The first value here that comes after `value`, or one that comes before it but not before `value` itself.
    fn next(self, direction: Direction, value: Option<ValueRef<'_>>) -> Option<Option<Value>> {
        let best = self.best(direction);
        if compare_values(direction, best, value).is_gt() {
            return Some(best.map(ValueRef::to_owned));
        }
        let next = match (value?, direction) {
            (ValueRef::Number(number), Direction::Ascending) => number.checked_add(1).map(Value::Number),
            (ValueRef::Number(number), Direction::Descending) => number.checked_sub(1).map(Value::Number),
            (ValueRef::Text(text), Direction::Ascending) => Some(Value::Text(format!("{text}\0"))),
            // No text is the last one before another, so the text itself must do, where there is one before it.
            (ValueRef::Text(text), Direction::Descending) => {
                let is_less = self.values.is_some_and(|(least, _)| least < ValueRef::Text(text));
                is_less.then(|| Value::Text(text.to_owned()))
            }
        };
        let present = Self { absent: false, ..self };
        let within = next.filter(|next| {
            let worst = present.worst(direction);
            worst.is_some() && compare_values(direction, Some(next.as_ref()), worst).is_le()
        });
        match within {
            Some(next) => Some(Some(next)),
            None if self.absent => Some(None),
            None => None,
        }
    }
}

/// A key that no flow within `reach` which is still to come after `position` comes before; `None` where no flow can
/// be left. `reach` has one item for each key of the order.
///
/// Without a position it is the best value of each key. Behind a position it shares as many leading keys with the
/// position as it can, goes on in the key after these, and takes the best value of each later key.
///
/// For example, in the order `dstPort:asc, startTime:asc` a block has ports 80 to 443 and start times 10 to 20. Its
/// first key is (80, 10). Behind the flow
/// - (100, 15) it is (100, 16): port 100 may be in the block, and the next start time is within reach.
/// - (100, 20) it is (101, 10): no later start time is within reach, so the port goes on, and the start time begins anew.
/// - (50, 30) it is (80, 10): port 50 is not within reach, and all of the block is still to come.
/// - (443, 20) there is none: neither key can go on, so that the block is done with.
pub fn first_key(order: &Order, reach: &[Span<'_>], position: Option<&Position>) -> Option<Key> {
    let best = |(key, reach): (&SortKey, &Span<'_>)| reach.best(key.direction).map(ValueRef::to_owned);
    let parts = || order.keys().iter().zip(reach);
    let Some(position) = position else {
        return Some(parts().map(best).collect());
    };
    let values = || position.key.iter().map(|value| value.as_ref().map(Value::as_ref));
    // How many leading keys of the position lie within reach: a flow can share that many and then go on.
    let shared = parts().zip(values()).take_while(|((_, reach), value)| reach.holds(*value)).count();
    if shared == reach.len() && position.side == Side::Before {
        return Some(position.key.clone());
    }
    for at in (0..=shared.min(reach.len().saturating_sub(1))).rev() {
        let Some((((key, span), value), rest)) = parts().zip(values()).nth(at).map(|part| (part, at + 1)) else {
            continue;
        };
        if let Some(next) = span.next(key.direction, value) {
            let mut first: Key = position.key.iter().take(at).cloned().collect();
            first.push(next);
            first.extend(parts().skip(rest).map(best));
            if order.compare(&first, &position.key) != Ordering::Less {
                return Some(first);
            }
            // No text is the last one before another: the key at hand may lie before the position, and so may all others.
            return position.precedes(order, &last_key(order, reach)).then(|| position.key.clone());
        }
    }
    None
}

/// A key that no flow comes before of which `reach` tells the bounds of each field: that of [`first_key`] without a position.
/// `None` where it does not tell them of a sort key.
pub(crate) fn best_key<'a>(order: &Order, reach: impl Fn(Field) -> Option<Span<'a>>) -> Option<Key> {
    let mut best = Key::with_capacity(order.keys().len());
    for key in order.keys() {
        best.push(reach(key.field)?.best(key.direction).map(ValueRef::to_owned));
    }
    Some(best)
}

/// A key that no flow within `reach` comes after: the worst value of each key. Absent values come last.
///
/// All flows of a block come before a position just where its last key does: in the order of the example of
/// [`first_key`] the last key of that block is (443, 20).
pub(crate) fn last_key(order: &Order, reach: &[Span<'_>]) -> Key {
    let worst = |(key, reach): (&SortKey, &Span<'_>)| reach.worst(key.direction).map(ValueRef::to_owned);
    order.keys().iter().zip(reach).map(worst).collect()
}
