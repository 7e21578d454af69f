//! The scan of a snapshot as a node of a DataFusion plan: what pages, SQL and data frames have in common.
//!
//! The node holds what is wanted: the flows of a snapshot that match a filter, some columns of them, in an order or in none,
//! and how many. It decides when it runs which segments, blocks and pages are read for it.
//!
//! - For a page, it runs within the budget of the page, which is found beside its flows ([`paged`]): where the next page
//!   begins, how many flows there are, what was left out, and what all this has cost.
//! - In an order, it has one partition and runs the search of a page again and again ([`ordered`]): best bound first, until
//!   it has found what is wanted.
//! - In no order, it has several partitions that share the blocks which the zone maps and posting lists leave ([`parts`]).
//!
//! No ordering is ever declared over several partitions.

mod estimate;
mod lists;
mod metrics;
mod narrowing;
mod ordered;
mod ordering;
mod paged;
mod parts;
mod pieces;
mod plan;
mod source;
mod statistics;
mod survey;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, Statistics, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    execution::{SendableRecordBatchStream, TaskContext, config::SessionConfig},
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr, conjunction_opt},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SortOrderPushdownResult,
        execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions},
        filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream::try_unfold};

use self::{
    lists::Lists,
    metrics::ScanMetrics,
    narrowing::Narrowing,
    ordered::OrderedScan,
    ordering::{Sorted, sorted_by},
    paged::Paged,
    survey::Survey,
};
pub(super) use self::{
    parts::PartScan,
    pieces::{BlockPiece, ListPiece, Piece, RowPiece},
    plan::{page, plan},
    source::{Source, failed},
};
use super::{
    Pruning,
    summary::{Listing, LongLists},
};
use crate::{archive::SegmentEntry, error::Result, filter::Bounds as _, flow::Field};

/// Flows of a snapshot as a plan node.
#[derive(Clone, Debug)]
pub(super) struct FlowScanExec {
    source: Arc<Source>,
    /// Made when it is asked for: a page does without.
    survey: Arc<OnceLock<Arc<Survey>>>,
    order: Option<Arc<Sorted>>,
    fetch: Option<usize>,
    /// The page that it is run for, if it is: that has a budget, and is more than its flows.
    paged: Option<Arc<Paged>>,
    /// Filters that are evaluated above: what none of their rows can pass is not read.
    narrowing: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Whether it runs within another node, which counts the rows that come out.
    is_inner: bool,
}

impl FlowScanExec {
    /// The flows of `source`, in no order, in at most `partitions` partitions.
    pub(super) fn new(source: Source, partitions: usize, batch_rows: usize) -> Self {
        let scan = Self::whole(source);
        // A partition of less than a batch is not worth a task.
        let most = usize::try_from(scan.survey().rows()).unwrap_or(usize::MAX).div_ceil(batch_rows.max(1)).max(1);
        Self { properties: properties(&scan.source, None, partitions.clamp(1, most)), ..scan }
    }

    /// The flows of `source`, in no order, in one partition.
    fn whole(source: Source) -> Self {
        Self {
            properties: properties(&source, None, 1),
            source: Arc::new(source),
            survey: Arc::default(),
            order: None,
            fetch: None,
            paged: None,
            narrowing: Vec::new(),
            metrics: ExecutionPlanMetricsSet::new(),
            is_inner: false,
        }
    }

    fn survey(&self) -> &Arc<Survey> {
        self.survey.get_or_init(|| Arc::new(Survey::new(Arc::clone(&self.source))))
    }

    /// The same, which knows how many they are, where no column is wanted and the lists tell: then a plan needs no scan to
    /// count them.
    pub(super) async fn counted(self) -> Result<Self> {
        if self.source.fields.is_empty() && self.fetch.is_none() {
            self.survey().count().await?;
        }
        Ok(self)
    }

    /// The same flows in an order.
    fn in_order(self, order: Sorted) -> Self {
        let properties = properties(&self.source, Some(&order), 1);
        Self { properties, order: Some(Arc::new(order)), narrowing: Vec::new(), ..self }
    }

    /// The first of them.
    pub(super) fn first(self, fetch: usize) -> Self {
        let fetch = Some(self.fetch.map_or(fetch, |before| before.min(fetch)));
        Self { fetch, ..self }
    }

    /// The same for a page of its query.
    fn paged(self, page: Arc<Paged>) -> Self {
        Self { paged: Some(page), ..self }
    }

