//! Scans: rows of segments that pass conditions.

use std::sync::Arc;

use arrow::array::ArrayRef;
use tokio::task::JoinSet;

use super::condition::Condition;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    segment::{RowRanges, RowReader, SegmentReader, ToldNames},
};

/// From so many rows on, scans are handed to the threads of the host.
const LARGE_ROWS: usize = 1 << 16;
/// About how many rows a thread works on before it can be interrupted.
const TASK_ROWS: usize = 1 << 15;

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
    /// One scan, here and now. Of the rows that one condition turns away the next one decodes nothing.
    pub(super) async fn scan(&self, scan: &Scan) -> Result<Hits> {
        let mut rows = scan.rows.clone();
        for condition in &scan.conditions {
            if rows.is_empty() {
                break;
            }
            rows = self.pass(&scan.segment, condition, &rows).await?;
        }
        if rows.is_empty() {
            return Ok(Hits::default());
        }
        let columns = self.reader.columns(&scan.segment, &scan.columns, &rows).await?.select(&rows)?;
        // A search whose pages are all in memory would otherwise never let go of its thread.
        tokio::task::coop::consume_budget().await;
        Ok(Hits { rows, columns })
    }

    /// Those of the rows for which a condition is true.
    async fn pass(&self, segment: &Arc<SegmentReader>, condition: &Condition, rows: &RowRanges) -> Result<RowRanges> {
        let columns = self.reader.columns(segment, &condition.fields, rows).await?;
        let mut passing = RowRanges::default();
        let mut told = ToldNames::default();
        for (page, start, rows) in columns.pages(rows) {
            let rows = page.filter(&rows, &mut told, |columns, length| condition.evaluate(columns, length))?;
            passing.append(&rows, start);
        }
        Ok(passing)
    }

    /// Several scans: the number of each, and its hits, maybe in parts. Where there is much to read, all threads of
    /// the host help.
    pub(super) async fn scan_all(&self, scans: Vec<Scan>) -> Result<Vec<(usize, Hits)>> {
        let rows: usize = scans.iter().map(|scan| scan.rows.len()).sum();
        let mut hits = Vec::with_capacity(scans.len());
        if rows < LARGE_ROWS {
            for (place, scan) in scans.iter().enumerate() {
                hits.push((place, self.scan(scan).await?));
            }
            return Ok(hits);
        }
        let mut tasks = JoinSet::new();
        for (place, scan) in scans.into_iter().enumerate() {
            for rows in scan.rows.split(TASK_ROWS) {
                let (scanner, scan) = (self.clone(), Scan { rows, ..scan.clone() });
                tasks.spawn(async move { (place, scanner.scan(&scan).await) });
            }
        }
        // Dropping the set, be it with this future, ends the tasks.
        while let Some(done) = tasks.join_next().await {
            let (place, part) = done.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"))?;
            hits.push((place, part?));
        }
        Ok(hits)
    }
}
