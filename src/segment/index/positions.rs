//! Which of some rows have a value, packed to the bit.
//!
//! Of `count` rows among `universe` the fewer ones are packed: those that have the value, or those that have not. They
//! take a number of bits that follows from `universe` and `count` alone, so that what is not asked for is passed over
//! without reading it.
//!
//! Of 8,192 rows 3 are packed as follows. A third of the rows is 2,730, and its logarithm 11: of each position the low 11
//! bits are written as they are. The high bits, 0 to 3, ascend, and are written in unary: for each a 0 for every step from
//! the one before, and a 1. That is 33 bits, 3 ones and at most 4 zeros: 40 bits, beside 35.3 of the least code there can
//! be. This is the code of Elias and Fano.

use super::input::damaged;
use crate::{error::Result, segment::RowSet};

/// Bits, one behind the other: the lowest bit of a byte comes first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    bits: usize,
}

impl BitWriter {
    /// Adds a number in `width` bits. Beyond 64 of them are zeros.
    fn push(&mut self, mut number: u64, mut width: usize) {
        while width > 0 {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let free = (8 - self.bits % 8).min(width);
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((number & ((1 << free) - 1)) << (self.bits % 8)) as u8;
            }
            number >>= free;
            self.bits += free;
            width -= free;
        }
    }

    /// Adds `width` bits of some bytes, from bit `at` on.
    pub(super) fn copy(&mut self, bytes: &[u8], at: usize, width: usize) -> Result<()> {
        let bits = Bits { bytes, at };
        for from in (0..width).step_by(MOST_BITS) {
            let width = (width - from).min(MOST_BITS);
            self.push(bits.read(from, width)?, width);
        }
        Ok(())
    }

    /// How many bits there are.
    pub(super) fn bits(&self) -> usize {
        self.bits
    }

    /// The bytes; the last one may be filled up with zeros.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// How the rows are packed that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// All rows have it.
    All,
    /// One position, in so many bits.
    One(usize),
    /// So many positions, with so many low bits each.
    Steps(usize, usize),
    /// A bit for each row.
    Bitmap,
}

/// The code, and whether it is of the rows that do not have the value.
fn code(universe: usize, count: usize) -> (Code, bool) {
    let others = universe.saturating_sub(count);
    let (packed, inverted) = if others < count { (others, true) } else { (count, false) };
    let code = match packed {
        0 => Code::All,
        1 => Code::One(universe.next_power_of_two().trailing_zeros() as usize),
        packed => {
            let low = (universe / packed).ilog2() as usize;
            if steps_bits(universe, packed, low) < universe { Code::Steps(packed, low) } else { Code::Bitmap }
        }
    };
    (code, inverted)
}

fn steps_bits(universe: usize, packed: usize, low: usize) -> usize {
    packed * (low + 1) + (universe >> low)
}

/// How many bits `count` rows of `universe` take; `count` is at most `universe`.
pub(super) fn bits(universe: usize, count: usize) -> usize {
    match code(universe, count).0 {
        Code::All => 0,
        Code::One(width) => width,
        Code::Steps(packed, low) => steps_bits(universe, packed, low),
        Code::Bitmap => universe,
    }
}

/// Packs `rows`, ascending, all below `universe`.
pub(super) fn pack(out: &mut BitWriter, universe: usize, rows: &[u32]) {
    let (code, inverted) = code(universe, rows.len());
    if code == Code::All {
        return;
    }
    if !inverted && code != Code::Bitmap {
        return pack_rows(out, code, universe, rows);
    }
    let mut set = RowSet::none(universe);
    rows.iter().for_each(|row| set.insert(*row as usize));
    if inverted {
        set.invert();
    }
    match code {
        Code::Bitmap => (0..universe).for_each(|row| out.push(u64::from(set.contains(row)), 1)),
        code => pack_rows(out, code, universe, &set.iter().map(|row| row as u32).collect::<Vec<_>>()),
    }
}

