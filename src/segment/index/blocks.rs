//! How rows are cut into blocks, and blocks into pages.

use std::ops::Range;

use super::super::{
    RowSet,
    shape::{Shape, block_range},
};

/// How the rows of a segment are cut into blocks, and these into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Blocks {
    /// All rows.
    pub(in super::super) rows: usize,
    /// Rows of a block, but the last.
    pub(in super::super) block_rows: usize,
    /// Rows of a page, but the last.
    pub(in super::super) page_rows: usize,
}

impl Blocks {
    /// Those of a segment.
    pub(in super::super) fn of(Shape { rows, block_rows, page_rows, .. }: Shape) -> Self {
        Self { rows, block_rows, page_rows }
    }

    /// How many blocks there are.
    pub(in super::super) fn len(&self) -> usize {
        self.rows.div_ceil(self.block_rows)
    }

    /// The rows of a block.
    pub(in super::super) fn block(&self, block: usize) -> Range<usize> {
        block_range(block, self.block_rows, self.rows)
    }

    /// The page of a row of a block, as a bit: the first page is bit 0.
    pub(super) fn page(&self, row: usize) -> u8 {
        1 << (row / self.page_rows).min(7)
    }

    /// The rows of some pages of a block, numbered within the block.
    fn pages(&self, block: usize, pages: u8) -> impl Iterator<Item = Range<usize>> {
        let rows = self.block(block).len();
        let last = (rows / self.page_rows).min(7);
        let page_rows = self.page_rows;
        let held = (0..=last).filter(move |page| pages & 1 << page != 0);
        held.map(move |page| {
            // There are no more than eight.
            let end = if page == 7 { rows } else { (page + 1) * page_rows };
            (page * page_rows).min(rows)..end.min(rows)
        })
    }

    /// How many rows some pages of a block have. It is asked of each block that holds a value: where the block has all its rows,
    /// in at most eight pages, all pages have as many.
    pub(super) fn rows_of(&self, block: usize, pages: u8) -> usize {
        let count = self.block_rows.div_ceil(self.page_rows);
        let is_even = self.block_rows.is_multiple_of(self.page_rows) && count <= 8;
        if is_even && (block + 1).saturating_mul(self.block_rows) <= self.rows {
            let held = u32::from(pages) & ((1 << count) - 1);
            return held.count_ones() as usize * self.page_rows;
        }
        self.pages(block, pages).map(|page| page.len()).sum()
    }

    /// The places of rows of a block, ascending, among the rows of the pages that hold them.
    pub(super) fn places(&self, block: usize, pages: u8, rows: &[u32]) -> Vec<u32> {
        let mut before = 0;
        let mut places = Vec::with_capacity(rows.len());
        let mut rest = rows;
        for page in self.pages(block, pages) {
            let held = rest.partition_point(|row| (*row as usize) < page.end);
            let (of_page, others) = rest.split_at_checked(held).unwrap_or((rest, &[]));
            places.extend(of_page.iter().map(|row| (*row as usize - page.start + before) as u32));
            before += page.len();
            rest = others;
        }
        places
    }

    /// The rows of a block whose places among the rows of some pages these are.
    pub(super) fn spread(&self, block: usize, pages: u8, places: RowSet) -> RowSet {
        let rows = self.block(block).len();
        if places.rows() == rows {
            return places;
        }
        let mut spread = RowSet::none(rows);
        let mut before = 0;
        let mut left = self.pages(block, pages);
        let mut page = left.next().unwrap_or(0..0);
        for place in places.iter() {
            while place - before >= page.len() {
                before += page.len();
                match left.next() {
                    Some(next) => page = next,
                    None => return spread,
                }
            }
            spread.insert(place - before + page.start);
        }
        spread
    }

    /// Makes of places among the rows of some pages, ascending, the rows of the block. `false` where there are fewer rows.
    ///
    /// In pages of 4 rows, of the second page and the fourth: places 0, 3 and 5 are rows 4, 7 and 13.
    pub(super) fn spread_few(&self, block: usize, pages: u8, places: &mut [u32]) -> bool {
        let (mut left, mut before) = (pages, 0);
        for place in places.iter_mut() {
            while *place as usize / self.page_rows > before && left.count_ones() > 1 {
                left &= left - 1;
                before += 1;
            }
            // The page takes the place of page `before`.
            let page = left.trailing_zeros() as usize;
            *place += (page.saturating_sub(before) * self.page_rows) as u32;
        }
        pages != 0 && places.last().is_none_or(|last| (*last as usize) < self.block(block).len())
    }

    /// Of rows of a block, ascending, those that are in some pages: their places among the rows of these pages, and where
    /// they are in `rows`. It is the inverse of [`spread_few`](Self::spread_few).
    pub(super) fn gather_few(&self, pages: u8, rows: &[u32]) -> (Vec<u32>, Vec<usize>) {
        let held = rows.iter().enumerate().filter_map(|(number, row)| {
            let page = (*row as usize / self.page_rows).min(7);
            let left_out = page - (pages & ((1 << page) - 1)).count_ones() as usize;
            (pages & 1 << page != 0).then(|| (row - (left_out * self.page_rows) as u32, number))
        });
        held.unzip()
    }

    /// All rows of some pages of a block.
    pub(super) fn whole(&self, block: usize, pages: u8) -> RowSet {
        let mut whole = RowSet::none(self.block(block).len());
        self.pages(block, pages).for_each(|page| whole.insert_range(page));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_pages_of_a_block_have_as_many_rows_as_they_have_one_by_one() {
        for (rows, block_rows, page_rows) in [(35, 16, 4), (32, 16, 4), (40, 16, 5), (90, 40, 4), (7, 8, 2), (64, 8, 1)]
        {
            let blocks = Blocks { rows, block_rows, page_rows };
            for (block, pages) in (0..blocks.len()).flat_map(|block| (0..=u8::MAX).map(move |pages| (block, pages))) {
                let one_by_one: usize = blocks.pages(block, pages).map(|page| page.len()).sum();
                assert_eq!(blocks.rows_of(block, pages), one_by_one, "{blocks:?} {block} {pages:b}");
            }
        }
    }
}
