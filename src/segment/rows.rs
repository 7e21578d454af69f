//! Sets of rows of a segment.

use std::ops::Range;

/// Rows of a segment: ascending ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowRanges(Vec<Range<usize>>);

/// From ranges in any order.
impl FromIterator<Range<usize>> for RowRanges {
    fn from_iter<I: IntoIterator<Item = Range<usize>>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        Self::ascending(ranges.into_iter())
    }
}

impl RowRanges {
    /// Of ranges that ascend.
    pub(super) fn ascending(ranges: impl Iterator<Item = Range<usize>>) -> Self {
        let mut rows = Self::default();
        ranges.filter(|range| !range.is_empty()).for_each(|range| rows.push(range));
        rows
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().cloned().flatten()
    }

    /// The ranges, ascending.
    pub(crate) fn as_slice(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Those of the rows that lie in `range`.
    #[must_use]
    pub(crate) fn within(&self, range: &Range<usize>) -> Self {
        let first = self.0.partition_point(|each| each.end <= range.start);
        let touched = self.0.get(first..).unwrap_or_default().iter().take_while(|each| each.start < range.end);
        Self(touched.map(|each| each.start.max(range.start)..each.end.min(range.end)).collect())
    }

    /// Those of the rows that `other` has, too.
    #[must_use]
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(other.0.iter().flat_map(|range| self.within(range).0).collect())
    }

    /// The same rows, numbered from `start` on.
    pub(super) fn moved_back(mut self, start: usize) -> Self {
        self.0.iter_mut().for_each(|range| *range = range.start - start..range.end - start);
        self
    }

    /// Adds rows of a part that begins at `start`, and comes after all others.
    pub(crate) fn append(&mut self, part: &Self, start: usize) {
        part.0.iter().for_each(|range| self.push(range.start + start..range.end + start));
    }

    /// The numbers of the pages of `page_rows` rows each that hold any of the rows, ascending.
    pub(crate) fn pages(&self, page_rows: usize) -> Vec<usize> {
        let mut pages: Vec<usize> = Vec::new();
        for range in &self.0 {
            let first = (range.start / page_rows).max(pages.last().map_or(0, |last| last + 1));
            pages.extend(first..=(range.end - 1) / page_rows);
        }
        pages
    }

    /// The same rows in parts of at most `rows` rows.
    pub(crate) fn split(&self, rows: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut free = 0;
        for range in self.0.iter().flat_map(|range| pieces(range, rows)) {
            match parts.last_mut().filter(|_| free >= range.len()) {
                Some(part) => part.push(range.clone()),
                None => {
                    parts.push(Self(vec![range.clone()]));
                    free = rows;
                }
            }
            free = free.saturating_sub(range.len());
        }
        parts
    }

    /// The first rows, so many of them: of rows 0, 1, 4, 5 and 6 the first three are 0, 1 and 4.
    pub(crate) fn first(&self, rows: usize) -> Self {
        let mut left = rows;
        let mut first = self.clone();
        for range in &mut first.0 {
            range.end = range.end.min(range.start.saturating_add(left));
            left -= range.len();
        }
        first.0.retain(|range| !range.is_empty());
        first
    }

    /// The last rows, so many of them.
    pub(crate) fn last(&self, rows: usize) -> Self {
        let mut left = rows;
        let mut last = self.clone();
        for range in last.0.iter_mut().rev() {
            range.start = range.start.max(range.end.saturating_sub(left));
            left -= range.len();
        }
        last.0.retain(|range| !range.is_empty());
        last
    }

    /// Adds rows that come after all others.
    fn push(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }
}

/// The range in pieces of at most `rows` rows.
fn pieces(range: &Range<usize>, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.clone().step_by(rows.max(1)).map(move |start| start..start.saturating_add(rows.max(1)).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_pages_and_their_parts() {
        let rows: RowRanges = [0..1, 15..25, 39..40, 60..61].into_iter().collect();
        assert_eq!(rows.pages(10), [0, 1, 2, 3, 6]);
        assert_eq!(rows.within(&(20..60)).as_slice(), [20..25, 39..40]);
        let others: RowRanges = [0..20, 24..61].into_iter().collect();
        assert_eq!(rows.and(&others).as_slice(), [0..1, 15..20, 24..25, 39..40, 60..61]);
        let parts = rows.split(6);
        assert!(parts.iter().all(|part| part.len() <= 6));
        assert_eq!(parts.iter().flat_map(RowRanges::iter).collect::<Vec<_>>(), rows.iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_first_and_the_last_rows_are_as_many_as_are_asked_for_wherever_they_lie() {
        let rows: RowRanges = [1..2, 3..5, 8..11].into_iter().collect();
        for count in 0..8 {
            assert_eq!(rows.first(count).iter().collect::<Vec<_>>(), rows.iter().take(count).collect::<Vec<_>>());
            let before = rows.len().saturating_sub(count);
            assert_eq!(rows.last(count).iter().collect::<Vec<_>>(), rows.iter().skip(before).collect::<Vec<_>>());
        }
    }
}
