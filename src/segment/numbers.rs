//! Pages of numbers.
//!
//! They are decoded here, as for a page of 2,048 numbers the decoder of the Parquet crate takes longer to be made than to
//! decode. Such a page holds which rows have a number, and then the numbers: one after the other, little endian; or, split,
//! the lowest bytes of all, then their next bytes, and so on.

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
            let read = read::<_, 8>(pages, |number| number)?;
            read.map(|(numbers, valid)| Arc::new(UInt64Array::new(numbers.into(), valid)) as ArrayRef)
        }
        DataType::UInt16 => match read::<_, 4>(pages, |number| number)? {
            // The file has no shorter numbers than of 32 bits.
            Some((numbers, valid)) => {
                let ports =
                    numbers.into_iter().map(u16::try_from).collect::<Result<Vec<_>, _>>().map_err(|_| damaged())?;
                Some(Arc::new(UInt16Array::new(ports.into(), valid)))
            }
            None => None,
        },
        DataType::Timestamp(_, zone) => read::<_, 8>(pages, u64::cast_signed)?.map(|(millis, valid)| {
            Arc::new(TimestampMillisecondArray::new(millis.into(), valid).with_timezone_opt(zone)) as ArrayRef
        }),
        _ => None,
    })
}

/// Numbers of `N` bytes, and which rows have one.
fn read<T: Copy + Default, const N: usize>(
    pages: &[(Page, usize)],
    number: impl Fn(u64) -> T,
) -> ParquetResult<Option<(Vec<T>, Option<NullBuffer>)>> {
    let rows = pages.iter().map(|(_, rows)| rows).sum();
    let (mut numbers, mut valid) = (Vec::with_capacity(rows), NullBufferBuilder::new(rows));
    for (page, rows) in pages {
        let Some(Parts { levels, nulls, values, is_split }) = parts(page, *rows)? else { return Ok(None) };
        let valid_rows = validity(levels, *rows, nulls)?;
        if values.len() != N * (rows - nulls) {
            return Err(damaged());
        }
        if is_split {
            let present = joined(values, rows - nulls).into_iter().map(&number);
            spread(present, valid_rows.as_ref(), &mut numbers);
        } else {
            let (present, _) = values.as_chunks::<N>();
            let present = present.iter().map(|bytes| number(little_endian(bytes)));
            spread(present, valid_rows.as_ref(), &mut numbers);
        }
        match valid_rows {
            None => valid.append_n_non_nulls(*rows),
            Some(valid_rows) => valid.append_buffer(&valid_rows),
        }
    }
    Ok(Some((numbers, valid.finish())))
}

/// The number of at most 8 bytes.
fn little_endian<const N: usize>(bytes: &[u8; N]) -> u64 {
    let mut number = [0; 8];
    number.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
    u64::from_le_bytes(number)
}

/// `count` numbers of four or of eight bytes that are split. For example, the numbers 258 and 3, of two bytes:
///
/// ```text
/// 02 03 | 01 00    the lowest bytes, and then the others
/// ```
fn joined(values: &[u8], count: usize) -> Vec<u64> {
    let mut places = values.chunks_exact(count.max(1));
    let [a, b, c, d, e, f, g, h] = std::array::from_fn(|_| places.next().unwrap_or_default());
    let low = a.iter().zip(b).zip(c.iter().zip(d)).map(|((a, b), (c, d))| u32::from_le_bytes([*a, *b, *c, *d]));
    // Most numbers are small.
    if [e, f, g, h].iter().all(|bytes| bytes.iter().fold(0, |all, byte| all | byte) == 0) {
        return low.map(u64::from).collect();
    }
    let high = e.iter().zip(f).zip(g.iter().zip(h)).map(|((e, f), (g, h))| u32::from_le_bytes([*e, *f, *g, *h]));
    low.zip(high).map(|(low, high)| u64::from(low) | u64::from(high) << 32).collect()
}

/// Adds the numbers of a page to others, and the default for each row that has none.
fn spread<T: Copy + Default>(mut present: impl Iterator<Item = T>, valid: Option<&NullBuffer>, numbers: &mut Vec<T>) {
    match valid {
        None => numbers.extend(present),
        Some(valid) => {
            let mut next = |is_valid| if is_valid { present.next() } else { None };
            numbers.extend(valid.iter().map(|is_valid| next(is_valid).unwrap_or_default()));
        }
    }
}

/// What a page holds.
struct Parts<'a> {
    /// Which rows have a value.
    levels: &'a [u8],
    nulls: usize,
    values: &'a [u8],
    is_split: bool,
}

/// `None` where the values are encoded in another way.
fn parts(page: &Page, rows: usize) -> ParquetResult<Option<Parts<'_>>> {
    let Page::DataPageV2 {
        buf,
        encoding: encoding @ (Encoding::PLAIN | Encoding::BYTE_STREAM_SPLIT),
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
    Ok(Some(Parts { levels, nulls, values, is_split: *encoding == Encoding::BYTE_STREAM_SPLIT }))
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
        let numbers = || rows.iter().flatten().map(|number| number.to_le_bytes());
        let values: Vec<u8> = match encoding {
            Encoding::BYTE_STREAM_SPLIT => (0..8).flat_map(|place| numbers().map(move |bytes| bytes[place])).collect(),
            _ => numbers().flatten().collect(),
        };
        (sample::page(rows, encoding, &sample::levels(rows), &values), rows.len())
    }

    proptest! {
        #[test]
        fn pages_are_the_numbers_that_were_written_one_page_behind_the_other(
            pages in vec(vec(of(prop_oneof![any::<u64>(), 0u64..700]), 1..40), 1..4),
            is_split in any::<bool>(),
        ) {
            let encoding = if is_split { Encoding::BYTE_STREAM_SPLIT } else { Encoding::PLAIN };
            let written: Vec<_> = pages.iter().map(|rows| page(rows, encoding)).collect();
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
