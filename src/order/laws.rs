//! Laws of orders, of places in them, and of the first key within bounds, over thousands of them.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Direction, Order, Position, SortKey, first_key, sample::order};
use crate::flow::{Field, Span, StoredFlow, sample::flows};

/// The bounds of some flows in each key of an order.
fn reach<'a>(order: &Order, flows: &'a [StoredFlow]) -> Vec<Span<'a>> {
    let span = |key: &SortKey| {
        let field = key.field;
        let present = || flows.iter().filter_map(move |flow| flow.value(field));
        let absent = flows.iter().any(|flow| flow.value(field).is_none());
        Span { values: present().min().zip(present().max()), absent }
    };
    order.keys().iter().map(span).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_total_and_puts_absent_values_last(order in order(), flows in flows(8)) {
        let compare = |left: &StoredFlow, right: &StoredFlow| order.compare(&order.key(left), &order.key(right));
        for left in &flows {
            for right in &flows {
                prop_assert_eq!(compare(left, right), compare(right, left).reverse());
                prop_assert_eq!(compare(left, right).is_eq(), left.id == right.id);
                let Some(key) = order.keys().first() else { continue };
                let (first, second) = (left.value(key.field), right.value(key.field));
                if first.is_some() && second.is_none() {
                    prop_assert!(compare(left, right).is_lt());
                }
                if let (Some(first), Some(second)) = (first, second)
                    && first != second
                {
                    prop_assert_eq!((first < second) == (key.direction == Direction::Ascending), compare(left, right).is_lt());
                }
            }
        }
    }

    #[test]
    fn the_last_keys_are_always_the_start_time_and_the_id(
        keys in vec((select(Field::ALL), any::<bool>()), 0..5),
        newest in any::<bool>(),
    ) {
        let direction = |down: bool| if down { Direction::Descending } else { Direction::Ascending };
        let keys: Vec<_> = keys.into_iter().map(|(field, down)| SortKey { field, direction: direction(down) }).collect();
        let order = Order::new(keys.clone(), direction(newest));
        // The keys up to an ID, each field once; then what is missing of time and ID, in the direction of time.
        let mut expected: Vec<SortKey> = Vec::new();
        for key in keys {
            if expected.iter().all(|earlier| earlier.field != key.field) {
                expected.push(key);
            }
        }
        let time = expected.iter().find(|key| key.field == Field::StartTime).map(|key| key.direction);
        let time = time.unwrap_or(direction(newest));
        match expected.iter().position(|key| key.field == Field::FlowId) {
            Some(id) => expected.truncate(id + 1),
            None => {
                if expected.iter().all(|key| key.field != Field::StartTime) {
                    expected.push(SortKey { field: Field::StartTime, direction: time });
                }
                expected.push(SortKey { field: Field::FlowId, direction: time });
            }
        }
        prop_assert_eq!(order.keys(), &expected[..]);
        let by_time = match expected.as_slice() {
            [time, id] if time.field == Field::StartTime && time.direction == id.direction => Some(time.direction),
            _ => None,
        };
        prop_assert_eq!(order.by_time(), by_time);
    }

    #[test]
    fn a_position_parts_what_was_from_what_is_to_come(order in order(), flows in flows(8), at in any::<prop::sample::Index>()) {
        prop_assume!(!flows.is_empty());
        let mut sorted = flows;
        sorted.sort_by(|left, right| order.compare(&order.key(left), &order.key(right)));
        let at = at.index(sorted.len());
        let key = order.key(&sorted[at]);
        for (place, flow) in sorted.iter().enumerate() {
            let flow = order.key(flow);
            prop_assert_eq!(Position::after(key.clone()).precedes(&order, &flow), place > at);
            prop_assert_eq!(Position::before(key.clone()).precedes(&order, &flow), place >= at);
        }
    }

    #[test]
    fn no_flow_that_is_to_come_is_before_the_first_key_of_its_bounds(
        order in order(),
        within in flows(6),
        wider in flows(2),
        beside in flows(2),
        is_after in any::<bool>(),
    ) {
        let all: Vec<StoredFlow> = [within.clone(), wider].concat();
        // A position is beside a flow within the bounds, or beside another.
        for at in all.iter().chain(&beside) {
            let key = order.key(at);
            let position = if is_after { Position::after(key) } else { Position::before(key) };
            for flows in [&within, &all] {
                let reach = reach(&order, flows);
                let first = first_key(&order, &reach, Some(&position));
                let left = within.iter().filter(|flow| position.precedes(&order, &order.key(flow)));
                for flow in left {
                    let Some(first) = &first else {
                        return Err(TestCaseError::fail(format!("{flow:?} is left behind {position:?}")));
                    };
                    let key = order.key(flow);
                    prop_assert!(order.compare(first, &key).is_le(), "{:?} after {:?}: {:?}", first, position, key);
                }
                if let Some(first) = &first {
                    prop_assert!(order.compare(first, &position.key).is_ge(), "{:?} before {:?}", first, position);
                }
            }
        }
    }

    #[test]
    fn the_first_key_of_bounds_is_that_of_a_flow_where_there_is_one_flow(order in order(), flows in flows(3), beside in flows(1)) {
        for flow in &flows {
            let key = order.key(flow);
            let reach = reach(&order, std::slice::from_ref(flow));
            prop_assert_eq!(first_key(&order, &reach, None), Some(key.clone()));
            prop_assert_eq!(first_key(&order, &reach, Some(&Position::before(key.clone()))), Some(key.clone()));
            prop_assert_eq!(first_key(&order, &reach, Some(&Position::after(key.clone()))), None);
            for other in &beside {
                let position = Position::after(order.key(other));
                // What is behind is known to be.
                if !position.precedes(&order, &key) {
                    prop_assert_eq!(first_key(&order, &reach, Some(&position)), None);
                }
            }
        }
    }
}

#[test]
fn bytes_are_equal_just_for_equal_orders() {
    let directions = [Direction::Ascending, Direction::Descending];
    let keys: Vec<SortKey> =
        Field::ALL.iter().flat_map(|field| directions.map(|direction| SortKey { field: *field, direction })).collect();
    let mut orders: Vec<Order> = directions.iter().map(|time| Order::new([], *time)).collect();
    for one in &keys {
        for other in &keys {
            orders.extend(directions.iter().map(|time| Order::new([*one, *other], *time)));
        }
    }
    let mut encoded = std::collections::HashMap::new();
    for order in &orders {
        let mut bytes = Vec::new();
        order.encode(&mut bytes);
        assert_eq!(encoded.entry(bytes).or_insert(order), &order);
    }
    let different: std::collections::HashSet<&Order> = orders.iter().collect();
    assert_eq!(encoded.len(), different.len());
}
