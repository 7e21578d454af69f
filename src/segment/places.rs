//! Pages of places in a dictionary.
//!
//! The Parquet crate looks each place up in the dictionary, which it copies for each page. Here the places themselves are
//! wanted, as they stand in the page: in runs of one place, and in runs of places of a few bits each (RLE_DICTIONARY).

use arrow::array::UInt16Array;
use parquet::{basic::Encoding, column::page::Page, errors::Result as ParquetResult};

use super::levels::{damaged, validity};
use crate::encoding::Input;

/// A place has no more bits than this.
const MOST_BITS: usize = 16;

/// The places in a page of `rows` rows, absent where a row has no value; `None` where it does not hold places that way.
///
/// # Errors
/// Where its bytes are not what such a page has.
pub(super) fn places(page: &Page, rows: usize) -> ParquetResult<Option<UInt16Array>> {
    let Page::DataPageV2 { buf, encoding, num_values, num_nulls, def_levels_byte_len, rep_levels_byte_len: 0, .. } =
        page
    else {
        return Ok(None);
    };
    if !matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY) {
        return Ok(None);
    }
    let (nulls, levels) = (*num_nulls as usize, *def_levels_byte_len as usize);
    let present = rows.checked_sub(nulls).ok_or_else(damaged)?;
    let (levels, values) = buf.split_at_checked(levels).ok_or_else(damaged)?;
    if *num_values as usize != rows {
        return Err(damaged());
    }
    let places = match (present, values.split_first()) {
        (0, _) => Vec::new(),
        (_, Some((bits, runs))) => numbers(runs, usize::from(*bits), present)?,
        (_, None) => return Err(damaged()),
    };
    let Some(valid) = validity(levels, rows, nulls)? else { return Ok(Some(UInt16Array::new(places.into(), None))) };
    let mut left = places.into_iter();
    let mut next = |is_valid| if is_valid { left.next() } else { None };
    let spread: Vec<u16> = valid.iter().map(|is_valid| next(is_valid).unwrap_or(0)).collect();
    Ok(Some(UInt16Array::new(spread.into(), Some(valid))))
}

/// The first `count` numbers of runs. A run begins with a number in LEB128. If that is even, half of it is how often the
/// number is repeated that follows, in whole bytes. If it is odd, half of it is how many groups of eight numbers follow, of
/// `bits` bits each, the lowest bit of a byte first:
///
/// ```text
/// bits = 3     06 05                 5, 5, 5
///              03 88 c6 fa           0, 1, 2, 3, 4, 5, 6, 7
/// ```
fn numbers(runs: &[u8], bits: usize, count: usize) -> ParquetResult<Vec<u16>> {
    if bits > MOST_BITS {
        return Err(damaged());
    }
    let mut numbers = Vec::with_capacity(count);
    let mut rest = Input::new(runs);
    while numbers.len() < count {
        let wanted = count - numbers.len();
        let head = rest.leb128().and_then(|head| usize::try_from(head).ok()).ok_or_else(damaged)?;
        if head & 1 == 0 {
            let number = rest.take(bits.div_ceil(8)).ok_or_else(damaged)?;
            let number = number.iter().rev().fold(0, |number, byte| number << 8 | u16::from(*byte));
            numbers.resize(numbers.len() + wanted.min(head / 2), number);
        } else {
            let groups = head / 2;
            // The last group may be cut off where no number of it is wanted.
            let length = groups.saturating_mul(bits).min(rest.left());
            let packed = rest.take(length).ok_or_else(damaged)?;
            unpack(packed, bits, wanted.min(groups.saturating_mul(8)), &mut numbers)?;
        }
        if head < 2 {
            return Err(damaged());
        }
    }
    Ok(numbers)
}