    /// The flows of `source`, in no order, as part of a node that counts in `metrics`.
    fn within(source: Source, config: &SessionConfig, metrics: ExecutionPlanMetricsSet) -> Arc<dyn ExecutionPlan> {
        let scan = Self::new(source, config.target_partitions(), config.batch_size());
        Arc::new(Self { metrics, is_inner: true, ..scan })
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    /// Whether it answers all flows that match, in no order, whatever nodes above may know.
    pub(super) fn is_plain(&self) -> bool {
        self.order.is_none() && self.fetch.is_none() && self.paged.is_none() && self.narrowing.is_empty()
    }

    /// The field of a column.
    pub(super) fn field(&self, column: usize) -> Option<Field> {
        self.source.fields.get(column).copied()
    }

    /// Whether it is known that every flow has a value of a field.
    pub(super) fn is_never_absent(&self, field: Field) -> bool {
        let has_value = |entry: &SegmentEntry| entry.field(field).is_some_and(|span| !span.absent);
        field.always_present() || self.survey().entries().all(has_value)
    }

    /// How a list tells of the groups of its flows by some fields, if one does.
    pub(super) fn listing(&self, by: &[Field]) -> Option<Listing> {
        let filter = &self.survey().target.goal.filter;
        Listing::of(by, filter, LongLists::Whole).filter(|_| self.source.query.pruning == Pruning::On)
    }

    /// Its partitions, which count in `metrics`. Where there is a `listing` of the groups that its flows are counted in, it
    /// tells of them where that costs less than to read the rows.
    pub(super) fn parts(&self, metrics: &ExecutionPlanMetricsSet, listing: Option<&Arc<Listing>>) -> Vec<PartScan> {
        let count = self.partitions();
        let lists = listing.map(|listing| Lists::new(Arc::clone(listing), self.survey().segments.len()));
        let part = |part| {
            let metrics = ScanMetrics::new(metrics, part);
            PartScan::new(Arc::clone(self.survey()), (part, count), None, (None, lists.clone()), metrics)
        };
        (0..count).map(part).collect()
    }

    /// What a plan shows of it.
    pub(super) fn describe(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => ", ",
            DisplayFormatType::TreeRender => "\n",
        };
        write!(f, "filter={}", self.source.filter_text())?;
        if let Some(order) = &self.order {
            write!(f, "{separator}order=[{order}]")?;
        }
        if let Some(fetch) = self.fetch {
            write!(f, "{separator}fetch={fetch}")?;
        }
        write!(f, "{separator}{}", self.survey())?;
        if let Some(narrowing) = conjunction_opt(self.narrowing.iter().cloned()) {
            write!(f, "{separator}narrowed_by={narrowing}")?;
        }
        if kind == DisplayFormatType::Verbose {
            let columns: Vec<&str> = self.source.fields.iter().map(|field| field.name()).collect();
            write!(f, "{separator}columns=[{}]", columns.join(", "))?;
        }
        Ok(())
    }
}

fn properties(source: &Source, order: Option<&Sorted>, partitions: usize) -> Arc<PlanProperties> {
    let schema = Arc::clone(&source.schema);
    let equivalences = match order {
        Some(order) => EquivalenceProperties::new_with_orderings(schema, [order.exprs.iter().cloned()]),
        None => EquivalenceProperties::new(schema),
    };
    let partitioning = Partitioning::UnknownPartitioning(partitions);
    Arc::new(PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, Boundedness::Bounded))
}

impl DisplayAs for FlowScanExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if kind != DisplayFormatType::TreeRender {
            write!(f, "FlowScanExec: ")?;
        }
        self.describe(kind, f)
    }
}

impl ExecutionPlan for FlowScanExec {
    fn name(&self) -> &'static str {
        "FlowScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        for filter in &self.narrowing {
            if apply(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
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
        // What the nodes above knew is of the run before: the keys of a join differ in each turn of a recursive query.
        let (metrics, narrowing) = (ExecutionPlanMetricsSet::new(), Vec::new());
        Ok(Arc::new(Self { metrics, narrowing, ..self.as_ref().clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        if partition >= self.partitions() {
            return Err(DataFusionError::Internal(format!("FlowScanExec has no partition {partition}")));
        }
        if let Some(paged) = &self.paged {
            let batch = Arc::clone(paged).run(Arc::clone(&self.source));
            let batch = futures::stream::once(batch);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.source.schema), batch)));
        }
        let metrics = ScanMetrics::new(&self.metrics, partition);
        let batches = match &self.order {
            Some(order) => {
                let scan = OrderedScan::new((&self.source, Self::within), order, self.fetch, context, metrics);
                try_unfold(scan, |mut scan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) }).boxed()
            }
            None => {
                let narrowing = Narrowing::new(&self.narrowing, &self.source.schema);
                let parts = (partition, self.partitions());
                let scan = PartScan::new(Arc::clone(self.survey()), parts, self.fetch, (narrowing, None), metrics);
                let scan = scan.reading_all();
                let batch_rows = context.session_config().batch_size();
                let next = |mut scan: PartScan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) };
                let whole = try_unfold(scan, next).boxed();
                whole.flat_map(move |batch| futures::stream::iter(source::slices(batch, batch_rows))).boxed()
            }
        };
        let set = if self.is_inner { &ExecutionPlanMetricsSet::new() } else { &self.metrics };
        let baseline = BaselineMetrics::new(set, partition);
        let counted = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                baseline.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.source.schema), counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        if self.fetch.is_none() && (args.partition().is_none() || self.partitions() == 1) {
            return Ok(Arc::clone(self.survey().statistics()));
        }
        let all = self.survey().statistics();
        Ok(Arc::new(statistics::of_some(all, self.fetch, args.partition().is_some(), self.partitions())))
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let metrics = ExecutionPlanMetricsSet::new();
        Some(Arc::new(Self { fetch, metrics, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        pushed: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> DataFusionResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let filters: Vec<_> = pushed.parent_filters.into_iter().map(|pushed| pushed.filter).collect();
        // They are evaluated above in any case.
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(vec![PushedDown::No; filters.len()]);
        // Of the first rows, those that do not pass count as well; and what comes in an order is found by its order.
        if filters.is_empty() || self.fetch.is_some() || self.order.is_some() {
            return Ok(answer);
        }
        let mut node = self.clone();
        for filter in filters {
            if !node.narrowing.contains(&filter) {
                node.narrowing.push(filter);
            }
        }
        Ok(answer.with_updated_node(Arc::new(node)))
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> DataFusionResult<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        // The first rows in no order are not the first of the order.
        if self.fetch.is_some() || self.order.is_some() {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        Ok(match sorted_by(&self.source, order) {
            Some(sorted) => SortOrderPushdownResult::Exact { inner: Arc::new(self.clone().in_order(sorted)) },
            None => SortOrderPushdownResult::Unsupported,
        })
    }
}
