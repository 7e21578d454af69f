//! The threshold of a search: of most blocks, most flows do not reach it.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray},
    buffer::{BooleanBuffer, Buffer},
    datatypes::{DataType, TimeUnit, TimestampMillisecondType, UInt8Type, UInt16Type, UInt64Type},
};

use crate::{
    flow::{Timestamp, Value},
    order::{Direction, SortKey},
};

/// The first sort key of the worst flow that is wanted. A flow whose own comes after it is not.
#[derive(Debug)]
pub(super) struct Threshold {
    direction: Direction,
    value: Value,
}

impl Threshold {
    /// Of a sort key, and its value.
    pub(super) fn new(key: SortKey, value: &Value) -> Self {
        Self { direction: key.direction, value: value.clone() }
    }

    /// Which values do not come after it, for a column of numbers or times; `None` for any other. Absent values come after
    /// all others.
    pub(super) fn reached_by(&self, column: &ArrayRef) -> Option<BooleanArray> {
        let Value::Number(number) = self.value else { return None };
        match column.data_type() {
            DataType::UInt8 => self.reached::<UInt8Type>(column, number.try_into().ok()?),
            DataType::UInt16 => self.reached::<UInt16Type>(column, number.try_into().ok()?),
            DataType::UInt64 => self.reached::<UInt64Type>(column, number.try_into().ok()?),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                let millis = Timestamp::ordinal_millis(number.try_into().ok()?);
                self.reached::<TimestampMillisecondType>(column, millis)
            }
            _ => None,
        }
    }

    fn reached<T: ArrowPrimitiveType>(&self, column: &ArrayRef, value: T::Native) -> Option<BooleanArray>
    where
        T::Native: Ord,
    {
        let column = column.as_primitive_opt::<T>()?;
        let mask = match self.direction {
            Direction::Ascending => mask(column.values(), |other| other <= value),
            Direction::Descending => mask(column.values(), |other| other >= value),
        };
        // An absent value has some number in its place.
        let present = column.nulls().map(|nulls| &mask & nulls.inner());
        Some(BooleanArray::new(present.unwrap_or(mask), None))
    }
}

/// For which values something is true.
///
/// Of most words of 64 values it is true of none. A loop of vector instructions tells so in a fraction of the time that it
/// takes to put a word together.
fn mask<T: Copy>(values: &[T], passes: impl Fn(T) -> bool) -> BooleanBuffer {
    let word = |values: &[T]| match values.iter().fold(false, |any, value| any | passes(*value)) {
        true => values.iter().rev().fold(0_u64, |word, value| word << 1 | u64::from(passes(*value))),
        false => 0,
    };
    let words: Vec<u64> = values.chunks(64).map(word).collect();
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{TimestampMillisecondArray, UInt8Array, UInt16Array, UInt64Array};
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::flow::Field;

    proptest! {
        #[test]
        fn values_reach_a_threshold_that_do_not_come_after_it(
            values in vec(option::of(0_u8..8), 0..200),
            threshold in 0_u8..8,
            skipped in 0_usize..70,
            descending: bool,
        ) {
            let direction = if descending { Direction::Descending } else { Direction::Ascending };
            let reaches = |value: &Option<u8>| match direction {
                Direction::Ascending => value.is_some_and(|value| value <= threshold),
                Direction::Descending => value.is_some_and(|value| value >= threshold),
            };
            let skipped = skipped.min(values.len());
            let wanted: Vec<bool> = values[skipped..].iter().map(reaches).collect();
            let time = |value: u8| i64::from(value) - 4;
            let columns: [(Field, ArrayRef); 4] = [
                (Field::TcpFlags, Arc::new(UInt8Array::from(values.clone()))),
                (Field::DstPort, Arc::new(UInt16Array::from_iter(values.iter().map(|value| value.map(u16::from))))),
                (Field::DstBytes, Arc::new(UInt64Array::from_iter(values.iter().map(|value| value.map(u64::from))))),
                (Field::EndTime, Arc::new(TimestampMillisecondArray::from_iter(values.iter().map(|value| value.map(time))))),
            ];
            for (field, column) in columns {
                let value = match field {
                    Field::EndTime => Timestamp::from_millis(time(threshold)).unwrap().ordinal().into(),
                    _ => u128::from(threshold),
                };
                let key = SortKey { field, direction };
                let threshold = Threshold::new(key, &Value::Number(value));
                let column = column.slice(skipped, column.len() - skipped);
                let mask = threshold.reached_by(&column).unwrap();
                prop_assert_eq!(mask.iter().map(Option::unwrap).collect::<Vec<_>>(), wanted.clone());
            }
        }
    }
}