/// Adds `count` numbers of `bits` bits each: eight of them at a time, which take so many bytes.
fn unpack(packed: &[u8], bits: usize, count: usize, numbers: &mut Vec<u16>) -> ParquetResult<()> {
    if packed.len() * 8 < bits.saturating_mul(count) {
        return Err(damaged());
    }
    let mask = ((1u32 << bits) - 1) as u16;
    let end = numbers.len() + count;
    let mut groups = packed.chunks(bits.max(1));
    while numbers.len() < end {
        let mut group = [0; MOST_BITS];
        let bytes = groups.next().unwrap_or_default();
        group.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let group = u128::from_le_bytes(group);
        // Four of them have at most 64 bits, so that each half is in one word of the processor.
        let halves = [group as u64, (group >> (4 * bits)) as u64];
        let eight = halves.map(|half| [0, 1, 2, 3].map(|place| (half >> (place * bits)) as u16 & mask));
        numbers.extend_from_slice(eight.as_flattened());
    }
    numbers.truncate(end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{encoding::write_leb128, segment::sample};

    /// Numbers, packed: each of the runs is repeated, or is of groups of eight.
    fn packed(runs: &[(u16, usize, bool)], bits: usize) -> (Vec<u8>, Vec<u16>) {
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        for (number, count, is_repeated) in runs {
            let number = number & ((1u32 << bits) - 1) as u16;
            if *is_repeated {
                write_leb128(&mut bytes, *count as u64 * 2);
                bytes.extend(&number.to_le_bytes()[..bits.div_ceil(8)]);
                numbers.extend(std::iter::repeat_n(number, *count));
            } else {
                write_leb128(&mut bytes, *count as u64 * 2 + 1);
                let mut bitmap = vec![0u8; count * bits];
                for place in 0..count * 8 {
                    let number = number.wrapping_add(place as u16) & ((1u32 << bits) - 1) as u16;
                    numbers.push(number);
                    for bit in (0..bits).filter(|bit| number >> bit & 1 == 1) {
                        bitmap[(place * bits + bit) / 8] |= 1 << ((place * bits + bit) % 8);
                    }
                }
                bytes.extend(bitmap);
            }
        }
        (bytes, numbers)
    }

    #[test]
    fn the_example_is_right() {
        let runs = [0x06, 0x05, 0x03, 0x88, 0xc6, 0xfa];
        assert_eq!(numbers(&runs, 3, 11).unwrap(), [5, 5, 5, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(numbers(&runs, 3, 4).unwrap(), [5, 5, 5, 0]);
        assert!(numbers(&runs, 3, 12).is_err());
        assert!(numbers(&runs[..5], 3, 11).is_err());
        assert!(numbers(&[0x00, 0x05, 0x06, 0x05], 3, 3).is_err());
    }

    proptest! {
        #[test]
        fn numbers_are_what_was_packed(
            runs in vec((any::<u16>(), 1usize..200, any::<bool>()), 1..8),
            bits in 1usize..17,
            cut in any::<prop::sample::Index>(),
        ) {
            let (bytes, expected) = packed(&runs, bits);
            let count = cut.index(expected.len()) + 1;
            prop_assert_eq!(&numbers(&bytes, bits, count).unwrap(), &expected[..count]);
        }

        #[test]
        fn places_are_spread_over_the_rows_that_have_one(
            rows in vec((any::<bool>(), any::<u16>()), 1..200),
            bits in 1usize..17,
        ) {
            let mask = ((1u32 << bits) - 1) as u16;
            let expected: Vec<Option<u16>> =
                rows.iter().map(|(is_present, place)| is_present.then_some(place & mask)).collect();
            let levels: Vec<_> = expected.iter().map(|place| (u16::from(place.is_some()), 1, true)).collect();
            let places: Vec<_> = expected.iter().flatten().map(|place| (*place, 1, true)).collect();
            let (levels, _) = packed(&levels, 1);
            let places = [&[bits as u8], &packed(&places, bits).0[..]].concat();
            let page = sample::page(&expected, Encoding::RLE_DICTIONARY, &levels, &places);
            let read = super::places(&page, rows.len()).unwrap().unwrap();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), expected);
            prop_assert!(super::places(&page, rows.len() + 1).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_so_many_numbers(bytes in vec(any::<u8>(), 0..60), bits in 0usize..20, count in 1usize..300) {
            if let Ok(read) = numbers(&bytes, bits, count) {
                prop_assert_eq!(read.len(), count);
            }
        }
    }
}
