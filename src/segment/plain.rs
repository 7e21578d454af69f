//! Pages of numbers that are not packed.
//!
//! They are decoded here, as for a page of 2,048 numbers the decoder of the Parquet crate takes longer to be made than to
//! decode. Such a page holds which rows have a number, and then the numbers one after the other, little endian.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, TimestampMillisecondArray, UInt16Array, UInt64Array, builder::NullBufferBuilder},
    buffer::NullBuffer,
    datatypes::DataType,
};
use parquet::{basic::Encoding, column::page::Page, errors::Result as ParquetResult};

use super::levels::{damaged, validity};
use crate::{flow::Field, schema::column_type};

/// The numbers of some pages, each given with how many rows it has; `None` where one of them does not hold numbers that
/// way. A row without a number has 0 in its place.
///
/// # Errors
/// Where their bytes are not what such pages have.
pub(super) fn numbers(field: Field, pages: &[(Page, usize)]) -> ParquetResult<Option<ArrayRef>> {
    Ok(match column_type(field) {
        DataType::UInt64 => {
            let read = read(pages, u64::from_le_bytes)?;
            read.map(|(numbers, valid)| Arc::new(UInt64Array::new(numbers.into(), valid)) as ArrayRef)
        }
        DataType::UInt16 => match read(pages, u32::from_le_bytes)? {
            // The file has no shorter numbers than of 32 bits.
            Some((numbers, valid)) => {
                let ports =
                    numbers.into_iter().map(u16::try_from).collect::<Result<Vec<_>, _>>().map_err(|_| damaged())?;
                Some(Arc::new(UInt16Array::new(ports.into(), valid)))
            }
            None => None,
        },
        DataType::Timestamp(_, zone) => read(pages, i64::from_le_bytes)?.map(|(millis, valid)| {
            Arc::new(TimestampMillisecondArray::new(millis.into(), valid).with_timezone_opt(zone)) as ArrayRef
        }),
        _ => None,
    })
}

/// Numbers of `N` bytes, and which rows have one.
fn read<T: Copy + Default, const N: usize>(
    pages: &[(Page, usize)],
    number: impl Fn([u8; N]) -> T,
) -> ParquetResult<Option<(Vec<T>, Option<NullBuffer>)>> {
    let rows = pages.iter().map(|(_, rows)| rows).sum();
    let (mut numbers, mut valid) = (Vec::with_capacity(rows), NullBufferBuilder::new(rows));
    for (page, rows) in pages {
        let Some(Parts { levels, nulls, values }) = parts(page, *rows)? else { return Ok(None) };
        let (present, rest) = values.as_chunks::<N>();
        if !rest.is_empty() || present.len() + nulls != *rows {
            return Err(damaged());
        }
        match validity(levels, *rows, nulls)? {
            None => {
                numbers.extend(present.iter().map(|bytes| number(*bytes)));
                valid.append_n_non_nulls(*rows);
            }
            Some(page) => {
                let mut left = present.iter();
                let mut next = |is_valid| if is_valid { left.next().map(|bytes| number(*bytes)) } else { None };
                numbers.extend(page.iter().map(|is_valid| next(is_valid).unwrap_or_default()));
                valid.append_buffer(&page);
            }
        }
    }
    Ok(Some((numbers, valid.finish())))
}

/// What a page holds.
struct Parts<'a> {
    /// Which rows have a value.
    levels: &'a [u8],
    nulls: usize,
    values: &'a [u8],
}

/// `None` where the values are packed.
fn parts(page: &Page, rows: usize) -> ParquetResult<Option<Parts<'_>>> {
    let Page::DataPageV2 {
        buf,
        encoding: Encoding::PLAIN,
        num_values,
        num_nulls,
        def_levels_byte_len,
        rep_levels_byte_len: 0,
        ..
    } = page
    else {
        return Ok(None);
    };
    let nulls = *num_nulls as usize;
    if *num_values as usize != rows || nulls > rows {
        return Err(damaged());
    }
    let (levels, values) = buf.split_at_checked(*def_levels_byte_len as usize).ok_or_else(damaged)?;
    Ok(Some(Parts { levels, nulls, values }))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{UInt16Type, UInt64Type};
    use proptest::{collection::vec, option::of, prelude::*};

    use super::*;
    use crate::segment::sample;

    /// A page of numbers; its levels are of one run a row.
    fn page(rows: &[Option<u64>], encoding: Encoding) -> (Page, usize) {
        let values: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        (sample::page(rows, encoding, &sample::levels(rows), &values), rows.len())
    }

    proptest! {
        #[test]
        fn pages_are_the_numbers_that_were_written_one_page_behind_the_other(
            pages in vec(vec(of(any::<u64>()), 1..40), 1..4),
        ) {
            let written: Vec<_> = pages.iter().map(|rows| page(rows, Encoding::PLAIN)).collect();
            let read = numbers(Field::SrcBytes, &written).unwrap().unwrap();
            let read = read.as_primitive::<UInt64Type>();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), pages.concat());
            prop_assert!(read.iter().zip(read.values()).all(|(number, slot)| number.unwrap_or(0) == *slot));
            let more: Vec<_> = written.iter().map(|(page, rows)| (page.clone(), rows + 1)).collect();
            prop_assert!(numbers(Field::SrcBytes, &more).is_err());
        }
    }

    #[test]
    fn a_page_of_packed_numbers_is_left_to_others_and_a_port_has_sixteen_bits() {
        assert!(numbers(Field::SrcBytes, &[page(&[Some(1)], Encoding::DELTA_BINARY_PACKED)]).unwrap().is_none());
        // In the file a port has 32 bits, so that the bytes of one number of 64 are two ports.
        let ports = |number: u64| {
            let (mut page, _) = page(&[Some(number)], Encoding::PLAIN);
            if let Page::DataPageV2 { num_values, .. } = &mut page {
                *num_values = 2;
            }
            numbers(Field::DstPort, &[(page, 2)])
        };
        assert_eq!(ports(443 << 32 | 53).unwrap().unwrap().as_primitive::<UInt16Type>().values(), &[53, 443]);
        assert!(ports(65_536 << 32 | 53).is_err());
    }
}
