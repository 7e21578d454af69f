//! The first key that flows within bounds can have: what makes a search "best bound first".

use std::cmp::Ordering;

use super::{Direction, Key, Order, Position, Side, SortKey, compare_values};
use crate::flow::{Span, Value, ValueRef};

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
            // No text is the last one before another, so the text itself must do.
            (ValueRef::Text(text), Direction::Descending) => Some(Value::Text(text.to_owned())),
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
        let Some((((key, reach), value), rest)) = parts().zip(values()).nth(at).map(|part| (part, at + 1)) else {
            continue;
        };
        if let Some(next) = reach.next(key.direction, value) {
            let mut first: Key = position.key.iter().take(at).cloned().collect();
            first.push(next);
            first.extend(parts().skip(rest).map(best));
            let late = order.compare(&first, &position.key) != Ordering::Less;
            return Some(if late { first } else { position.key.clone() });
        }
    }
    None
}
