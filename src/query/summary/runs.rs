//! Rows by the buckets of time in which their flows began.

use crate::{
    error::{Error, Result},
    flow::{Field, Timestamp},
    schema::Values,
    segment::{Columns, RowRanges, SegmentReader},
};

/// Runs of rows that began in one bucket: the bucket of each, and how many rows it has.
///
/// For example, buckets of 5 minutes, and pages of which the second belongs to two of them, so that its start times are read:
///
/// ```text
/// page 0   12:09 ..= 12:06    3 rows                      12:05, 3
/// page 1   12:06 ..= 12:04    12:06, 12:05, 12:04         12:05, 5    12:00, 1
/// page 2   12:03 ..= 12:01    4 rows                      12:05, 5    12:00, 5
/// ```
#[derive(Debug)]
pub(in crate::query) struct Runs<B> {
    /// The last one comes first.
    runs: Vec<(B, usize)>,
}

impl<B: Copy + PartialEq> Runs<B> {
    /// Those of some rows whose pages do not belong to one bucket. `bucket` tells that of a page, if it is one.
    pub(in crate::query) fn open(rows: &RowRanges, page_rows: usize, bucket: impl Fn(usize) -> Option<B>) -> RowRanges {
        let open = rows.pages(page_rows).into_iter().filter(|page| bucket(*page).is_none());
        let open = open.map(|page| rows.within(&(page * page_rows..(page + 1) * page_rows)));
        open.flat_map(|rows| rows.as_slice().to_vec()).collect()
    }

    /// The runs of some rows. `times` are the start times of those that are [open](Self::open), and `divide` tells the runs
    /// of some of them; `None` where it does not.
    pub(in crate::query) fn of(
        rows: &RowRanges,
        page_rows: usize,
        bucket: impl Fn(usize) -> Option<B>,
        (times, open): (&Columns, &RowRanges),
        divide: impl Fn(&[i64]) -> Option<Vec<(B, usize)>>,
    ) -> Result<Option<Self>> {
        let columns = times.select(open)?;
        let values = columns.first().map(|times| Values::new(times.as_ref(), Field::StartTime)).transpose()?;
        let mut left: &[i64] = match &values {
            None => &[],
            Some(Values::Times(times)) => times.values(),
            Some(_) => return Err(Error::internal("start times are not times")),
        };
        let mut runs: Vec<(B, usize)> = Vec::new();
        let mut add = |(bucket, rows): (B, usize)| match runs.last_mut() {
            Some((last, sum)) if *last == bucket => *sum += rows,
            _ => runs.push((bucket, rows)),
        };
        for (page, rows) in by_page(rows, page_rows) {
            if let Some(bucket) = bucket(page) {
                add((bucket, rows));
                continue;
            }
            let times = left.split_at_checked(rows);
            let (times, rest) = times.ok_or_else(|| Error::internal("a page has fewer rows than it should"))?;
            left = rest;
            let Some(divided) = divide(times) else { return Ok(None) };
            divided.into_iter().for_each(&mut add);
        }
        runs.reverse();
        Ok(Some(Self { runs }))
    }

    /// Takes the next rows, at most so many of one run: their bucket, and how many they are.
    pub(in crate::query) fn next(&mut self, most: usize) -> Result<(B, usize)> {
        let (bucket, left) = self.runs.last_mut().ok_or_else(|| Error::internal("rows have no bucket"))?;
        let (bucket, taken) = (*bucket, most.min(*left));
        *left -= taken;
        if *left == 0 {
            self.runs.pop();
        }
        Ok((bucket, taken))
    }
}

/// The oldest and the newest start time of a page, in milliseconds.
pub(in crate::query) fn page_times(segment: &SegmentReader, page: usize) -> (i64, i64) {
    let (oldest, newest) = segment.page_times(page).unwrap_or((0, u64::MAX));
    (Timestamp::ordinal_millis(oldest), Timestamp::ordinal_millis(newest))
}

/// The pages that hold some rows, ascending, and how many of the rows each of them holds.
fn by_page(rows: &RowRanges, page_rows: usize) -> Vec<(usize, usize)> {
    let mut pages: Vec<(usize, usize)> = Vec::new();
    for range in rows.as_slice() {
        for page in range.start / page_rows..range.end.div_ceil(page_rows) {
            let held = range.end.min((page + 1) * page_rows) - range.start.max(page * page_rows);
            match pages.last_mut() {
                Some((last, rows)) if *last == page => *rows += held,
                _ => pages.push((page, held)),
            }
        }
    }
    pages
}
