//! One page of an answer.

use arrow::array::RecordBatch;

use super::{Explain, Gap};
use crate::{error::Result, flow::StoredFlow, order::Cursor, schema::Flows};

/// Flows in the order that was asked for, and where the next page begins.
///
/// ```
/// use flowseek::{Archive, Filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let page = snapshot.query(Filter::all()).limit(100).page().await?;
/// assert_eq!((page.batch.num_rows(), page.flows()?.len()), (100, 100));
/// assert_eq!(page.total, Some(2592));
/// assert!(page.next.is_some() && page.gaps.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The flows, as columns of [`schema`](crate::schema::schema).
    pub batch: RecordBatch,
    /// The cursor of the next page; `None` only where nothing more can match, or where the limit is 0. A page may be
    /// short, even empty, and have one: its budget was spent.
    pub next: Option<Cursor>,
    /// How many flows match, on all pages; `None` where that was not asked for or is not known for free.
    pub total: Option<u64>,
    /// The segments that could not be read and were left out, where [`gaps`](super::Query::gaps) are skipped. A flow of
    /// theirs may be missing on this page, and [`total`](Self::total) is not known.
    pub gaps: Vec<Gap>,
    /// What the page has cost.
    pub explain: Explain,
}

impl Page {
    /// The flows, as records.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal), if [`batch`](Self::batch) was replaced by another.
    pub fn flows(&self) -> Result<Vec<StoredFlow>> {
        Ok(Flows::new(&self.batch)?.iter().collect())
    }
}