fn pack_rows(out: &mut BitWriter, code: Code, universe: usize, rows: &[u32]) {
    match code {
        Code::One(width) => rows.iter().for_each(|row| out.push(u64::from(*row), width)),
        Code::Steps(_, low) => {
            rows.iter().for_each(|row| out.push(u64::from(*row), low));
            let (mut high, mut zeros) = (0, universe >> low);
            for row in rows {
                let step = (row >> low) as usize - high;
                out.push(0, step);
                out.push(1, 1);
                high += step;
                zeros -= step;
            }
            out.push(0, zeros);
        }
        Code::All | Code::Bitmap => {}
    }
}

/// The rows that were packed in `bytes` from bit `at` on.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where these are not so many rows.
pub(super) fn unpack(bytes: &[u8], at: usize, universe: usize, count: usize) -> Result<RowSet> {
    let (code, inverted) = code(universe, count);
    let bits = Bits { bytes, at };
    let mut set = match code {
        Code::Bitmap => bitmap(&bits, universe)?,
        code => {
            let mut set = RowSet::none(universe);
            each(&bits, code, universe, |row| set.insert(row))?;
            set
        }
    };
    if inverted {
        set.invert();
    }
    // A row beyond the last, or the same row twice, is no row more.
    if set.len() == count { Ok(set) } else { Err(damaged()) }
}

/// The rows of which each has a bit.
fn bitmap(bits: &Bits<'_>, universe: usize) -> Result<RowSet> {
    let half = |from: usize| match universe.saturating_sub(from).min(32) {
        0 => Ok(0),
        width => bits.read(from, width),
    };
    let word = |from: usize| Ok(half(from)? | half(from + 32)? << 32);
    Ok(RowSet::of_words((0..universe).step_by(64).map(word).collect::<Result<_>>()?, universe))
}

/// Puts the rows that were packed behind `rows`, ascending. For few rows this is less work than [`unpack`].
///
/// # Errors
/// As [`unpack`].
pub(super) fn append(bytes: &[u8], at: usize, universe: usize, count: usize, rows: &mut Vec<u32>) -> Result<()> {
    let (code, inverted) = code(universe, count);
    if inverted {
        rows.extend(unpack(bytes, at, universe, count)?.iter().map(|row| row as u32));
        return Ok(());
    }
    let before = rows.len();
    each(&Bits { bytes, at }, code, universe, |row| rows.push(row as u32))?;
    let added = rows.get(before..).unwrap_or_default();
    let is_whole = added.len() == count
        && added.is_sorted_by(|left, right| left < right)
        && added.last().is_none_or(|last| (*last as usize) < universe);
    if is_whole { Ok(()) } else { Err(damaged()) }
}

/// Calls `held` with the place of each of `rows`, which ascend and are below `universe`, that was packed. No other row is
/// unpacked: whether the bytes are so many rows is not checked.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where there are too few bytes.
pub(super) fn find(
    bytes: &[u8],
    at: usize,
    (universe, count): (usize, usize),
    rows: &[u32],
    mut held: impl FnMut(usize),
) -> Result<()> {
    let (code, inverted) = code(universe, count);
    let bits = Bits { bytes, at };
    if !inverted {
        return find_packed(&bits, code, universe, rows, held);
    }
    // The packed ones are the others. Between two of them all are held.
    let mut from = 0;
    find_packed(&bits, code, universe, rows, |place| {
        (from..place).for_each(&mut held);
        from = place + 1;
    })?;
    (from..rows.len()).for_each(held);
    Ok(())
}

