//! Groups of flows in SQL, added up as those of a summary are.
//!
//! DataFusion adds groups up row by row: each row is put together from its pages, and its key is hashed. A summary hashes a
//! key once for each row group. So a node takes the place of an aggregation over a scan that asks for no more than a
//! summary can tell ([`shape`]): it adds up on all partitions ([`run`]), and its answer has the same columns ([`answer`]).
//!
//! Where flows alone are counted, by columns that a list tells of together, the groups of a block are taken from the list of
//! its segment, as those of a summary are; other blocks are read.
//!
//! A key may be a function of a column ([`key`]). One that tells the values of its column apart is applied to the groups by
//! that column; buckets of time are told by the bounds of pages where these lie in one ([`buckets`]).
//!
//! The memory of its groups is of the session's pool, and cannot be spilled. Where the pool has less, they are let go of,
//! and the aggregation itself is run instead, which can. So it is where a key ends in an error, to tell which.

mod answer;
mod buckets;
mod input;
mod key;
mod rule;
mod run;
mod shape;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream::once};
use tokio::sync::OnceCell;

pub(super) use self::rule::GroupFlows;
use self::{key::Key, run::Run, shape::Shape};
use super::{flow_scan::FlowScanExec, summary::Listing};

/// Groups of the flows of a scan as a plan node.
#[derive(Debug)]
pub(super) struct FlowGroupsExec {
    shape: Arc<Shape>,
    scan: FlowScanExec,
    /// How a list tells of the groups, if one does.
    listing: Option<Arc<Listing>>,
    /// The aggregation that is run where memory is short or a key ends in an error.
    plain: Arc<dyn ExecutionPlan>,
    /// What the partitions of a run have in common.
    shared: Mutex<Shared>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The groups of a run; `None` where the aggregation is to be run.
type Groups = OnceCell<Option<Arc<Run>>>;

/// A run of the node, as far as it has begun.
#[derive(Debug, Default)]
struct Shared {
    groups: Arc<Groups>,
    /// The partitions that were begun.
    begun: Vec<usize>,
}

impl FlowGroupsExec {
    fn new(shape: Shape, scan: &FlowScanExec, plain: Arc<dyn ExecutionPlan>) -> Self {
        let partitioning = Partitioning::UnknownPartitioning(plain.properties().partitioning.partition_count());
        let equivalences = EquivalenceProperties::new(plain.schema());
        let (emission, boundedness) = (EmissionType::Final, Boundedness::Bounded);
        let listing = scan.listing(&shape.key_fields()).filter(|_| shape.added.is_empty());
        Self {
            listing: listing.map(Arc::new),
            shape: Arc::new(shape),
            scan: scan.clone(),
            plain,
            shared: Mutex::default(),
            properties: Arc::new(PlanProperties::new(equivalences, partitioning, emission, boundedness)),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// The groups of the run that a partition is part of. They are held for as long as one of its partitions runs.
    fn groups(&self, partition: usize) -> Arc<Groups> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.begun.contains(&partition) {
            *shared = Shared::default();
        }
        shared.begun.push(partition);
        let groups = Arc::clone(&shared.groups);
        if shared.begun.len() == self.partitions() {
            *shared = Shared::default();
        }
        groups
    }
}

impl DisplayAs for FlowGroupsExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, separator) = match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => ("FlowGroupsExec: ", ", "),
            DisplayFormatType::TreeRender => ("", "\n"),
        };
        let keys: Vec<String> = self.shape.keys.iter().map(Key::to_string).collect();
        write!(f, "{start}by=[{}]{separator}", keys.join(", "))?;
        if let Some(listing) = &self.listing {
            let columns: Vec<&str> = listing.columns().iter().map(|field| field.name()).collect();
            write!(f, "listed=[{}]{separator}", columns.join(", "))?;
        }
        self.scan.describe(kind, f)
    }
}

impl ExecutionPlan for FlowGroupsExec {
    fn name(&self) -> &'static str {
        "FlowGroupsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn reset_state(self: Arc<Self>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let plain = Arc::clone(&self.plain).reset_state()?;
        Ok(Arc::new(Self::new(self.shape.as_ref().clone(), &self.scan, plain)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        if partition >= self.partitions() {
            return Err(DataFusionError::Internal(format!("FlowGroupsExec has no partition {partition}")));
        }
        let (groups, shape, scan) = (self.groups(partition), Arc::clone(&self.shape), self.scan.clone());
        let listing = self.listing.clone();
        let (plain, schema, metrics) = (Arc::clone(&self.plain), self.schema(), self.metrics.clone());
        let partitions = self.partitions();
        let answer = async move {
            let run = groups
                .get_or_try_init(|| Run::of(&shape, (&scan, listing.as_ref()), &context, &metrics))
                .await?
                .clone();
            let batches = match run {
                Some(run) => {
                    let batch_rows = context.session_config().batch_size();
                    answer::batches(run, shape, schema, (partition, partitions), batch_rows).boxed()
                }
                None => plain.execute(partition, context)?.boxed(),
            };
            Ok::<_, DataFusionError>(batches)
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let counted = once(answer).try_flatten().inspect(move |batch: &DataFusionResult<_>| {
            if let Ok(batch) = batch {
                baseline.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        // Where memory was short, what the aggregation has written to files.
        let plain = self.plain.metrics();
        let spilled =
            plain.iter().flat_map(MetricsSet::iter).filter(|metric| metric.value().name().starts_with("spill"));
        spilled.for_each(|metric| metrics.push(Arc::clone(metric)));
        Some(metrics)
    }
}
