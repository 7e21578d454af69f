//! The plan of a page, and its run.

use std::sync::{Arc, LazyLock};

use datafusion::{
    common::DataFusionError,
    execution::TaskContext,
    physical_plan::{ExecutionPlan, limit::GlobalLimitExec},
};
use futures::StreamExt;

use super::{FlowScanExec, Source, ordering::Sorted, paged::Paged};
use crate::{
    error::{Error, Result},
    flow::Field,
    query::{Page, Query, Start},
};

/// Where pages run: they have the memory and the threads of their archive.
static CONTEXT: LazyLock<Arc<TaskContext>> = LazyLock::new(Arc::default);

/// The flows of a page of a query, in its order.
pub(in crate::query) fn plan(query: &Query) -> Result<Arc<dyn ExecutionPlan>> {
    let (position, skip) = match &query.start {
        Start::First => (None, 0),
        Start::Number(number) => (None, u128::from(number.saturating_sub(1)) * query.limit as u128),
        Start::At(cursor) => {
            let place = cursor.resume(&query.snapshot.seal()?, query.fingerprint(), &query.order)?;
            (place.position, place.skip)
        }
    };
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let source = Source::new(query.clone(), position, Field::ALL.to_vec())?;
    let order = Sorted::of_query(&source).ok_or_else(|| Error::internal("an order has no keys"))?;
    let scan = FlowScanExec::whole(source).in_order(order).first(skip.saturating_add(query.limit));
    Ok(match skip {
        0 => Arc::new(scan),
        skip => Arc::new(GlobalLimitExec::new(Arc::new(scan), skip, Some(query.limit))),
    })
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
