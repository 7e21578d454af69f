//! What a query answers: a page, or the plan of one.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::{Page, Query, flow_scan};
use crate::error::Result;

impl Query {
    /// The page: its [`plan`](Self::plan) is run, within its budget. The search runs where the future is polled, and ends
    /// when it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCursor`](crate::ErrorKind::InvalidCursor) where the cursor is damaged, or of another archive or
    /// another query;
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where an exact count was asked for that the budget
    /// does not reach, or other queries held the memory until the time of the budget was over, and nothing was found by
    /// then; [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) or [`ErrorKind::Io`](crate::ErrorKind::Io)
    /// where a segment cannot be read, unless [`gaps`](Self::gaps) are skipped.
    pub async fn page(&self) -> Result<Page> {
        flow_scan::page(self).await
    }

    /// The flows of the page as a plan of DataFusion, for a host that builds on it or shows it: the same flows in the same
    /// order, of the version that the snapshot holds. A plan has no [`budget`](Self::budget) and no
    /// [`count`](Self::count), and a segment that cannot be read ends it with an error.
    ///
    /// ```
    /// use datafusion::{execution::TaskContext, physical_plan::collect};
    /// use flowseek::{Archive, Order, filter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
    /// let query = snapshot.query(filter::dst_port().eq(443)).order(Order::newest_first()).limit(10);
    /// let batches = collect(query.plan()?, TaskContext::default().into()).await?;
    /// assert_eq!(batches[0], query.page().await?.batch);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCursor`](crate::ErrorKind::InvalidCursor) where the cursor is damaged, or of another archive or
    /// another query.
    pub fn plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        flow_scan::plan(self)
    }
}
