//! Tests of addresses, on columns as they are decoded: mostly places in a dictionary.
//!
//! DataFusion knows the columns of the schema, where addresses are 16 bytes each. To put those together for a page takes
//! longer than to compare the values in the dictionary with the few ranges that a filter has.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::UInt16Type,
};

use crate::{
    filter::{Filter, Set},
    flow::{Field, Kind},
    segment::bit_words,
};

/// A column of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses<'a> {
    /// The addresses of the rows, or those of a dictionary.
    values: &'a [[u8; 16]],
    /// Of each row its place in the dictionary, where there is one.
    places: Option<&'a [u16]>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Addresses<'a> {
    /// Of an array that holds addresses; `None` of any other.
    pub(super) fn new(column: &'a ArrayRef) -> Option<Self> {
        let places = column.as_dictionary_opt::<UInt16Type>();
        let values = places.map_or(column, |places| places.values()).as_fixed_size_binary_opt()?;
        let (chunks, _) = values.value_data().as_chunks::<16>();
        // An address that is absent from a dictionary is a place that is absent.
        let known = values.value_size() == 16 && (places.is_none() || values.null_count() == 0);
        known.then(|| Self {
            values: chunks,
            places: places.map(|places| places.keys().values().as_ref()),
            nulls: column.nulls(),
        })
    }

    /// Which rows pass: those whose address does, and where `absent` those that have none.
    pub(super) fn mask(&self, absent: bool, passes: impl Fn(u128) -> bool) -> BooleanBuffer {
        self.mask_of_bytes(absent, |address| passes(u128::from_be_bytes(*address)))
    }

    /// The same for one address. To compare it as it is stored takes a third of the instructions.
    fn mask_of_one(&self, absent: bool, address: u128) -> BooleanBuffer {
        let bytes = address.to_be_bytes();
        self.mask_of_bytes(absent, |address| *address == bytes)
    }

    fn mask_of_bytes(&self, absent: bool, passes: impl Fn(&[u8; 16]) -> bool) -> BooleanBuffer {
        let mask = match self.places {
            // An absent value has some place.
            Some(places) => {
                let words = bit_words(places, |place| self.values.get(usize::from(*place)).is_some_and(&passes));
                BooleanBuffer::new(words.into(), 0, places.len())
            }
            None => BooleanBuffer::new(bit_words(self.values, &passes).into(), 0, self.values.len()),
        };
        match self.nulls {
            None => mask,
            Some(nulls) if absent => &mask | &!nulls.inner(),
            Some(nulls) => &mask & nulls.inner(),
        }
    }
}

/// Whether a filter is made of tests on addresses alone.
pub(super) fn is_of_addresses(filter: &Filter) -> bool {
    filter.tests().all(|test| test.operand().kind() == Kind::Address && matches!(test.set(), Set::Numbers(_)))
}

/// Which of `rows` rows pass a filter that is made of tests on addresses alone; `None` where `columns` of `fields` are
/// others.
pub(super) fn passing(filter: &Filter, fields: &[Field], columns: &[ArrayRef], rows: usize) -> Option<BooleanArray> {
    let mask = filter.fold(|part, parts: Vec<Option<BooleanBuffer>>| match part {
        Filter::Test(test) => {
            let Set::Numbers(numbers) = test.set() else { return None };
            let column = columns.get(fields.iter().position(|field| Some(*field) == test.field())?)?;
            let (addresses, absent) = (Addresses::new(column)?, test.passes_absent());
            Some(match numbers.as_slice() {
                [(first, last)] if first == last => addresses.mask_of_one(absent, *first),
                [(first, last)] => addresses.mask(absent, |address| *first <= address && address <= *last),
                _ => addresses.mask(absent, |address| numbers.contains(address)),
            })
        }
        Filter::And(_) => joined(parts, rows, true),
        Filter::Or(_) => joined(parts, rows, false),
        Filter::Not(_) => parts.into_iter().next().flatten().map(|mask| !&mask),
    });
    mask.map(|mask| BooleanArray::new(mask, None))
}

/// The rows of all parts, or where not `all` of any.
fn joined(parts: Vec<Option<BooleanBuffer>>, rows: usize, all: bool) -> Option<BooleanBuffer> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return Some(if all { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) });
    };
    parts.try_fold(first?, |mask, part| {
        let part = part?;
        Some(if all { &mask & &part } else { &mask | &part })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, FixedSizeBinaryArray, UInt16Array};
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{
        filter::{Operand, Ranges, Test},
        flow::ValueRef,
    };

    /// A number of 128 bits for a small one: the small numbers, and great ones.
    fn address(small: u8) -> u128 {
        if small < 4 { small.into() } else { u128::MAX - u128::from(8 - small) }
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let fields = prop_oneof![Just(Field::SrcIp), Just(Field::DstIp)];
        let ranges = vec((0_u8..8, 0_u8..8), 0..3);
        let test = (fields, ranges, any::<bool>()).prop_map(|(field, ranges, negated)| {
            let ranges = ranges.into_iter().map(|(first, last)| (address(first), address(last)));
            let test = Test::new(Operand::Field(field), Set::Numbers(Ranges::from_iter(ranges)));
            Filter::Test(if negated { test.negated() } else { test })
        });
        test.prop_recursive(3, 12, 3, |part| {
            prop_oneof![
                vec(part.clone(), 0..3).prop_map(Filter::And),
                vec(part.clone(), 0..3).prop_map(Filter::Or),
                part.prop_map(|part| Filter::Not(Box::new(part))),
            ]
        })
    }

    /// A column of these, as 16 bytes each or as places in a dictionary, behind some rows of another part of the column.
    fn column(addresses: &[Option<u8>], is_dictionary: bool, skipped: usize) -> ArrayRef {
        let bytes = |small: u8| address(small).to_be_bytes();
        let addresses = || vec![Some(1); skipped].into_iter().chain(addresses.iter().copied());
        let column: ArrayRef = match is_dictionary {
            true => {
                let values = FixedSizeBinaryArray::try_from_iter((0..8).rev().map(bytes)).unwrap();
                let places = UInt16Array::from_iter(addresses().map(|small| small.map(|small| 7 - u16::from(small))));
                Arc::new(DictionaryArray::new(places, Arc::new(values)))
            }
            false => {
                let values = addresses().map(|small| small.map(bytes));
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).unwrap())
            }
        };
        column.slice(skipped, column.len() - skipped)
    }

    proptest! {
        #[test]
        fn a_filter_of_addresses_passes_the_rows_that_match(
            filter in filters(),
            rows in vec((option::of(0_u8..8), option::of(0_u8..8)), 0..100),
            is_dictionary: (bool, bool),
            skipped in 0_usize..3,
        ) {
            prop_assert!(is_of_addresses(&filter));
            let (source, dest): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let columns = [column(&source, is_dictionary.0, skipped), column(&dest, is_dictionary.1, skipped)];
            let mask = passing(&filter, &[Field::SrcIp, Field::DstIp], &columns, rows.len()).unwrap();
            let matches = rows.iter().map(|(source, dest)| {
                let value = |field| if field == Field::SrcIp { *source } else { *dest };
                filter.holds(&|field| value(field).map(|small| ValueRef::Number(address(small))))
            });
            prop_assert_eq!(mask.values().iter().collect::<Vec<_>>(), matches.collect::<Vec<_>>());
        }
    }
}
