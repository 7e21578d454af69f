//! Rows of a segment, page by page.
//!
//! Where a filter takes every third flow there are about as many ranges of rows as rows. As a set of bits for each page,
//! 64 of them are taken, left out or counted at a time.

use std::ops::Range;

use super::{RowRanges, RowSet};

/// Rows of a segment: of each page that holds any of them, which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PagedRows {
    /// Numbers of pages, ascending, and rows of each, numbered within the page.
    pages: Vec<(usize, RowSet)>,
}

impl PagedRows {
    /// Those of some rows, of pages of `page_rows` rows each, that `chosen` has of a block that begins at a row: where it is
    /// given.
    ///
    /// For example, pages of 4 rows, rows 0 to 3 and 6 to 9, and of the block that begins at row 4 the rows 2 and 3:
    ///
    /// ```text
    /// page 1   rows 6 and 7, which are 2 and 3 of the page
    /// ```
    pub(crate) fn of(rows: &RowRanges, page_rows: usize, chosen: Option<(usize, &RowSet)>) -> Self {
        let mut paged = Self::default();
        for page in rows.pages(page_rows) {
            let start = page * page_rows;
            let mut set = RowSet::none(page_rows);
            for range in rows.within(&(start..start + page_rows)).as_slice() {
                set.insert_range(range.start - start..range.end - start);
            }
            if let Some((block, chosen)) = chosen {
                let first = start.saturating_sub(block);
                set.intersect(&chosen.part(first..first + page_rows));
            }
            paged.push(page, set);
        }
        paged
    }

    /// Adds rows of a page that comes after all others.
    pub(super) fn push(&mut self, page: usize, rows: RowSet) {
        if !rows.is_empty() {
            self.pages.push((page, rows));
        }
    }

    /// Adds rows of pages that come after all others.
    pub(crate) fn append(&mut self, other: Self) {
        self.pages.extend(other.pages);
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.pages.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The pages that hold any of the rows, ascending, and which.
    pub(crate) fn pages(&self) -> &[(usize, RowSet)] {
        &self.pages
    }

    /// Those of the pages of these numbers.
    pub(super) fn of_pages(&self, pages: &Range<usize>) -> &[(usize, RowSet)] {
        let first = self.pages.partition_point(|(page, _)| *page < pages.start);
        let end = self.pages.partition_point(|(page, _)| *page < pages.end);
        self.pages.get(first..end).unwrap_or_default()
    }

    /// Those whose page passes a test.
    pub(crate) fn filter(&self, is_kept: impl Fn(usize) -> bool) -> Self {
        Self { pages: self.pages.iter().filter(|(page, _)| is_kept(*page)).cloned().collect() }
    }

    /// The same rows as ranges, of pages of `page_rows` rows each.
    pub(crate) fn ranges(&self, page_rows: usize) -> RowRanges {
        let ranges = self.pages.iter().flat_map(|(page, rows)| {
            let start = page * page_rows;
            rows.ranges().map(move |range| range.start + start..range.end + start)
        });
        RowRanges::ascending(ranges)
    }

    /// The same rows in parts of at most `rows` rows, or of one page.
    pub(crate) fn split(self, rows: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut free = 0;
        for page in self.pages {
            let size = page.1.len();
            match parts.last_mut().filter(|_| size <= free) {
                Some(part) => part.pages.push(page),
                None => {
                    parts.push(Self { pages: vec![page] });
                    free = rows;
                }
            }
            free = free.saturating_sub(size);
        }
        parts
    }

    /// Keeps the first rows, so many of them.
    pub(crate) fn keep_first(&mut self, rows: usize) {
        let mut left = rows;
        for (_, rows) in &mut self.pages {
            rows.keep_first(left);
            left -= rows.len();
        }
        self.pages.retain(|(_, rows)| !rows.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn paged_rows_are_the_rows_that_they_are_made_of(
            ranges in vec((0_usize..300, 1_usize..60), 0..12),
            page_rows in prop::sample::select(vec![1_usize, 4, 60, 64, 100]),
            (count, parts) in (0_usize..400, 1_usize..200),
            chosen in vec(any::<bool>(), 0..200),
        ) {
            let rows: RowRanges = ranges.iter().map(|(start, length)| *start..start + length).collect();
            let paged = PagedRows::of(&rows, page_rows, None);
            prop_assert_eq!(&paged.ranges(page_rows), &rows);
            prop_assert_eq!(paged.len(), rows.len());
            prop_assert_eq!(paged.pages().iter().map(|(page, _)| *page).collect::<Vec<_>>(), rows.pages(page_rows));
            let mut first = paged.clone();
            first.keep_first(count);
            prop_assert_eq!(first.ranges(page_rows), rows.first(count));
            let mut joined = PagedRows::default();
            for part in paged.clone().split(parts) {
                prop_assert!(part.len() <= parts || part.pages().len() == 1);
                joined.append(part);
            }
            prop_assert_eq!(&joined, &paged);
            let pages = 1..3;
            let within = PagedRows { pages: paged.of_pages(&pages).to_vec() };
            prop_assert_eq!(&within, &paged.filter(|page| pages.contains(&page)));
            prop_assert_eq!(within.ranges(page_rows), rows.within(&(page_rows..3 * page_rows)));
            let block = page_rows;
            let mut set = RowSet::none(chosen.len());
            (0..chosen.len()).filter(|row| chosen[*row]).for_each(|row| set.insert(row));
            let of_block = rows.within(&(block..block + chosen.len()));
            let expected: Vec<usize> = of_block.iter().filter(|row| chosen[row - block]).collect();
            let found = PagedRows::of(&of_block, page_rows, Some((block, &set))).ranges(page_rows);
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }
}
