//! A page as a run of its plan.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult},
    execution::TaskContext,
    physical_plan::ExecutionPlan,
};
use futures::StreamExt;

use super::{FlowScanExec, Source, ordering::Sorted, source::failed};
use crate::{
    error::{Error, Result},
    flow::Field,
    query::{Page, Query, gaps},
};

/// Where pages run: they have the memory and the threads of their archive.
static CONTEXT: LazyLock<Arc<TaskContext>> = LazyLock::new(Arc::default);

/// The page that a scan is run for. A plan hands on flows; what a page is beside them is found here when it has run.
#[derive(Debug, Default)]
pub(super) struct Paged(Mutex<Option<Page>>);

impl Paged {
    /// Answers the query of a page, within its budget.
    pub(super) async fn run(self: Arc<Self>, source: Arc<Source>) -> DataFusionResult<RecordBatch> {
        let page = gaps::page(&source.query).await.map_err(failed)?;
        let batch = page.batch.clone();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
        Ok(batch)
    }

    fn take(&self) -> Option<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The page of a query: its plan is made and run.
pub(in crate::query) async fn page(query: &Query) -> Result<Page> {
    let paged = Arc::new(Paged::default());
    let source = Source::new(query.clone(), None, Field::ALL.to_vec())?;
    let order = Sorted::of_query(&source).ok_or_else(|| Error::internal("an order has no keys"))?;
    let scan = FlowScanExec::whole(source).in_order(order).first(query.limit).paged(Arc::clone(&paged));
    let mut flows = scan.execute(0, Arc::clone(&CONTEXT)).map_err(error)?;
    while let Some(batch) = flows.next().await {
        batch.map_err(error)?;
    }
    paged.take().ok_or_else(|| Error::internal("the plan of a page has answered none"))
}

/// The error that a scan has failed with.
fn error(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::internal(error.to_string()),
        },
        error => Error::internal(error.to_string()),
    }
}
