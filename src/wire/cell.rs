//! One value of a flow as an answer shows it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::flow::{
    Address, Field, Flow, FlowFlags, Protocol, TcpFlags, Timestamp, Value, ValueRef, columns::ValueType,
};

/// How TCP flags are written.
///
/// ```
/// use flowseek::{flow::TcpFlags, wire::{Cell, FlagsFormat}};
///
/// let formats = [FlagsFormat::Binary, FlagsFormat::Decimal, FlagsFormat::Hex];
/// let written = formats.map(|format| Cell::Flags(TcpFlags::new(18), format).to_string());
/// assert_eq!(written, ["00010010", "18", "0x12"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlagsFormat {
    /// Eight binary digits, bit 7 first: `00010010`.
    #[default]
    Binary,
    /// A decimal number: `18`.
    Decimal,
    /// Two hexadecimal digits: `0x12`.
    Hex,
}

/// A value of a field: text for tables and CSV by `Display`, a JSON number or string by `Serialize`.
///
/// ```
/// use flowseek::{flow::{Field, Flow, TcpFlags}, wire::{Cell, FlagsFormat}};
///
/// let flow = Flow { tcp_flags: Some(TcpFlags::new(18)), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let cell = Cell::of(&flow, Field::TcpFlags, FlagsFormat::Hex);
/// assert_eq!(cell.map(|cell| cell.to_string()).as_deref(), Some("0x12"));
/// assert!(Cell::of(&flow, Field::SrcPort, FlagsFormat::Hex).is_none());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// A port or a number of bytes.
    Number(u64),
    /// A sum of many numbers.
    Sum(u128),
    /// A name or an ID.
    Text(&'a str),
    /// An address: canonical text, IPv4-mapped as IPv4.
    Address(Address),
    /// A time: RFC 3339 in UTC with milliseconds.
    Time(Timestamp),
    /// A protocol by its name: `TCP`, `UDP`, `ICMP` or `UNKNOWN`.
    Protocol(Protocol),
    /// Flow flags: a decimal number as text.
    FlowFlags(FlowFlags),
    /// A JSON object, by its text.
    Object(&'a str),
    /// TCP flags in a format.
    Flags(TcpFlags, FlagsFormat),
}

impl<'a> Cell<'a> {
    /// A value of a field by itself; `None` where it is none that the field can have.
    pub fn of_value(value: &'a Value, field: Field, flags: FlagsFormat) -> Option<Self> {
        Self::shown(value.as_ref(), field, flags)
    }

    /// The value of a field of a flow; `None` where it is absent, and for [`Field::FlowId`], which a flow has not.
    pub fn of(flow: &'a Flow, field: Field, flags: FlagsFormat) -> Option<Self> {
        Self::shown(flow.value(field)?, field, flags)
    }

    fn shown(value: ValueRef<'a>, field: Field, flags: FlagsFormat) -> Option<Self> {
        let number = match value {
            ValueRef::Text(text) => {
                return match field.column().values {
                    ValueType::Name => Some(Self::Text(text)),
                    ValueType::Meta => Some(Self::Object(text)),
                    _ => None,
                };
            }
            ValueRef::Number(number) => number,
        };
        match field.column().values {
            ValueType::Protocol => u8::try_from(number).ok().map(|number| Self::Protocol(Protocol::new(number))),
            ValueType::TcpFlags => u8::try_from(number).ok().map(|bits| Self::Flags(TcpFlags::new(bits), flags)),
            ValueType::FlowFlags => u64::try_from(number).ok().map(|bits| Self::FlowFlags(FlowFlags::new(bits))),
            ValueType::Id | ValueType::Port | ValueType::Bytes | ValueType::Packets => {
                u64::try_from(number).ok().map(Self::Number)
            }
            ValueType::Address => Some(Self::Address(Address::from_bits(number))),
            ValueType::Time => {
                let millis = Timestamp::ordinal_millis(u64::try_from(number).ok()?);
                Timestamp::from_millis(millis).map(Self::Time)
            }
            ValueType::Name | ValueType::Meta => None,
        }
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Sum(sum) => sum.fmt(f),
            Self::Text(text) | Self::Object(text) => f.write_str(text),
            Self::FlowFlags(flags) => flags.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Protocol(protocol) => protocol.fmt(f),
            Self::Flags(flags, FlagsFormat::Binary) => flags.fmt(f),
            Self::Flags(flags, FlagsFormat::Decimal) => flags.bits().fmt(f),
            Self::Flags(flags, FlagsFormat::Hex) => write!(f, "{:#04x}", flags.bits()),
        }
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Sum(sum) => serializer.serialize_u128(*sum),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Protocol(protocol) => serializer.serialize_str(protocol.name()),
            Self::Object(text) => object(text).serialize(serializer),
            Self::Address(_) | Self::Time(_) | Self::FlowFlags(_) | Self::Flags(..) => serializer.collect_str(self),
        }
    }
}

/// An object for a serializer that takes no text of JSON.
fn object(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap_or_default()
}
