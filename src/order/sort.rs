//! Total orders.

use std::cmp::Ordering;

use crate::flow::{Field, StoredFlow, Value, ValueRef};

/// A direction of a sort key. Absent values come last in both.
///
/// ```
/// use flowseek::order::{Direction, Order};
///
/// assert_eq!(Order::newest_first().by_time(), Some(Direction::Descending));
/// assert_eq!(Order::oldest_first().by_time(), Some(Direction::Ascending));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Least first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

/// A field to sort by, and its direction.
///
/// ```
/// use flowseek::{Archive, Field, Filter, Order, order::{Direction, SortKey}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let port = SortKey { field: Field::DstPort, direction: Direction::Ascending };
/// let query = snapshot.query(Filter::all()).order(Order::new([port], Direction::Descending));
/// let flows = query.limit(10).page().await?.flows()?;
/// assert!(flows.is_sorted_by(|one, next| one.flow.dst_port <= next.flow.dst_port));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The field.
    pub field: Field,
    /// Which of its values come first.
    pub direction: Direction,
}

/// The values of a flow's sort keys, one each; `None` is an absent value.
pub type Key = Vec<Option<Value>>;

/// A total order of the flows of an archive.
///
/// Its last keys are always the start time and the flow ID, so that no two flows are equal in it.
///
/// ```
/// use flowseek::{flow::Field, order::{Direction, Order, SortKey}};
///
/// let most_bytes = SortKey { field: Field::DstBytes, direction: Direction::Descending };
/// let order = Order::new([most_bytes], Direction::Descending);
/// let fields: Vec<Field> = order.keys().iter().map(|key| key.field).collect();
/// assert_eq!(fields, [Field::DstBytes, Field::StartTime, Field::FlowId]);
/// assert_eq!(Order::new([], Direction::Descending), Order::newest_first());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order(Vec<SortKey>);

impl Order {
    /// By these keys, then by start time and flow ID in direction `time`.
    ///
    /// Where a key is the start time, the flow ID takes its direction. Of several keys on one field the first decides,
    /// and what follows the flow ID decides nothing.
    pub fn new(keys: impl IntoIterator<Item = SortKey>, time: Direction) -> Self {
        let mut order: Vec<SortKey> = Vec::new();
        for key in keys {
            if order.iter().all(|earlier| earlier.field != key.field) {
                order.push(key);
            }
        }
        let explicit = order.iter().find(|key| key.field == Field::StartTime);
        let direction = explicit.map_or(time, |key| key.direction);
        for field in [Field::StartTime, Field::FlowId] {
            if order.iter().all(|key| key.field != field) {
                order.push(SortKey { field, direction });
            }
        }
        if let Some(id) = order.iter().position(|key| key.field == Field::FlowId) {
            order.truncate(id + 1);
        }
        Self(order)
    }

    /// By start time, oldest first.
    pub fn oldest_first() -> Self {
        Self::new([], Direction::Ascending)
    }

    /// By start time, newest first.
    pub fn newest_first() -> Self {
        Self::new([], Direction::Descending)
    }

    /// All its keys.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// The direction of time, where the order is by start time alone and flow IDs go the same way.
    pub fn by_time(&self) -> Option<Direction> {
        match self.0.as_slice() {
            [time, id] if time.field == Field::StartTime && time.direction == id.direction => Some(time.direction),
            _ => None,
        }
    }

    /// The key of a flow in this order.
    pub fn key(&self, flow: &StoredFlow) -> Key {
        self.0.iter().map(|key| flow.value(key.field).map(ValueRef::to_owned)).collect()
    }

    /// Which of two keys of this order comes first.
    pub fn compare(&self, left: &[Option<Value>], right: &[Option<Value>]) -> Ordering {
        let pairs = left.iter().zip(right);
        let mut compared = self.0.iter().zip(pairs).map(|(key, (left, right))| {
            compare_values(key.direction, left.as_ref().map(Value::as_ref), right.as_ref().map(Value::as_ref))
        });
        compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Bytes that are equal just for equal orders, the same in every patch version: a cursor holds their hash.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for key in &self.0 {
            out.push(match key.direction {
                Direction::Ascending => b'<',
                Direction::Descending => b'>',
            });
            out.extend(key.field.name().bytes());
        }
    }
}

/// Which of two values of one key comes first.
pub fn compare_values(direction: Direction, left: Option<ValueRef<'_>>, right: Option<ValueRef<'_>>) -> Ordering {
    match (left, right, direction) {
        (Some(left), Some(right), Direction::Ascending) => left.cmp(&right),
        (Some(left), Some(right), Direction::Descending) => right.cmp(&left),
        (Some(_), None, _) => Ordering::Less,
        (None, Some(_), _) => Ordering::Greater,
        (None, None, _) => Ordering::Equal,
    }
}
