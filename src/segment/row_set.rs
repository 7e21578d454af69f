//! Sets of rows of a block, as bits: what lists say of a block is joined in them.

use std::ops::Range;

/// A set of some of the rows from 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    /// A bit for each row, the lowest first. Bits behind the last row are zero.
    words: Vec<u64>,
    rows: usize,
}

impl RowSet {
    /// None of so many rows.
    pub fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], rows }
    }

    /// All of so many rows.
    pub fn all(rows: usize) -> Self {
        let mut all = Self::none(rows);
        all.invert();
        all
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
        for row in rows.start..rows.end.min(self.rows) {
            self.insert(row);
        }
    }

    /// Whether it has a row.
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 != 0)
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps those that `other` has, too.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Adds those of `other`.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Just the other rows.
    pub(crate) fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        let behind = self.words.len() * 64 - self.rows;
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> behind;
        }
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
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
