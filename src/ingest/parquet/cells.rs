//! The values of a column, as the fields of a flow take them.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray, UInt64Array,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type},
};

use super::form::Form;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Address, Timestamp},
    import::Scalar,
};

/// The values of one column, in the widest type of their form: nothing is lost before a field looks at them.
pub(super) enum Cells {
    Times(Int64Array, TimeUnit),
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Floats(Float64Array),
    /// As they are written.
    Decimals(StringArray),
    Texts(BinaryArray),
    Addresses(FixedSizeBinaryArray),
    Nothing,
}

impl Cells {
    /// The values of a column of this form.
    pub(super) fn of(column: &ArrayRef, form: Form) -> Result<Self> {
        let target = match form {
            Form::Time(_) | Form::Signed => DataType::Int64,
            Form::Unsigned => DataType::UInt64,
            Form::Float => DataType::Float64,
            Form::Decimal => DataType::Utf8,
            Form::Text => DataType::Binary,
            Form::Address => DataType::FixedSizeBinary(16),
            Form::Nothing => return Ok(Self::Nothing),
        };
        let column = cast(column, &target)
            .map_err(Error::with(ErrorKind::InvalidInput, "a column of the Parquet file cannot be read"))?;
        let cells = match form {
            Form::Time(unit) => column.as_primitive_opt::<Int64Type>().cloned().map(|times| Self::Times(times, unit)),
            Form::Signed => column.as_primitive_opt::<Int64Type>().cloned().map(Self::Signed),
            Form::Unsigned => column.as_primitive_opt::<UInt64Type>().cloned().map(Self::Unsigned),
            Form::Float => column.as_primitive_opt::<Float64Type>().cloned().map(Self::Floats),
            Form::Decimal => column.as_string_opt().cloned().map(Self::Decimals),
            Form::Text => column.as_binary_opt().cloned().map(Self::Texts),
            Form::Address => column.as_fixed_size_binary_opt().cloned().map(Self::Addresses),
            Form::Nothing => Some(Self::Nothing),
        };
        cells.ok_or_else(|| Error::internal("a cast gave another type"))
    }

    /// The value in a row, which must be within the column; else the reason why it is none.
    pub(super) fn get(&self, row: usize) -> Result<Scalar<'_>, String> {
        Ok(match self {
            Self::Times(times, unit) if times.is_valid(row) => Scalar::Time(time(times.value(row), *unit)?),
            Self::Signed(numbers) if numbers.is_valid(row) => Scalar::Integer(numbers.value(row).into()),
            Self::Unsigned(numbers) if numbers.is_valid(row) => Scalar::Integer(numbers.value(row).into()),
            Self::Floats(numbers) if numbers.is_valid(row) => Scalar::float(numbers.value(row)),
            Self::Decimals(texts) if texts.is_valid(row) => Scalar::Number(texts.value(row)),
            Self::Texts(texts) if texts.is_valid(row) => Scalar::text(text(texts.value(row))?),
            Self::Addresses(bytes) if bytes.is_valid(row) => Scalar::Address(address(bytes.value(row))?),
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

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let hint = match bytes.len() {
            16 => "; bytes of an address are read from a column of a fixed length of 16",
            _ => "",
        };
        format!("{} bytes that are not UTF-8 at byte {}{hint}", bytes.len(), error.valid_up_to() + 1)
    })
}

