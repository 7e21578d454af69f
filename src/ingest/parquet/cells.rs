//! The values of a column, as the fields of a flow take them.

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit},
};

use super::columns::Form;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Address, Timestamp},
    import::Scalar,
};

/// The values of one column, in one of four types.
pub(super) enum Cells {
    Times(Int64Array, TimeUnit),
    /// As they are written in decimal, so that they mean what they mean in JSON.
    Numbers(StringArray),
    Texts(StringArray),
    Bytes(BinaryArray),
}

impl Cells {
    /// The values of a column of this form.
    pub(super) fn of(column: &ArrayRef, form: Form) -> Result<Self> {
        let target = match form {
            Form::Time(_) => DataType::Int64,
            Form::Number | Form::Text => DataType::Utf8,
            Form::Bytes => DataType::Binary,
        };
        let column = cast(column, &target)
            .map_err(Error::with(ErrorKind::InvalidInput, "a column of the Parquet file cannot be read"))?;
        let cells = match form {
            Form::Time(unit) => column.as_primitive_opt::<Int64Type>().cloned().map(|times| Self::Times(times, unit)),
            Form::Number => column.as_string_opt().cloned().map(Self::Numbers),
            Form::Text => column.as_string_opt().cloned().map(Self::Texts),
            Form::Bytes => column.as_binary_opt().cloned().map(Self::Bytes),
        };
        cells.ok_or_else(|| Error::internal("a cast gave another type"))
    }

    /// The value in a row, which must be within the column; else the reason why it is none.
    pub(super) fn get(&self, row: usize) -> Result<Scalar<'_>, String> {
        Ok(match self {
            Self::Times(times, unit) if times.is_valid(row) => Scalar::Time(time(times.value(row), *unit)?),
            Self::Numbers(texts) if texts.is_valid(row) => Scalar::Number(texts.value(row)),
            Self::Texts(texts) if texts.is_valid(row) => Scalar::text(texts.value(row)),
            Self::Bytes(bytes) if bytes.is_valid(row) => Scalar::Address(address(bytes.value(row))?),
            _ => Scalar::Absent,
        })
    }
}

/// What is finer than a millisecond is cut, before 1970 too.
fn time(count: i64, unit: TimeUnit) -> Result<Timestamp, String> {
    let (millis, name) = match unit {
        TimeUnit::Second => (count.checked_mul(1000), "seconds"),
        TimeUnit::Millisecond => (Some(count), "milliseconds"),
        TimeUnit::Microsecond => (Some(count.div_euclid(1000)), "microseconds"),
        TimeUnit::Nanosecond => (Some(count.div_euclid(1_000_000)), "nanoseconds"),
    };
    let time = millis.and_then(Timestamp::from_millis);
    time.ok_or_else(|| format!("{count} {name} after 1970 lie outside the years 0 to 9999"))
}

fn address(bytes: &[u8]) -> Result<Address, String> {
    let exact = bytes.try_into().map(Address::from_bytes);
    exact.map_err(|_| format!("{} bytes are not an address: it has 16, IPv4 mapped", bytes.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float32Array, Float64Array, Int8Array, UInt64Array};

    use super::*;

    #[test]
    fn what_is_finer_than_a_millisecond_is_cut_before_1970_too() {
        for (count, unit, millis) in [
            (-1, TimeUnit::Second, -1000),
            (1_999, TimeUnit::Microsecond, 1),
            (-1, TimeUnit::Microsecond, -1),
            (-1_000_001, TimeUnit::Nanosecond, -2),
        ] {
            assert_eq!(time(count, unit).map(Timestamp::as_millis), Ok(millis));
        }
        let reason = "9223372036854775807 seconds after 1970 lie outside the years 0 to 9999";
        assert_eq!(time(i64::MAX, TimeUnit::Second).unwrap_err(), reason);
    }

    #[test]
    fn numbers_of_every_type_are_exact() {
        let decimals = Decimal128Array::from(vec![18_446_744_073_709_551_615_000]).with_precision_and_scale(23, 3);
        let columns: [(ArrayRef, u64); 5] = [
            (Arc::new(Int8Array::from(vec![7])), 7),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), u64::MAX),
            (Arc::new(Float32Array::from(vec![443.0])), 443),
            (Arc::new(Float64Array::from(vec![1e18])), 1_000_000_000_000_000_000),
            (Arc::new(decimals.unwrap()), u64::MAX),
        ];
        for (column, number) in columns {
            let cells = Cells::of(&column, Form::Number).unwrap();
            assert_eq!(cells.get(0).unwrap().bytes(), Ok(Some(number)), "{}", column.data_type());
        }
    }
}
