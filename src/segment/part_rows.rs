//! Chosen rows of decoded columns.

use std::{borrow::Cow, ops::Range};

use super::{RowRanges, RowSet};
use crate::error::{Error, Result};

/// Rows of the columns of a part, numbered within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PartRows {
    /// Rows that lie together: their values need no copy.
    Range(Range<usize>),
    /// Ascending.
    Places(Vec<u32>),
}

impl PartRows {
    /// Those of some pages, where the part begins with page `first`.
    pub(super) fn of(pages: &[(usize, RowSet)], first: usize, page_rows: usize) -> Self {
        let start = |page: usize| (page - first) * page_rows;
        let rows: usize = pages.iter().map(|(_, rows)| rows.len()).sum();
        let edge = |page: Option<&(usize, RowSet)>, edge: fn(&RowSet) -> Option<usize>| {
            page.and_then(|(page, rows)| Some(start(*page) + edge(rows)?))
        };
        let ends = edge(pages.first(), RowSet::first).zip(edge(pages.last(), RowSet::last));
        match ends {
            None => Self::Range(0..0),
            Some((first, last)) if last + 1 - first == rows => Self::Range(first..last + 1),
            Some(_) => {
                let mut places = Vec::with_capacity(rows);
                pages.iter().for_each(|(page, rows)| rows.append_to(&mut places, start(*page)));
                Self::Places(places)
            }
        }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Range(rows) => rows.len(),
            Self::Places(places) => places.len(),
        }
    }

    /// What a function gives for each of the rows, in their order.
    pub(crate) fn map<T>(&self, mut of: impl FnMut(usize) -> T) -> Vec<T> {
        match self {
            Self::Range(rows) => rows.clone().map(of).collect(),
            Self::Places(places) => places.iter().map(|place| of(*place as usize)).collect(),
        }
    }

    /// The values of these rows, of which `values` has one for each row of the part.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where the part has fewer rows.
    pub(crate) fn gather<'v, T: Copy + Default>(&self, values: &'v [T]) -> Result<Cow<'v, [T]>> {
        let missing = || Error::internal("a page has fewer rows than it should");
        match self {
            Self::Range(rows) => values.get(rows.clone()).map(Cow::Borrowed).ok_or_else(missing),
            Self::Places(places) if places.last().is_some_and(|last| *last as usize >= values.len()) => Err(missing()),
            Self::Places(places) => {
                let value = |place: &u32| values.get(*place as usize).copied().unwrap_or_default();
                Ok(places.iter().map(value).collect())
            }
        }
    }

    /// The same rows as ranges.
    pub(super) fn ranges(&self) -> RowRanges {
        match self {
            Self::Range(rows) => std::iter::once(rows.clone()).collect(),
            Self::Places(places) => {
                RowRanges::ascending(places.iter().map(|place| *place as usize..*place as usize + 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::PagedRows;

    #[test]
    fn rows_of_several_pages_are_numbered_from_the_first_page_of_the_part() {
        // Pages of 4 rows, of which the part has the pages 2 to 4: rows 8 to 19 of the segment.
        let rows = |ranges: &[(usize, usize)]| {
            let paged = PagedRows::of(&ranges.iter().map(|(start, end)| *start..*end).collect(), 4, None);
            PartRows::of(paged.of_pages(&(2..5)), 2, 4)
        };
        assert_eq!(rows(&[(0, 40)]), PartRows::Range(0..12));
        assert_eq!(rows(&[(11, 17)]), PartRows::Range(3..9));
        assert_eq!(rows(&[(10, 11), (17, 30)]), PartRows::Places(vec![2, 9, 10, 11]));
        assert_eq!(rows(&[(0, 8), (20, 24)]), PartRows::Range(0..0));
        let values: Vec<u8> = (0..12).collect();
        for ranges in [&[(11, 17)][..], &[(10, 11), (17, 30)]] {
            let rows = rows(ranges);
            let expected: Vec<u8> = rows.map(|row| row as u8);
            assert_eq!((rows.gather(&values).unwrap().to_vec(), rows.len()), (expected, rows.len()));
            assert_eq!(rows.ranges().iter().collect::<Vec<_>>(), rows.map(|row| row));
            assert!(rows.gather(&values[..8]).is_err());
        }
    }
}
