//! What a test looks at: a field, or a number that two of them make.

use super::Bounds;
use crate::flow::{Field, Kind, Span, ValueRef};

/// What a test looks at.
///
/// ```
/// use flowseek::{Field, Filter, filter::{self, Operand}};
///
/// let large = filter::bytes().within(1_000_000..);
/// assert!(matches!(&large, Filter::Test(test) if test.operand() == Operand::Bytes && test.field().is_none()));
/// assert_eq!(Operand::Bytes.fields(), [Field::SrcBytes, Field::DstBytes]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operand {
    /// The value of a field.
    Field(Field),
    /// The bytes of both directions, added up. Where those of one are absent, those of the other; absent where both are.
    Bytes,
    /// The packets of both directions, likewise.
    Packets,
    /// The milliseconds from the start to the end: 0 where the end is before the start, absent where it is.
    Duration,
}

impl Operand {
    /// Its name: that of the column, `bytes`, `packets` or `duration`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name(),
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Duration => "duration",
        }
    }

    /// The fields that it is made of.
    pub fn fields(self) -> Vec<Field> {
        match self {
            Self::Field(field) => vec![field],
            Self::Bytes => vec![Field::SrcBytes, Field::DstBytes],
            Self::Packets => vec![Field::SrcPackets, Field::DstPackets],
            Self::Duration => vec![Field::StartTime, Field::EndTime],
        }
    }

    /// The field that it is, where it is one.
    pub fn field(self) -> Option<Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Bytes | Self::Packets | Self::Duration => None,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.field().map_or(Kind::Number, Field::kind)
    }

    /// Whether every flow has a value here.
    pub(crate) fn always_present(self) -> bool {
        self.field().is_some_and(Field::always_present)
    }

    /// The greatest number that a value can have.
    pub(crate) fn greatest(self) -> u128 {
        match self {
            Self::Field(field) => field.greatest(),
            Self::Bytes | Self::Packets => 2 * u128::from(u64::MAX),
            Self::Duration => u64::MAX.into(),
        }
    }

    /// Its value of a flow with these values; `None` where it is absent.
    pub(crate) fn value<'v>(self, value: &impl Fn(Field) -> Option<ValueRef<'v>>) -> Option<ValueRef<'v>> {
        let number = |field| match value(field) {
            Some(ValueRef::Number(number)) => Some(number),
            Some(ValueRef::Text(_)) | None => None,
        };
        let sum = |one, other| match (number(one), number(other)) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        let number = match self {
            Self::Field(field) => return value(field),
            Self::Bytes => sum(Field::SrcBytes, Field::DstBytes),
            Self::Packets => sum(Field::SrcPackets, Field::DstPackets),
            Self::Duration => {
                let start = number(Field::StartTime)?;
                number(Field::EndTime).map(|end| end.saturating_sub(start))
            }
        };
        number.map(ValueRef::Number)
    }

    /// Its bounds, of flows within these; `None` where nothing is known of them.
    pub(super) fn span<'b>(self, bounds: &'b impl Bounds) -> Option<Span<'b>> {
        match self {
            Self::Field(field) => bounds.field(field),
            Self::Bytes => sum(bounds.field(Field::SrcBytes)?, bounds.field(Field::DstBytes)?),
            Self::Packets => sum(bounds.field(Field::SrcPackets)?, bounds.field(Field::DstPackets)?),
            Self::Duration => {
                let (start, end) = (bounds.field(Field::StartTime)?, bounds.field(Field::EndTime)?);
                let values = match (numbers(start)?, numbers(end)?) {
                    (Some((first, last)), Some((soonest, latest))) => {
                        Some((soonest.saturating_sub(last), latest.saturating_sub(first)))
                    }
                    _ => None,
                };
                Some(span(values, end.absent))
            }
        }
    }
}

type Extent = (u128, u128);

/// The least and the greatest number, where there are some; `None` of texts.
fn numbers(span: Span<'_>) -> Option<Option<Extent>> {
    match span.values {
        Some((ValueRef::Number(least), ValueRef::Number(greatest))) => Some(Some((least, greatest))),
        Some(_) => None,
        None => Some(None),
    }
}

fn span<'b>(values: Option<Extent>, absent: bool) -> Span<'b> {
    Span { values: values.map(|(least, greatest)| (ValueRef::Number(least), ValueRef::Number(greatest))), absent }
}

/// The bounds of a sum. For example, of 5 to 9 or absent and 1 to 2: 1 to 11, as either may be alone where the other is absent.
fn sum<'b>(one: Span<'_>, other: Span<'_>) -> Option<Span<'b>> {
    let values = match (numbers(one)?, numbers(other)?) {
        (Some(first), Some(second)) => {
            let mut least = first.0.saturating_add(second.0);
            if one.absent {
                least = least.min(second.0);
            }
            if other.absent {
                least = least.min(first.0);
            }
            Some((least, first.1.saturating_add(second.1)))
        }
        (first, second) => first.or(second),
    };
    Some(span(values, (one.absent || one.values.is_none()) && (other.absent || other.values.is_none())))
}