/// Calls `take` with each of the rows that are packed: those that have the value, or those that have not.
fn each(bits: &Bits<'_>, code: Code, universe: usize, mut take: impl FnMut(usize)) -> Result<()> {
    match code {
        Code::All => {}
        Code::One(width) => take(bits.read(0, width)? as usize),
        Code::Steps(packed, low) => {
            let (mut seen, mut read) = (0, packed * low);
            let end = steps_bits(universe, packed, low);
            let mut before = 0;
            while read < end {
                let width = (end - read).min(MOST_BITS);
                let mut word = bits.read(read, width)?;
                while word != 0 {
                    // Before the one lie `seen` ones, and as many zeros as the high bits are.
                    let high = before + word.trailing_zeros() as usize - seen;
                    take(high << low | bits.read(seen * low, low)? as usize);
                    seen += 1;
                    word &= word - 1;
                }
                before += width;
                read += width;
            }
            if seen != packed {
                return Err(damaged());
            }
        }
        Code::Bitmap => {
            for start in (0..universe).step_by(MOST_BITS) {
                let mut word = bits.read(start, (universe - start).min(MOST_BITS))?;
                while word != 0 {
                    take(start + word.trailing_zeros() as usize);
                    word &= word - 1;
                }
            }
        }
    }
    Ok(())
}

/// Calls `held` with the place of each of `rows`, ascending, that is packed.
fn find_packed(bits: &Bits<'_>, code: Code, universe: usize, rows: &[u32], mut held: impl FnMut(usize)) -> Result<()> {
    match code {
        Code::All => {}
        Code::One(width) => {
            let packed = bits.read(0, width)? as u32;
            rows.binary_search(&packed).into_iter().for_each(held);
        }
        Code::Steps(packed, low) => return find_steps(bits, (universe, packed, low), rows, held),
        Code::Bitmap => {
            for (place, row) in rows.iter().enumerate() {
                if bits.read(*row as usize, 1)? != 0 {
                    held(place);
                }
            }
        }
    }
    Ok(())
}

/// The same, of so many rows with so many low bits each.
///
/// Words of high bits that end before the next row are passed over. For example, of rows of 8,192 with 6 low bits each, row
/// 4,000 has the high bits 62: a word that ends before the 62nd zero leads to no row that is as large.
fn find_steps(
    bits: &Bits<'_>,
    (universe, packed, low): (usize, usize, usize),
    rows: &[u32],
    mut held: impl FnMut(usize),
) -> Result<()> {
    let mut left = rows.iter().map(|row| *row as usize).enumerate().peekable();
    let (mut seen, mut read) = (0, packed * low);
    let end = steps_bits(universe, packed, low);
    let mut before = 0;
    while read < end
        && let Some((_, next)) = left.peek()
    {
        let width = (end - read).min(MOST_BITS);
        let mut word = bits.read(read, width)?;
        if before + width - seen - (word.count_ones() as usize) < next >> low {
            seen += word.count_ones() as usize;
            word = 0;
        }
        while word != 0 {
            let high = before + word.trailing_zeros() as usize - seen;
            while left.next_if(|(_, row)| row >> low < high).is_some() {}
            if left.peek().is_some_and(|(_, row)| row >> low == high) {
                let row = high << low | bits.read(seen * low, low)? as usize;
                while left.next_if(|(_, left)| *left < row).is_some() {}
                if let Some((place, _)) = left.next_if(|(_, left)| *left == row) {
                    held(place);
                }
            }
            seen += 1;
            word &= word - 1;
        }
        before += width;
        read += width;
    }
    Ok(())
}

/// So many bits are read at a time: with the 7 before them in the first byte they are 64.
const MOST_BITS: usize = 57;

