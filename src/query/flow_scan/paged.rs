//! What a page is beside the flows of its plan.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::common::Result as DataFusionResult;

use super::source::{Source, failed};
use crate::query::{Page, leave_out};

/// The page that a scan is run for. A plan hands on flows; what a page is beside them is found here when it has run.
#[derive(Debug, Default)]
pub(super) struct Paged(Mutex<Option<Page>>);

impl Paged {
    /// Answers the query of a page, within its budget.
    pub(super) async fn run(self: Arc<Self>, source: Arc<Source>) -> DataFusionResult<RecordBatch> {
        let page = leave_out::page(&source.query).await.map_err(failed)?;
        let batch = page.batch.clone();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
        Ok(batch)
    }

    pub(super) fn take(&self) -> Option<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
