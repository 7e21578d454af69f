//! Items that are compared by their keys in an order.

use std::{cmp::Ordering, sync::Arc};

use crate::order::{Key, Order};

/// An item with its key in an order: the item with the later key is the greater one.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    pub(super) key: Key,
    pub(super) item: T,
    order: Arc<Order>,
}

impl<T> Keyed<T> {
    pub(super) fn new(order: &Arc<Order>, key: Key, item: T) -> Self {
        Self { key, item, order: Arc::clone(order) }
    }
}

impl<T> Ord for Keyed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.key, &other.key)
    }
}

impl<T> PartialOrd for Keyed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Keyed<T> {}
