//! Orders at random.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Direction, Order, SortKey};
use crate::flow::Field;

pub(crate) fn order() -> impl Strategy<Value = Order> {
    let direction = || select(vec![Direction::Ascending, Direction::Descending]);
    let key = (select(Field::ALL), direction()).prop_map(|(field, direction)| SortKey { field, direction });
    (vec(key, 0..4), direction()).prop_map(|(keys, time)| Order::new(keys, time))
}
