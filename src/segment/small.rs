//! Pages of numbers of one byte that are places in a dictionary.
//!
//! They are decoded here, as names are ([`places`](super::places)): the decoder of the Parquet crate looks each place up in a
//! dictionary of 32 bits, and makes bytes of what it has found.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, UInt8Array, builder::NullBufferBuilder},
    datatypes::DataType,
};
use parquet::{basic::Encoding, column::page::Page, errors::Result as ParquetResult};

use super::{levels::damaged, places::places};
use crate::{flow::Field, schema::column_type};

/// The numbers of some pages, each given with how many rows it has; `None` where they are no numbers of one byte, or one of
/// the pages does not hold places. A row without a number has any in its place.
///
/// # Errors
/// Where their bytes are not what such pages and their dictionary have.
pub(super) fn small_numbers(
    field: Field,
    pages: &[(Page, usize)],
    dictionary: &Page,
) -> ParquetResult<Option<ArrayRef>> {
    if column_type(field) != DataType::UInt8 || !matches!(dictionary.encoding(), Encoding::PLAIN) {
        return Ok(None);
    }
    // In the file, no number is shorter than 32 bits.
    let (values, rest) = dictionary.buffer().as_chunks::<4>();
    let values: Result<Vec<u8>, _> = values.iter().map(|bytes| u8::try_from(u32::from_le_bytes(*bytes))).collect();
    let values = values.ok().filter(|values| rest.is_empty() && values.len() == dictionary.num_values() as usize);
    let values = values.ok_or_else(damaged)?;
    let rows = pages.iter().map(|(_, rows)| rows).sum();
    let (mut numbers, mut valid) = (Vec::with_capacity(rows), NullBufferBuilder::new(rows));
    for (page, rows) in pages {
        let Some(places) = places(page, *rows)? else { return Ok(None) };
        let last = places.values().iter().copied().max().map(usize::from);
        if places.null_count() < *rows && last.is_some_and(|last| last >= values.len()) {
            return Err(damaged());
        }
        let number = |place: &u16| values.get(usize::from(*place)).copied().unwrap_or_default();
        numbers.extend(places.values().iter().map(number));
        match places.nulls() {
            Some(page) => valid.append_buffer(page),
            None => valid.append_n_non_nulls(*rows),
        }
    }
    Ok(Some(Arc::new(UInt8Array::new(numbers.into(), valid.finish()))))
}

#[cfg(test)]
mod tests {
    use arrow::{array::AsArray, datatypes::UInt8Type};
    use proptest::{collection::vec, option::of, prelude::*};

    use super::*;
    use crate::segment::sample;

    fn dictionary(values: &[u32]) -> Page {
        Page::DictionaryPage {
            buf: values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into(),
            num_values: values.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        }
    }

    /// A page of places in so many bits; its levels and its places are of one run a row.
    fn page(rows: &[Option<u8>]) -> (Page, usize) {
        let places = rows.iter().flatten().flat_map(|place| [2, *place]);
        let places: Vec<u8> = [8].into_iter().chain(places).collect();
        (sample::page(rows, Encoding::RLE_DICTIONARY, &sample::levels(rows), &places), rows.len())
    }

    proptest! {
        #[test]
        fn numbers_are_looked_up_in_the_dictionary_one_page_behind_the_other(
            pages in vec(vec(of(0u8..5), 1..40), 1..4),
            values in vec(0u32..256, 5),
        ) {
            let written: Vec<_> = pages.iter().map(|rows| page(rows)).collect();
            let read = small_numbers(Field::Protocol, &written, &dictionary(&values)).unwrap().unwrap();
            let expected: Vec<Option<u8>> =
                pages.concat().into_iter().map(|row| row.map(|place| values[usize::from(place)] as u8)).collect();
            prop_assert_eq!(read.as_primitive::<UInt8Type>().iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_place_behind_the_dictionary_or_a_number_of_two_bytes_is_damage_and_other_columns_are_left_to_others() {
        let pages = [page(&[Some(0), Some(2), None])];
        let read = |values: &[u32]| small_numbers(Field::TcpFlags, &pages, &dictionary(values));
        assert!(read(&[6, 17, 255]).unwrap().is_some());
        assert!(read(&[6, 17]).is_err());
        assert!(read(&[6, 17, 256]).is_err());
        assert!(small_numbers(Field::TcpFlags, &[page(&[None])], &dictionary(&[])).unwrap().is_some());
        assert!(small_numbers(Field::DstPort, &pages, &dictionary(&[6, 17, 255])).unwrap().is_none());
    }
}
