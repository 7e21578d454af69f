//! The plan of a page.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, limit::GlobalLimitExec};

use super::{FlowScanExec, Source, ordering::Sorted};
use crate::{
    error::{Error, Result},
    flow::Field,
    query::{Query, Start},
};

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
