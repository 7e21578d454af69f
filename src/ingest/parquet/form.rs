//! What the values of a column are.

use arrow::datatypes::{DataType, TimeUnit};

use crate::flow::{Field, Kind};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Timestamps.
    Time(TimeUnit),
    /// Whole numbers of any width.
    Signed,
    /// Whole numbers that are not negative.
    Unsigned,
    /// Floating-point numbers of any width.
    Float,
    /// Decimal numbers of any precision.
    Decimal,
    /// Text, which is not known to be UTF-8.
    Text,
    /// Addresses as their 16 bytes. Only a type of this length means that; a text may have 16 bytes too.
    Address,
    /// Values none of which is there.
    Nothing,
}

impl Form {
    /// What the values of a column of this type are; `None` where the field does not take them.
    pub(super) fn of(field: Field, column: &DataType) -> Option<Self> {
        let form = Self::of_type(column)?;
        let taken = match form {
            Self::Nothing | Self::Text => true,
            Self::Time(_) => field.kind() == Kind::Time,
            Self::Signed | Self::Unsigned | Self::Float | Self::Decimal => {
                matches!(field.kind(), Kind::Number | Kind::Time)
            }
            Self::Address => field.kind() == Kind::Address,
        };
        taken.then_some(form)
    }

    /// What the values of a column of this type are; `None` where no field takes them.
    pub(super) fn of_type(column: &DataType) -> Option<Self> {
        Some(match column {
            DataType::Null => Self::Nothing,
            DataType::Utf8 | DataType::Binary => Self::Text,
            DataType::Timestamp(unit, _) => Self::Time(*unit),
            DataType::FixedSizeBinary(16) => Self::Address,
            decimal if decimal.is_decimal() => Self::Decimal,
            float if float.is_floating() => Self::Float,
            unsigned if unsigned.is_unsigned_integer() => Self::Unsigned,
            signed if signed.is_signed_integer() => Self::Signed,
            _ => return None,
        })
    }

    /// The types of columns that a field takes.
    pub(super) fn allowed(field: Field) -> &'static str {
        match field.kind() {
            Kind::Time => "timestamps, text and numbers",
            Kind::Address => "text and binary of a fixed length of 16 bytes",
            Kind::Number => "numbers and text",
            Kind::Text => "text",
        }
    }
}
