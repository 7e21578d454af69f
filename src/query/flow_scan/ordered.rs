//! A scan in an order: the search of a page, again and again behind what was found.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult},
    execution::{SendableRecordBatchStream, TaskContext, config::SessionConfig},
    physical_plan::{
        ExecutionPlan,
        metrics::ExecutionPlanMetricsSet,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};
use futures::StreamExt;

use super::{
    Source,
    metrics::ScanMetrics,
    ordering::{Sorted, exprs},
    source::{failed, slices},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    order::Position,
    query::{
        Query,
        budget::Spending,
        search::{Results, Search},
        top_k::Found,
    },
};

/// So many flows are looked for first, where it is not known how many are wanted.
const FIRST: usize = 1 << 10;
/// The largest number of flows that are looked for in one go.
const MOST: usize = 1 << 16;
/// So many flows of an order that does not follow the time are found by searching for them. Each search reads again what
/// all blocks have in common, so the rest is sorted.
const MOST_SEARCHED: usize = 1 << 12;

/// Makes a scan in no order, as part of a node that counts in these metrics.
type Unordered = fn(Source, &SessionConfig, ExecutionPlanMetricsSet) -> Arc<dyn ExecutionPlan>;

/// The flows of a source in an order.
pub(super) struct OrderedScan {
    source: Arc<Source>,
    unordered: Unordered,
    phases: VecDeque<Query>,
    /// Behind what was found of the first phase.
    position: Option<Position>,
    /// How many flows were found of the first phase.
    found: usize,
    /// How many are still wanted.
    left: Option<usize>,
    /// How many are looked for next.
    want: usize,
    /// What was found and not yet handed on.
    ready: VecDeque<RecordBatch>,
    /// The rest of the first phase, sorted.
    rest: Option<SendableRecordBatchStream>,
    context: Arc<TaskContext>,
    metrics: ScanMetrics,
}

impl OrderedScan {
    pub(super) fn new(
        (source, unordered): (&Arc<Source>, Unordered),
        order: &Sorted,
        fetch: Option<usize>,
        context: Arc<TaskContext>,
        metrics: ScanMetrics,
    ) -> Self {
        let phase = |(filter, order): &(_, _)| Query {
            filter: Clone::clone(filter),
            order: Clone::clone(order),
            ..source.query.clone()
        };
        Self {
            phases: order.phases.iter().map(phase).collect(),
            position: source.position.clone(),
            source: Arc::clone(source),
            unordered,
            found: 0,
            left: fetch,
            want: fetch.unwrap_or(FIRST).min(MOST),
            ready: VecDeque::new(),
            rest: None,
            context,
            metrics,
        }
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.left == Some(0) {
                return Ok(None);
            }
            if let Some(rest) = &mut self.rest {
                match rest.next().await.transpose()? {
                    Some(batch) => {
                        self.left = self.left.map(|left| left.saturating_sub(batch.num_rows()));
                        let columns: Vec<usize> = (0..self.source.fields.len()).collect();
                        return Ok(Some(batch.project(&columns)?));
                    }
                    None => self.next_phase(),
                }
            } else if let Some(query) = self.phases.front() {
                if !follows_time(query) && self.found >= MOST_SEARCHED {
                    self.rest = Some(self.sorted(query.clone())?);
                } else {
                    self.find().await?;
                }
            } else {
                return Ok(None);
            }
        }
    }

    fn next_phase(&mut self) {
        self.phases.pop_front();
        (self.position, self.found, self.rest) = (None, 0, None);
    }

    /// Looks for the next flows of the first phase.
    async fn find(&mut self) -> DataFusionResult<()> {
        let Some(query) = self.phases.front() else { return Ok(()) };
        let want = self.left.map_or(self.want, |left| left.min(self.want));
        let mut spending = Spending::unlimited();
        let mut search = Search::new(query, self.position.take(), BTreeSet::new(), &mut spending);
        let Results { found, .. } = search.find(want).await.map_err(failed)?;
        let batch = columns(&found, &self.source, &mut search).await.map_err(failed)?;
        self.metrics.add(&search.cost());
        let batch_rows = self.context.session_config().batch_size();
        self.ready = slices(Ok(batch), batch_rows).into_iter().collect::<DataFusionResult<_>>()?;
        self.left = self.left.map(|left| left - found.len());
        self.found += found.len();
        self.want = self.want.saturating_mul(8).min(MOST);
        match found.last() {
            Some(last) if found.len() == want => self.position = Some(Position::after(last.key.clone())),
            _ => self.next_phase(),
        }
        Ok(())
    }

    /// The flows of a phase behind the position, sorted with the memory of the host.
    fn sorted(&self, query: Query) -> DataFusionResult<SendableRecordBatchStream> {
        let mut fields = self.source.fields.clone();
        for key in query.order.keys() {
            if !fields.contains(&key.field) {
                fields.push(key.field);
            }
        }
        let order =
            exprs(&query.order, &fields).ok_or_else(|| DataFusionError::Internal("an order has no keys".to_owned()))?;
        let config = self.context.session_config();
        let source = Source::new(query, self.position.clone(), fields).map_err(failed)?;
        let scan = (self.unordered)(source, config, self.metrics.set.clone());
        let sort = SortExec::new(order.clone(), scan).with_preserve_partitioning(true).with_fetch(self.left);
        let merged = SortPreservingMergeExec::new(order, Arc::new(sort)).with_fetch(self.left);
        merged.execute(0, Arc::clone(&self.context))
    }
}

/// Whether what comes first in an order lies in few blocks: then each search goes on where the one before has ended.
fn follows_time(query: &Query) -> bool {
    query.order.keys().first().is_some_and(|key| key.field == Field::StartTime)
}

/// The columns of the flows that were found.
async fn columns(found: &[Found], source: &Source, search: &mut Search<'_>) -> Result<RecordBatch> {
    if source.fields.is_empty() {
        let rows = RecordBatchOptions::new().with_row_count(Some(found.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&source.schema), Vec::new(), &rows);
        return batch.map_err(Error::with(ErrorKind::Internal, "rows without columns cannot be made"));
    }
    search.columns(found, &source.fields).await
}
