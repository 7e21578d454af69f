//! An archive as a table of DataFusion: all that it can ask, in SQL or with data frames, over the flows of a snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    common::Result as DataFusionResult,
    error::DataFusionError,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use futures::future::{BoxFuture, FutureExt};

use super::{
    flow_scan::{FlowScanExec, Source},
    recognise::recognise,
    version::{Newest, Version},
};
use crate::{
    archive::{Archive, Snapshot},
    error::Result,
    filter::Filter,
    flow::Field,
    schema::schema,
};

/// The flows of an archive as a table: a row a flow, in no order, with the columns of
/// [`schema`](crate::schema::schema()). Of a [`new`](Self::new) table every query answers from the same snapshot, and of
/// one that is [`live`](Self::live) from the newest version.
///
/// What a page does for a filter and an order, it does for SQL: `WHERE dst_port = 443 ORDER BY start_time DESC LIMIT 100`
/// reads what the page reads. Segments and blocks in which no row can match by bounds or lists are passed over; a filter
/// that no [`Filter`] expresses, such as `src_bytes > dst_bytes`, is evaluated on the rows. Every byte that is read is
/// checked; one that is not what was written ends the query with an error. Data frames need no feature;
/// `SessionContext::sql` is there with the feature `sql`. Any session can have the table. What depends on the session and
/// not on the table, as sums that never wrap, [`session`](super::session()) sees to.
///
/// ```
/// use std::sync::Arc;
///
/// use datafusion::prelude::{SessionConfig, col, lit};
/// use flowseek::{Archive, query::{FlowTable, session}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let archive = Archive::open("testdata/archive")?;
/// let context = session(SessionConfig::new());
/// context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot()?)))?;
///
/// let https = context.table("flows").await?.filter(col("dst_port").eq(lit(443)))?;
/// assert!(https.count().await? > 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FlowTable {
    version: Arc<Version>,
}

impl FlowTable {
    /// The table of the flows of `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { version: Arc::new(Version::Of(snapshot)) }
    }

    /// The table of all flows that `archive` has when a query is planned. The query answers from just these, whatever is
    /// committed, compacted or removed before it is run and while it runs, and the next one sees it.
    pub fn live(archive: Archive) -> Self {
        Self { version: Arc::new(Version::Newest(Newest::new(archive))) }
    }

    fn plan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<FlowScanExec> {
        let recognised: Vec<Filter> = filters.iter().filter_map(recognise).collect();
        // Among the first rows, those that a filter leaves out which is evaluated later do not count.
        let limit = limit.filter(|_| recognised.len() == filters.len());
        let filter = recognised.into_iter().fold(Filter::all(), Filter::and);
        let fields = match projection {
            Some(places) => places.iter().filter_map(|place| Field::ALL.get(*place).copied()).collect(),
            None => Field::ALL.to_vec(),
        };
        let source = Source::new(self.version.of(session)?.query(filter), None, fields)?;
        let scan = FlowScanExec::new(source, session.config().target_partitions(), session.config().batch_size());
        Ok(match limit {
            Some(limit) => scan.first(limit),
            None => scan,
        })
    }
}

impl TableProvider for FlowTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'table, 'session, 'projection, 'filters, 'scan>(
        &'table self,
        session: &'session dyn Session,
        projection: Option<&'projection Vec<usize>>,
        filters: &'filters [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'scan, DataFusionResult<Arc<dyn ExecutionPlan>>>
    where
        'table: 'scan,
        'session: 'scan,
        'projection: 'scan,
        'filters: 'scan,
        Self: 'scan,
    {
        let plan = self.plan(session, projection, filters, limit);
        async move {
            let plan = async { plan?.counted().await }.await;
            plan.map(|plan| Arc::new(plan) as _).map_err(|error| DataFusionError::External(error.into()))
        }
        .boxed()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match recognise(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }
}
