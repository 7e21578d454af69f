//! The first sort key of a flow, against which others are compared: of most blocks, most flows lie on its other side.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray},
    buffer::{BooleanBuffer, Buffer},
    datatypes::{DataType, TimeUnit, TimestampMillisecondType, UInt8Type, UInt16Type, UInt64Type},
};

use super::addresses::Addresses;
use crate::{
    flow::{Timestamp, Value},
    order::{Direction, SortKey},
};

/// The first sort key of a flow, and which flows may be wanted because of it.
#[derive(Debug)]
pub(super) struct Threshold {
    direction: Direction,
    value: Value,
    side: Side,
}

/// On which side of a threshold flows are wanted. Those with the same first sort key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Those that do not come after it: it is of the worst flow that a search has found.
    NotAfter,
    /// Those that do not come before it: it is of the flow behind which a page begins.
    NotBefore,
}

impl Threshold {
    /// Of a sort key, and its value.
    pub(super) fn new(key: SortKey, value: &Value, side: Side) -> Self {
        Self { direction: key.direction, value: value.clone(), side }
    }

    /// Which values are on its side, for a column of numbers, times or addresses; `None` for any other. Absent values come
    /// after all others.
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
            DataType::FixedSizeBinary(_) | DataType::Dictionary(..) => {
                let addresses = Addresses::new(column)?;
                let mask = match self.wants_lesser() {
                    true => addresses.mask(self.wants_absent(), |other| other <= number),
                    false => addresses.mask(self.wants_absent(), |other| other >= number),
                };
                Some(BooleanArray::new(mask, None))
            }
            _ => None,
        }
    }

    /// Whether lesser values are on its side, or greater ones.
    fn wants_lesser(&self) -> bool {
        (self.direction == Direction::Ascending) == (self.side == Side::NotAfter)
    }

    fn wants_absent(&self) -> bool {
        self.side == Side::NotBefore
    }

    fn reached<T: ArrowPrimitiveType>(&self, column: &ArrayRef, value: T::Native) -> Option<BooleanArray>
    where
        T::Native: Ord,
    {
        let column = column.as_primitive_opt::<T>()?;
        let mask = match self.wants_lesser() {
            true => mask(column.values(), |other| other <= value),
            false => mask(column.values(), |other| other >= value),
        };
        // An absent value has some number in its place.
        let told = column.nulls().map(|nulls| match self.wants_absent() {
            true => &mask | &!nulls.inner(),
            false => &mask & nulls.inner(),
        });
        Some(BooleanArray::new(told.unwrap_or(mask), None))
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

    use arrow::array::{FixedSizeBinaryArray, TimestampMillisecondArray, UInt8Array, UInt16Array, UInt64Array};
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{
        flow::{Field, ValueRef},
        order::compare_values,
    };

    fn number(value: u8) -> ValueRef<'static> {
        ValueRef::Number(value.into())
    }

    proptest! {
        #[test]
        fn values_reach_a_threshold_that_are_on_its_side(
            values in vec(option::of(0_u8..8), 0..200),
            threshold in 0_u8..8,
            skipped in 0_usize..70,
            descending: bool,
            behind: bool,
        ) {
            let direction = if descending { Direction::Descending } else { Direction::Ascending };
            let side = if behind { Side::NotBefore } else { Side::NotAfter };
            let reaches = |value: &Option<u8>| {
                let order = compare_values(direction, value.map(number), Some(number(threshold)));
                if behind { order.is_ge() } else { order.is_le() }
            };
            let skipped = skipped.min(values.len());
            let wanted: Vec<bool> = values[skipped..].iter().map(reaches).collect();
            let time = |value: u8| i64::from(value) - 4;
            let bytes = |value: u8| u128::from(value).to_be_bytes();
            let addresses = values.iter().map(|value| value.map(bytes));
            let columns: [(Field, ArrayRef); 5] = [
                (Field::SrcIp, Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, 16).unwrap())),
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
                let threshold = Threshold::new(key, &Value::Number(value), side);
                let column = column.slice(skipped, column.len() - skipped);
                let mask = threshold.reached_by(&column).unwrap();
                prop_assert_eq!(mask.iter().map(Option::unwrap).collect::<Vec<_>>(), wanted.clone());
            }
        }
    }
}
