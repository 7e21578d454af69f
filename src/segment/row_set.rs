//! Sets of rows of a block, as bits: what lists say of a block is joined in them.

use std::ops::Range;

use arrow::buffer::BooleanBuffer;

/// A set of some of the rows from 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSet {
    /// A bit for each row, the lowest first. Bits behind the last row are zero.
    words: Vec<u64>,
    rows: usize,
}

impl RowSet {
    /// None of so many rows.
    pub(crate) fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], rows }
    }

    /// All of so many rows.
    pub(crate) fn all(rows: usize) -> Self {
        let mut all = Self::none(rows);
        all.invert();
        all
    }

    /// The rows whose bit is set, out of so many.
    pub(super) fn of_bits(bits: &BooleanBuffer) -> Self {
        Self::of_words(bits.bit_chunks().iter_padded().collect(), bits.len())
    }

    /// The same of bits in words, the lowest bit of a word first.
    pub(super) fn of_words(mut words: Vec<u64>, rows: usize) -> Self {
        words.resize(rows.div_ceil(64), 0);
        let mut set = Self { words, rows };
        set.cut_off();
        set
    }

    /// Those of some rows that follow on one another, numbered from the first of them on.
    pub(super) fn part(&self, rows: Range<usize>) -> Self {
        let (start, end) = (rows.start.min(self.rows), rows.end.min(self.rows));
        let mut part = Self::none(end.saturating_sub(start));
        let shift = start % 64;
        let mut words = self.words.iter().skip(start / 64).copied();
        let mut word = words.next().unwrap_or(0);
        for to in &mut part.words {
            let next = words.next().unwrap_or(0);
            *to = if shift == 0 { word } else { word >> shift | next << (64 - shift) };
            word = next;
        }
        part.cut_off();
        part
    }

    /// How many rows it is a set of some of.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row. One behind the last is passed over.
    pub(crate) fn insert(&mut self, row: usize) {
        if row < self.rows
            && let Some(word) = self.words.get_mut(row / 64)
        {
            *word |= 1 << (row % 64);
        }
    }

    /// Adds some rows that follow on one another.
    pub(crate) fn insert_range(&mut self, rows: Range<usize>) {
        let end = rows.end.min(self.rows);
        for (number, word) in self.words.iter_mut().enumerate().take(end.div_ceil(64)).skip(rows.start / 64) {
            // Of rows 60 to 129, of which 64 to 127 are all of word 1, word 0 gets bits 60 to 63 and word 2 gets 0 and 1.
            let from = rows.start.saturating_sub(number * 64);
            let to = (end - number * 64).min(64);
            if from < to {
                *word |= u64::MAX << from & u64::MAX >> (64 - to);
            }
        }
    }

    /// Whether it has a row.
    pub(crate) fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 != 0)
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The first row that it has.
    pub(super) fn first(&self) -> Option<usize> {
        let word = self.words.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.words.get(word)?.trailing_zeros() as usize)
    }

    /// The last row that it has.
    pub(super) fn last(&self) -> Option<usize> {
        let word = self.words.iter().rposition(|word| *word != 0)?;
        Some(word * 64 + 63 - self.words.get(word)?.leading_zeros() as usize)
    }

    /// Keeps those that `other` has, too.
    pub(crate) fn intersect(&mut self, other: &Self) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
    }

    /// Adds those of `other`.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Just the other rows.
    pub(crate) fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.cut_off();
    }

    /// Clears the bits behind the last row.
    fn cut_off(&mut self) {
        let behind = self.words.len() * 64 - self.rows;
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> behind;
        }
    }

    /// Keeps the first rows that it has, so many of them.
    pub(super) fn keep_first(&mut self, mut rows: usize) {
        for word in &mut self.words {
            let held = word.count_ones() as usize;
            while rows < word.count_ones() as usize {
                *word ^= 1 << (63 - word.leading_zeros());
            }
            rows -= rows.min(held);
        }
    }

    /// The rows as ranges, ascending, that do not touch.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, true);
            at = self.next(start, false);
            (start < at).then_some(start..at)
        })
    }

    /// The first row from `from` on that it has, or where not `held` has not; the number of rows where there is none.
    fn next(&self, from: usize, held: bool) -> usize {
        let flipped = if held { 0 } else { u64::MAX };
        let mut before = u64::MAX << (from % 64);
        for (number, word) in self.words.iter().enumerate().skip(from / 64) {
            let found = (word ^ flipped) & before;
            if found != 0 {
                return (number * 64 + found.trailing_zeros() as usize).min(self.rows);
            }
            before = u64::MAX;
        }
        self.rows
    }

    /// Puts the rows behind `places`, ascending, of which each is `start` more.
    pub(super) fn append_to(&self, places: &mut Vec<u32>, start: usize) {
        places.reserve(self.len());
        for (number, word) in self.words.iter().enumerate() {
            let (start, mut left) = ((start + number * 64) as u32, *word);
            while left != 0 {
                places.push(start + left.trailing_zeros());
                left &= left - 1;
            }
        }
    }

    /// The rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let starts = (0..self.words.len()).map(|word| word * 64);
        self.words.iter().zip(starts).flat_map(|(word, start)| Bits(*word).map(move |bit| start + bit))
    }
}

/// The places of the ones in a word.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| self.0.trailing_zeros() as usize);
        self.0 &= self.0.wrapping_sub(1);
        bit
    }
}

/// A bit for each item, whether it passes: 64 of them in a word, the lowest first.
pub(crate) fn bit_words<T>(items: &[T], passes: impl Fn(&T) -> bool) -> Vec<u64> {
    let word = |items: &[T]| (0..).zip(items).fold(0, |word, (bit, item)| word | u64::from(passes(item)) << bit);
    items.chunks(64).map(word).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn a_set_has_the_rows_that_were_put_in(
            rows in 0_usize..300,
            ranges in vec((0_usize..310, 0_usize..150), 0..5),
            part in (0_usize..310, 0_usize..310),
        ) {
            let mut set = RowSet::none(rows);
            let mut wanted = vec![false; rows];
            for (start, length) in ranges {
                set.insert_range(start..start + length);
                wanted.iter_mut().skip(start).take(length).for_each(|row| *row = true);
            }
            let held: Vec<usize> = (0..rows).filter(|row| wanted[*row]).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), held.clone());
            prop_assert_eq!(set.len(), held.len());
            prop_assert_eq!((set.first(), set.last()), (held.first().copied(), held.last().copied()));
            let within: Vec<usize> = held.iter().filter(|row| (part.0..part.1).contains(row)).copied().collect();
            let mut places = Vec::new();
            set.part(part.0..part.1).append_to(&mut places, part.0);
            prop_assert_eq!(places.iter().map(|place| *place as usize).collect::<Vec<_>>(), within);
            let bits = BooleanBuffer::collect_bool(part.0 + rows, |row| row >= part.0 && wanted[row - part.0]);
            prop_assert_eq!(&RowSet::of_bits(&bits.slice(part.0, rows)), &set);
            let mut first = set.clone();
            first.keep_first(part.0);
            prop_assert_eq!(first.iter().collect::<Vec<_>>(), held.iter().copied().take(part.0).collect::<Vec<_>>());
            let ranges: Vec<Range<usize>> = set.ranges().collect();
            prop_assert!(ranges.iter().all(|range| !range.is_empty()));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), held);
        }
    }
}