/// Bits of some bytes, from one on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The number in `width` bits, at most [`MOST_BITS`].
    fn read(&self, from: usize, width: usize) -> Result<u64> {
        let at = self.at + from;
        let end = (at + width).div_ceil(8);
        let bytes = self.bytes.get(at / 8..).unwrap_or_default();
        let word = match bytes.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None if end <= self.bytes.len() => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            None => return Err(damaged()),
        };
        Ok(word >> (at % 8) & ((1 << width) - 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn check(universe: usize, before: usize, rows: &[u32]) {
        let mut out = BitWriter::default();
        out.push(0x5555, before);
        pack(&mut out, universe, rows);
        assert_eq!(out.bits, before + bits(universe, rows.len()), "{universe} {}", rows.len());
        // What follows is not read.
        out.push(u64::MAX, 64);
        let bytes = out.bytes();
        let read = unpack(bytes, before, universe, rows.len()).unwrap();
        assert!(read.iter().eq(rows.iter().map(|row| *row as usize)), "{universe} {rows:?}");
        let mut appended = vec![7];
        append(bytes, before, universe, rows.len(), &mut appended).unwrap();
        assert_eq!(appended.split_first(), Some((&7, rows)), "{universe}");
        for step in [1, 2, 3, 50, universe] {
            let asked: Vec<u32> = (universe % step..universe).step_by(step).map(|row| row as u32).collect();
            let mut found = Vec::new();
            find(bytes, before, (universe, rows.len()), &asked, |place| found.push(asked[place])).unwrap();
            let held: Vec<u32> = asked.into_iter().filter(|row| rows.binary_search(row).is_ok()).collect();
            assert_eq!(found, held, "{universe} {rows:?}");
        }
        let cut = (before + bits(universe, rows.len())) / 8;
        if bits(universe, rows.len()) > 0 && cut < bytes.len() {
            assert!(unpack(&bytes[..cut.saturating_sub(8)], before, universe, rows.len()).is_err());
        }
    }

    #[test]
    fn rows_are_what_was_packed_however_many_they_are() {
        for universe in (1..70).chain([127, 128, 129, 2048, 8191, 8192]) {
            let step = if universe > 200 { 97 } else { 1 };
            for count in (1..=universe).step_by(step) {
                let scattered: Vec<u32> = (0..count).map(|n| (n * universe / count) as u32).collect();
                let first: Vec<u32> = (0..count as u32).collect();
                let last: Vec<u32> = (universe - count..universe).map(|row| row as u32).collect();
                for rows in [scattered, first, last] {
                    check(universe, (universe + count) % 9, &rows);
                }
            }
        }
    }

    #[test]
    fn a_row_takes_little_more_than_it_must() {
        for (universe, count, least) in
            [(8192, 1, 13.0), (8192, 3, 36.4), (8192, 80, 649.0), (8192, 2000, 6562.0), (8192, 4000, 8185.0)]
        {
            let bits = bits(universe, count) as f64;
            assert!(bits >= least - 1.0 && bits <= least + count as f64 * 0.9 + 2.0, "{count}: {bits}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn any_rows_are_what_was_packed(universe in 1usize..500, rows in btree_set(0u32..500, 1..300), before in 0usize..9) {
            let rows: Vec<u32> = rows.into_iter().filter(|row| (*row as usize) < universe).collect();
            if !rows.is_empty() {
                check(universe, before, &rows);
            }
        }

        #[test]
        fn any_bytes_are_an_error_or_so_many_rows(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            at in 0usize..20,
            universe in 1usize..400,
            count in 1usize..400,
        ) {
            let count = count.min(universe);
            let read = unpack(&bytes, at, universe, count);
            if let Ok(rows) = &read {
                prop_assert_eq!(rows.len(), count);
                prop_assert!(rows.iter().all(|row| row < universe));
            }
            let mut appended = Vec::new();
            if append(&bytes, at, universe, count, &mut appended).is_ok() {
                prop_assert!(read.unwrap().iter().eq(appended.iter().map(|row| *row as usize)));
            }
            let asked: Vec<u32> = (0..universe as u32).collect();
            let mut found = Vec::new();
            let _ = find(&bytes, at, (universe, count), &asked, |place| found.push(place));
            prop_assert!(found.is_sorted_by(|left, right| left < right) && found.iter().all(|place| *place < universe));
        }
    }
}
