//! Places in an order.

use std::cmp::Ordering;

use super::{Key, Order};
use crate::flow::Value;

/// Where a position lies beside its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before it: a flow with this key is still to come.
    Before,
    /// After it: a flow with this key is done with.
    After,
}

/// A place between the flows of an order: all flows that come before it are done with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The key that it lies beside.
    pub key: Key,
    /// On which side of the key.
    pub side: Side,
}

impl Position {
    /// Right after the flow with this key.
    pub fn after(key: Key) -> Self {
        Self { key, side: Side::After }
    }

    /// Right before the flow with this key, whether there is one or not.
    pub fn before(key: Key) -> Self {
        Self { key, side: Side::Before }
    }

    /// Whether a flow with `key` is still to come.
    pub fn precedes(&self, order: &Order, key: &[Option<Value>]) -> bool {
        match order.compare(&self.key, key) {
            Ordering::Less => true,
            Ordering::Equal => self.side == Side::Before,
            Ordering::Greater => false,
        }
    }
}
