//! Rows of some blocks of a segment that may match: few of each.

use std::ops::Range;

use super::{RowSet, Selection};
use crate::resources::Pin;

/// Rows that may match, of some blocks.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Ascending.
    blocks: Vec<BlockRows>,
    /// The rows of all blocks, numbered within their block.
    rows: Vec<u32>,
}

/// The rows of a block that may match. No others do.
#[derive(Clone, Debug)]
struct BlockRows {
    block: usize,
    /// Where its rows are among those of all blocks. They ascend.
    rows: Range<usize>,
    /// As [`Selection::open`].
    open: Vec<usize>,
}

impl Candidates {
    /// No rows of some blocks, ascending.
    pub(super) fn none(blocks: &[usize]) -> Self {
        let block = |block: &usize| BlockRows { block: *block, rows: 0..0, open: Vec::new() };
        Self { blocks: blocks.iter().map(block).collect(), rows: Vec::new() }
    }

    /// Puts rows that `append` adds to those of the block of this number. No block before it is given rows any more.
    pub(super) fn append<E>(
        &mut self,
        number: usize,
        append: impl FnOnce(&mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.rows.len();
        append(&mut self.rows)?;
        if let Some(block) = self.blocks.get_mut(number) {
            let is_first = block.rows.is_empty();
            block.rows = if is_first { start } else { block.rows.start }..self.rows.len();
            let rows = self.rows.get_mut(block.rows.clone()).unwrap_or_default();
            if !is_first && !rows.is_sorted() {
                rows.sort_unstable();
            }
        }
        Ok(())
    }

    /// Leaves out the blocks of these numbers, ascending.
    pub(super) fn leave_out(&mut self, numbers: &[usize]) {
        let mut number = 0..;
        self.blocks.retain(|_| number.next().is_none_or(|number| numbers.binary_search(&number).is_err()));
    }

    /// The blocks that have rows, with their numbers.
    pub(super) fn left(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let blocks = self.blocks.iter().enumerate();
        blocks.filter(|(_, block)| !block.rows.is_empty()).map(|(number, block)| (number, block.block))
    }

    /// How many rows there are of all blocks.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows of the block of this number, and where they are among those of all blocks.
    pub(super) fn rows(&self, number: usize) -> (usize, &[u32]) {
        let range = self.blocks.get(number).map(|block| block.rows.clone()).unwrap_or_default();
        (range.start, self.rows.get(range).unwrap_or_default())
    }

    /// Keeps the rows whose places among those of all blocks `is_kept` holds for.
    pub(super) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut end = 0;
        for block in &mut self.blocks {
            let start = end;
            for place in block.rows.clone() {
                if is_kept(place) && place < self.rows.len() {
                    self.rows.swap(end, place);
                    end += 1;
                }
            }
            block.rows = start..end;
        }
        self.rows.truncate(end);
    }

    /// Of the block of this number, rows may not pass these parts of which a flow must pass all.
    pub(super) fn open(&mut self, number: usize, parts: impl IntoIterator<Item = usize>) {
        if let Some(block) = self.blocks.get_mut(number) {
            block.open.extend(parts);
            block.open.sort_unstable();
            block.open.dedup();
        }
    }

    /// Takes out the blocks that have no rows.
    pub(super) fn take_empty(&mut self) -> Vec<usize> {
        let (left, empty): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.blocks).into_iter().partition(|block| !block.rows.is_empty());
        self.blocks = left;
        empty.into_iter().map(|block| block.block).collect()
    }

    /// The number of a block.
    pub(super) fn number(&self, block: usize) -> Option<usize> {
        self.blocks.binary_search_by_key(&block, |block| block.block).ok()
    }

    /// The rows of the block of this number, out of `size`.
    pub(super) fn selection(&self, number: usize, size: usize) -> Option<Selection> {
        let block = self.blocks.get(number)?;
        let mut rows = RowSet::none(size);
        self.rows(number).1.iter().for_each(|row| rows.insert(*row as usize));
        Some(Selection { rows, open: block.open.clone() })
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        let open = self.blocks.iter().map(|block| size_of_val(block.open.as_slice())).sum::<usize>();
        size_of_val(self.blocks.as_slice()) + size_of_val(self.rows.as_slice()) + open
    }
}

/// What was joined, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Joined {
    candidates: Candidates,
    _pin: Pin,
}

impl Joined {
    /// What is left of the candidates of a join.
    pub(super) fn new(candidates: Candidates, pin: Pin) -> Self {
        Self { candidates, _pin: pin }
    }

    /// The rows of a block, out of `size`; `None` where it was not joined.
    pub(super) fn selection(&self, block: usize, size: usize) -> Option<Selection> {
        self.candidates.selection(self.candidates.number(block)?, size)
    }
}
