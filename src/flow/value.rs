//! Field values in the two forms that filters, orders and bounds compare: a number or a text.

use super::{Address, FlowFlags, FlowId, Meta, Protocol, TcpFlags, Timestamp};

/// A value of a field, borrowed.
///
/// Every value but a name is a number that keeps the order of the field: an address is its 16 bytes, a time its
/// milliseconds since 1970 plus 2^63, so that earlier is less. Names compare as bytes.
///
/// ```
/// use flowseek::flow::{Field, Flow, Timestamp, ValueRef};
///
/// let (earlier, later): (Timestamp, Timestamp) = ("2022-11-01T22:46:01Z".parse()?, "2022-11-01T22:46:02Z".parse()?);
/// assert!(ValueRef::from(earlier) < ValueRef::from(later));
/// let flow = Flow { dst_port: Some(443), ..Flow::starting(earlier) };
/// assert_eq!(flow.value(Field::DstPort), Some(ValueRef::Number(443)));
/// assert_eq!(flow.value(Field::SrcPort), None);
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueRef<'a> {
    /// A number, a time or an address.
    Number(u128),
    /// A name.
    Text(&'a str),
}

/// A value of a field, owned. See [`ValueRef`].
///
/// ```
/// use flowseek::flow::{Value, ValueRef};
///
/// let name = Value::Text("fw-1".to_owned());
/// assert_eq!(name.as_ref(), ValueRef::Text("fw-1"));
/// assert_eq!(ValueRef::Number(443).to_owned(), Value::Number(443));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A number, a time or an address.
    Number(u128),
    /// A name.
    Text(String),
}

/// What is known of one field of several flows.
///
/// ```
/// use flowseek::{Archive, Field, flow::{Span, ValueRef}};
///
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let ids = snapshot.manifest().segments[0].bounds(Field::FlowId);
/// assert_eq!(ids, Some(Span { values: Some((ValueRef::Number(1), ValueRef::Number(2592))), absent: false }));
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// No value is less than the first or greater than the second; `None` where no flow has a value.
    pub values: Option<(ValueRef<'a>, ValueRef<'a>)>,
    /// Whether the value of some flow is absent.
    pub absent: bool,
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Number(number) => ValueRef::Number(*number),
            Self::Text(text) => ValueRef::Text(text),
        }
    }
}

impl ValueRef<'_> {
    /// The same value, owned.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(text.to_owned()),
        }
    }
}

impl From<Timestamp> for ValueRef<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Number(u128::from(time.ordinal()))
    }
}

impl From<Address> for ValueRef<'_> {
    fn from(address: Address) -> Self {
        Self::Number(address.to_bits())
    }
}

impl From<FlowId> for ValueRef<'_> {
    fn from(id: FlowId) -> Self {
        Self::Number(u128::from(id.get()))
    }
}

/// What a member of a flow has as a value.
pub(super) trait HasValue {
    /// The value; `None` where it is absent.
    fn value(&self) -> Option<ValueRef<'_>>;
}

impl<T: HasValue> HasValue for Option<T> {
    fn value(&self) -> Option<ValueRef<'_>> {
        self.as_ref().and_then(T::value)
    }
}

impl HasValue for Timestamp {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some((*self).into())
    }
}

impl HasValue for Address {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some((*self).into())
    }
}

impl HasValue for Protocol {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Number(self.number().into()))
    }
}

impl HasValue for TcpFlags {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Number(self.bits().into()))
    }
}

impl HasValue for FlowFlags {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Number(self.bits().into()))
    }
}

impl HasValue for Meta {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Text(self.as_str()))
    }
}

impl HasValue for u16 {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Number((*self).into()))
    }
}

impl HasValue for u64 {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Number((*self).into()))
    }
}

impl HasValue for String {
    fn value(&self) -> Option<ValueRef<'_>> {
        Some(ValueRef::Text(self))
    }
}
