//! What a test looks at: a field, or a number that two of them make.

use crate::flow::{Field, Kind, ValueRef};

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
}
