//! Tests of numbers that two columns make, on the columns as they are decoded.
//!
//! DataFusion adds in a type that holds every sum, decimals of 16 bytes, and that takes several times as long as to add and to
//! compare the numbers one by one.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::{TimestampMillisecondType, UInt64Type},
};

use crate::{
    filter::{Filter, Operand, Ranges, Set, Test},
    flow::Field,
};

/// The test that a filter is, where it is one of a number that two columns make.
pub(super) fn made(filter: &Filter) -> Option<&Test> {
    match filter {
        Filter::Test(test) if test.field().is_none() && matches!(test.set(), Set::Numbers(_)) => Some(test),
        _ => None,
    }
}

/// Which rows pass; `None` where `columns` of `fields` are others.
pub(super) fn passing(test: &Test, fields: &[Field], columns: &[ArrayRef]) -> Option<BooleanArray> {
    let Set::Numbers(ranges) = test.set() else { return None };
    let column = |field: Field| columns.get(fields.iter().position(|other| *other == field)?);
    let [one, other] = test.fields().try_into().ok()?;
    let (one, other) = (column(one)?, column(other)?);
    if one.len() != other.len() {
        return None;
    }
    let rows = one.len();
    let (mask, present) = match test.operand() {
        Operand::Bytes | Operand::Packets => {
            let (left, right) = (one.as_primitive_opt::<UInt64Type>()?, other.as_primitive_opt::<UInt64Type>()?);
            let known = |nulls: Option<&NullBuffer>, row| nulls.is_none_or(|nulls| nulls.is_valid(row));
            let (left, right) = ((left.values(), left.nulls()), (right.values(), right.nulls()));
            let number = |(values, nulls): (&[u64], Option<&NullBuffer>), row: usize| match values.get(row) {
                // What stands in place of an absent number is no number.
                Some(number) if known(nulls, row) => u128::from(*number),
                _ => 0,
            };
            let sum = |row| number((left.0, left.1), row) + number((right.0, right.1), row);
            (mask(rows, ranges, sum), either(left.1, right.1))
        }
        Operand::Duration => {
            let start = one.as_primitive_opt::<TimestampMillisecondType>()?;
            let end = other.as_primitive_opt::<TimestampMillisecondType>()?;
            let (starts, ends) = (start.values(), end.values());
            let length = |row: usize| {
                let (start, end) = (starts.get(row).copied().unwrap_or(0), ends.get(row).copied().unwrap_or(0));
                u128::try_from(end.saturating_sub(start)).unwrap_or(0)
            };
            (mask(rows, ranges, length), end.nulls().cloned())
        }
        _ => return None,
    };
    let mask = match present {
        None => mask,
        Some(present) if test.passes_absent() => &mask | &!present.inner(),
        Some(present) => &mask & present.inner(),
    };
    Some(BooleanArray::new(mask, None))
}

/// The rows whose number lies in some range.
fn mask(rows: usize, ranges: &Ranges, number: impl Fn(usize) -> u128) -> BooleanBuffer {
    match ranges.as_slice() {
        [(first, last)] => BooleanBuffer::collect_bool(rows, |row| (*first..=*last).contains(&number(row))),
        _ => BooleanBuffer::collect_bool(rows, |row| ranges.contains(number(row))),
    }
}

/// Where either is present; `None` where one of them always is.
fn either(one: Option<&NullBuffer>, other: Option<&NullBuffer>) -> Option<NullBuffer> {
    Some(NullBuffer::new(one?.inner() | other?.inner()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{TimestampMillisecondArray, UInt64Array};
    use proptest::{collection::vec, option, prelude::*, sample::select};
    use std::sync::Arc;

    use super::*;
    use crate::flow::ValueRef;

    fn number() -> impl Strategy<Value = Option<u64>> {
        option::of(prop_oneof![0u64..5, Just(u64::MAX), Just(u64::MAX - 1)])
    }

    proptest! {
        #[test]
        fn rows_pass_as_their_flows_do(
            sums in vec((number(), number()), 0..70),
            times in vec((0i64..5, option::of(0i64..5)), 0..70),
            bounds in vec((0u128..8, prop_oneof![0u128..8, Just(u128::MAX)]), 0..3),
            operand in select(vec![Operand::Bytes, Operand::Packets, Operand::Duration]),
            negated in any::<bool>(),
        ) {
            let test = Test::new(operand, Set::Numbers(bounds.into_iter().collect()));
            let test = if negated { test.negated() } else { test };
            let fields = test.fields();
            let (columns, rows): (Vec<ArrayRef>, Vec<[Option<u128>; 2]>) = match operand {
                Operand::Duration => {
                    let starts: TimestampMillisecondArray = times.iter().map(|(start, _)| Some(*start)).collect();
                    let ends: TimestampMillisecondArray = times.iter().map(|(_, end)| *end).collect();
                    let wide = |time: i64| u128::try_from(time).unwrap();
                    let rows = times.iter().map(|(start, end)| [Some(wide(*start)), end.map(wide)]).collect();
                    (vec![Arc::new(starts), Arc::new(ends)], rows)
                }
                _ => {
                    let rows = sums.iter().map(|(one, other)| [one.map(u128::from), other.map(u128::from)]).collect();
                    let one: UInt64Array = sums.iter().map(|sum| sum.0).collect();
                    let other: UInt64Array = sums.iter().map(|sum| sum.1).collect();
                    (vec![Arc::new(one), Arc::new(other)], rows)
                }
            };
            let filter = Filter::Test(test);
            let expected: Vec<bool> = rows
                .iter()
                .map(|values| {
                    let value = |field: Field| {
                        let place = fields.iter().position(|other| *other == field)?;
                        values[place].map(ValueRef::Number)
                    };
                    filter.holds(&value)
                })
                .collect();
            let found = passing(made(&filter).unwrap(), &fields, &columns).unwrap();
            prop_assert_eq!(found.values().iter().collect::<Vec<_>>(), expected);
        }
    }
}