fn address(bytes: &[u8]) -> Result<Address, String> {
    let exact = bytes.try_into().map(Address::from_bytes);
    exact.map_err(|_| format!("{} bytes are not an address: it has 16, IPv4 mapped", bytes.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Decimal128Array, Float32Array, Int8Array, UInt32Array},
        datatypes::i256,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::flow::Field;

    /// The values of a column of numbers.
    fn cells(column: ArrayRef) -> Cells {
        Cells::of(&column, Form::of(Field::DstBytes, column.data_type()).unwrap()).unwrap()
    }

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
    fn no_unit_wraps_into_the_years_0_to_9999() {
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond] {
            for count in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
                assert!(time(count, unit).is_err(), "{count} {unit:?}");
            }
        }
        assert!(time(i64::MAX / 1000 + 1, TimeUnit::Second).is_err());
        // Nanoseconds reach from 1677 to 2262 and no further.
        assert_eq!(time(i64::MAX, TimeUnit::Nanosecond).unwrap().to_string(), "2262-04-11T23:47:16.854Z");
        assert_eq!(time(i64::MIN, TimeUnit::Nanosecond).unwrap().to_string(), "1677-09-21T00:12:43.145Z");
    }

    #[test]
    fn numbers_of_every_type_are_exact() {
        let decimals = Decimal128Array::from(vec![18_446_744_073_709_551_615_000]).with_precision_and_scale(23, 3);
        let wide = arrow::array::Decimal256Array::from(vec![i256::from_i128(u64::MAX.into())]);
        let columns: [(ArrayRef, u64); 8] = [
            (Arc::new(Int8Array::from(vec![7])), 7),
            (Arc::new(UInt32Array::from(vec![u32::MAX])), u32::MAX.into()),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), u64::MAX),
            (Arc::new(Float32Array::from(vec![443.0])), 443),
            (Arc::new(Float64Array::from(vec![1e18])), 1_000_000_000_000_000_000),
            (Arc::new(Float64Array::from(vec![1_152_921_504_606_846_976.0])), 1 << 60),
            (Arc::new(decimals.unwrap()), u64::MAX),
            (Arc::new(wide.with_precision_and_scale(60, 0).unwrap()), u64::MAX),
        ];
        for (column, number) in columns {
            let data = column.data_type().clone();
            assert_eq!(cells(column).get(0).unwrap().bytes(), Ok(Some(number)), "{data}");
        }
    }

    #[test]
    fn numbers_that_are_no_count_are_refused_whatever_their_type() {
        let fraction = Decimal128Array::from(vec![1_001]).with_precision_and_scale(10, 3).unwrap();
        let columns: [ArrayRef; 5] = [
            Arc::new(Int64Array::from(vec![-1])),
            Arc::new(Int64Array::from(vec![i64::MIN])),
            Arc::new(Float64Array::from(vec![0.5])),
            Arc::new(Float32Array::from(vec![f32::INFINITY])),
            Arc::new(fraction),
        ];
        for column in columns {
            let data = column.data_type().clone();
            assert!(cells(column).get(0).unwrap().bytes().is_err(), "{data}");
        }
    }

    /// Whole numbers about the bounds of every type, and any others.
    fn whole_number() -> impl Strategy<Value = i128> {
        let bound = prop::sample::select(vec![0, 7, 15, 16, 31, 32, 52, 53, 54, 62, 63, 64, 65, 90]);
        let about = (bound, any::<bool>(), -3..=3i128).prop_map(|(bits, negative, near)| {
            let power = (1i128 << bits) + near;
            if negative { -power } else { power }
        });
        prop_oneof![about, any::<i64>().prop_map(i128::from), any::<u64>().prop_map(i128::from)]
    }

    /// The number of bytes that a column of this one number gives; `None` where it is refused.
    fn bytes(column: impl Array + 'static) -> Option<u64> {
        cells(Arc::new(column)).get(0).unwrap().bytes().ok().map(Option::unwrap)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn a_count_of_any_type_is_the_same_number_or_refused(number in whole_number()) {
            let count = u64::try_from(number).ok();
            if let Ok(number) = i64::try_from(number) {
                prop_assert_eq!(bytes(Int64Array::from(vec![number])), count);
            }
            if let Ok(number) = u64::try_from(number) {
                prop_assert_eq!(bytes(UInt64Array::from(vec![number])), count);
            }
            for scale in [0, 1, 6] {
                let scaled = number.checked_mul(10i128.pow(scale)).filter(|scaled| scaled.abs() < 10i128.pow(38));
                if let Some(scaled) = scaled {
                    let scale = i8::try_from(scale).unwrap();
                    let decimals = Decimal128Array::from(vec![scaled]).with_precision_and_scale(38, scale).unwrap();
                    prop_assert_eq!(bytes(decimals), count);
                }
            }
            // A floating-point number is the nearest that it has; what is stored is that number, exactly.
            let float = number as f64;
            prop_assert_eq!(bytes(Float64Array::from(vec![float])), u64::try_from(float as i128).ok());
        }

        #[test]
        fn a_time_of_any_unit_is_exact_or_refused(count in any::<i64>(), shift in 0..64u32) {
            let count = count >> shift;
            for (unit, per_second) in [
                (TimeUnit::Second, 1i128),
                (TimeUnit::Millisecond, 1000),
                (TimeUnit::Microsecond, 1_000_000),
                (TimeUnit::Nanosecond, 1_000_000_000),
            ] {
                let millis = (i128::from(count) * 1000).div_euclid(per_second);
                let expected = i64::try_from(millis).ok().and_then(Timestamp::from_millis);
                prop_assert_eq!(time(count, unit).ok(), expected, "{} {:?}", count, unit);
            }
        }
    }

    #[test]
    fn not_a_number_is_absent() {
        assert_eq!(cells(Arc::new(Float64Array::from(vec![f64::NAN]))).get(0).unwrap().bytes(), Ok(None));
        assert_eq!(cells(Arc::new(Float32Array::from(vec![f32::NAN]))).get(0).unwrap().bytes(), Ok(None));
    }
}
