//! Scans: rows of segments that pass conditions.

use std::sync::Arc;

use arrow::array::ArrayRef;
use tokio::{runtime::Handle, task::JoinSet};

use super::{budget::Spending, condition::Condition};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    segment::{PagedRows, RowRanges, RowReader, SegmentReader, ToldNames},
};

/// From so many rows on, scans are handed to the threads of the host's runtime, where there is one.
pub(super) const LARGE_ROWS: usize = 1 << 16;
/// About how many rows a thread works on before it can be interrupted.
pub(super) const TASK_ROWS: usize = 1 << 15;

/// What is read of a segment.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) segment: Arc<SegmentReader>,
    pub(super) rows: RowRanges,
    /// Of the rows, only those that pass all of these.
    pub(super) conditions: Vec<Arc<Condition>>,
    /// The columns of those.
    pub(super) columns: Vec<Field>,
}

/// The rows that a scan has found, and their columns.
#[derive(Debug, Default)]
pub(super) struct Hits {
    pub(super) rows: RowRanges,
    pub(super) columns: Vec<ArrayRef>,
}

/// Runs scans.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pub(super) reader: RowReader,
}

impl Scanner {
    /// The same for columns of pages with so many rows: where they would take much of the cache, they are not kept.
    pub(super) fn sparing(&self, fields: &[Field], rows: usize) -> Self {
        let reader = self.reader.clone();
        Self { reader: if reader.is_large(fields, rows as u64) { reader.passing() } else { reader } }
    }

    /// One scan, here and now.
    pub(super) async fn scan(&self, scan: &Scan) -> Result<Hits> {
        let rows = match scan.conditions.as_slice() {
            [] => scan.rows.clone(),
            conditions => {
                let page_rows = scan.segment.shape().page_rows;
                let rows = PagedRows::of(&scan.rows, page_rows, None);
                self.passing(&scan.segment, rows, conditions).await?.ranges(page_rows)
            }
        };
        if rows.is_empty() {
            return Ok(Hits::default());
        }
        let columns = match scan.columns.as_slice() {
            [] => Vec::new(),
            columns => self.reader.columns(&scan.segment, columns, &rows).await?.select(&rows)?,
        };
        // A search whose pages are all in memory would otherwise never let go of its thread.
        tokio::task::coop::consume_budget().await;
        Ok(Hits { rows, columns })
    }

    /// Those of some rows for which all conditions are true. Of the rows that one condition turns away the next one decodes
    /// nothing.
    pub(super) async fn passing(
        &self,
        segment: &Arc<SegmentReader>,
        mut rows: PagedRows,
        conditions: &[Arc<Condition>],
    ) -> Result<PagedRows> {
        for condition in conditions {
            if rows.is_empty() {
                break;
            }
            rows = self.pass(segment, condition, &rows).await?;
        }
        Ok(rows)
    }

    /// Those of the rows for which a condition is true.
    async fn pass(&self, segment: &Arc<SegmentReader>, condition: &Condition, rows: &PagedRows) -> Result<PagedRows> {
        let columns = self.reader.paged_columns(segment, &condition.fields, rows).await?;
        let mut passing = PagedRows::default();
        let mut told = ToldNames::default();
        for part in columns.parts(rows) {
            part.filter(&mut passing, &mut told, |columns, length| condition.evaluate(columns, length))?;
        }
        Ok(passing)
    }

    /// Several scans, in their order: the number of each, and its hits, maybe in parts; and how many scans are done. When
    /// the time is over no scan is begun any more, but the first. Where there is much to read, all threads of
    /// the host help.
    pub(super) async fn scan_all(&self, scans: Vec<Scan>, spending: &Spending) -> Result<(Vec<(usize, Hits)>, usize)> {
        let rows: usize = scans.iter().map(|scan| scan.rows.len()).sum();
        let mut hits = Vec::with_capacity(scans.len());
        let runtime = Handle::try_current().ok().filter(|_| rows >= LARGE_ROWS);
        let Some(runtime) = runtime else {
            for (place, scan) in scans.iter().enumerate() {
                if place > 0 && spending.is_late() {
                    return Ok((hits, place));
                }
                match self.scan(scan).await {
                    Err(error) if place > 0 && spending.ends_at(&error) => return Ok((hits, place)),
                    scanned => hits.push((place, scanned?)),
                }
            }
            return Ok((hits, scans.len()));
        };
        let mut done = scans.len();
        let mut shares = shares(scans).into_iter();
        // No more tasks than threads: whoever else asks meanwhile waits for one of them, and not for all.
        let threads = runtime.metrics().num_workers();
        let mut tasks = JoinSet::new();
        // Dropping the set, be it with this future, ends the tasks.
        loop {
            while tasks.len() < threads
                && let Some(share) = shares.next()
            {
                let first = share.first().map_or(0, |(place, _)| *place);
                if first > 0 && spending.is_late() {
                    // All parts of the scans before are begun.
                    done = done.min(first);
                    shares = Vec::new().into_iter();
                    break;
                }
                let scanner = self.clone();
                tasks.spawn(async move { scanner.scan_share(share).await });
            }
            let Some(joined) = tasks.join_next().await else { break };
            for (place, part) in joined.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"))? {
                match part {
                    Err(error) if place > 0 && spending.ends_at(&error) => {
                        done = done.min(place);
                        shares = Vec::new().into_iter();
                    }
                    part => hits.push((place, part?)),
                }
            }
        }
        hits.retain(|(place, _)| *place < done);
        Ok((hits, done))
    }

    /// The scans of a share, up to the first that fails: the number of each, and what came of it.
    async fn scan_share(&self, share: Vec<(usize, Scan)>) -> Vec<(usize, Result<Hits>)> {
        let mut scanned = Vec::with_capacity(share.len());
        for (place, scan) in share {
            let hits = self.scan(&scan).await;
            let has_failed = hits.is_err();
            scanned.push((place, hits));
            if has_failed {
                break;
            }
        }
        scanned
    }
}

/// Scans in shares of about [`TASK_ROWS`] rows, in their order: large ones in parts, small ones together, since to wake a
/// thread takes as long as to read some pages. Each with its number.
fn shares(scans: Vec<Scan>) -> Vec<Vec<(usize, Scan)>> {
    let mut shares: Vec<Vec<(usize, Scan)>> = Vec::new();
    let mut free = 0;
    for (place, scan) in scans.into_iter().enumerate() {
        for rows in scan.rows.split(TASK_ROWS) {
            let size = rows.len();
            let part = (place, Scan { rows, ..scan.clone() });
            match shares.last_mut().filter(|_| size <= free) {
                Some(share) => share.push(part),
                None => {
                    shares.push(vec![part]);
                    free = TASK_ROWS;
                }
            }
            free = free.saturating_sub(size);
        }
    }
    shares
}
