//! Rows by the buckets of time in which their flows began.

use crate::{
    error::{Error, Result},
    flow::{Field, Timestamp},
    schema::Values,
    segment::{Columns, PagedRows, SegmentReader},
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
    /// The runs of some rows. `bucket` tells that of a page, if it is one; `times` are the start times of the rows of those
    /// pages that are `open`, which it does not tell; and `divide` tells the runs of some times, `None` where it does not.
    pub(in crate::query) fn of(
        rows: &PagedRows,
        bucket: impl Fn(usize) -> Option<B>,
        (times, open): (&Columns, &PagedRows),
        divide: impl Fn(&[i64]) -> Option<Vec<(B, usize)>>,
    ) -> Result<Option<Self>> {
        let mut read = Vec::with_capacity(open.len());
        for part in times.parts(open) {
            let column = part.column(0).ok_or_else(|| Error::internal("a page was not read"))?;
            let Values::Times(times) = Values::new(column.as_ref(), Field::StartTime)? else {
                return Err(Error::internal("start times are not times"));
            };
            read.extend_from_slice(&part.rows().gather(times.values())?);
        }
        let mut left = read.as_slice();
        let mut runs: Vec<(B, usize)> = Vec::new();
        let mut add = |(bucket, rows): (B, usize)| match runs.last_mut() {
            Some((last, sum)) if *last == bucket => *sum += rows,
            _ => runs.push((bucket, rows)),
        };
        for (page, rows) in rows.pages() {
            let rows = rows.len();
            if let Some(bucket) = bucket(*page) {
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
