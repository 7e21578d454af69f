//! Scans built by hand: no SQL and no optimizer in the path of a page.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use datafusion::{
    common::{DFSchema, DataFusionError},
    config::TableParquetOptions,
    datasource::{
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    execution::{TaskContext, context::ExecutionProps, object_store::ObjectStoreUrl},
    logical_expr::{Expr, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{PhysicalExpr, create_physical_expr},
    physical_plan::{ExecutionPlan, SendableRecordBatchStream},
};
use futures::StreamExt;

use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    schema::schema,
    segment::{BlockCache, HeldSegment, ReadCounters, RowRanges, SegmentReader},
};

/// One for all queries: a scan needs nothing of it but its defaults.
static CONTEXT: LazyLock<Arc<TaskContext>> = LazyLock::new(Arc::default);

/// What a flow must be to be read.
pub(super) type Predicate = Arc<dyn PhysicalExpr>;

/// Rows of a batch, at most: a predicate that has found its last row is evaluated so much further.
const BATCH_ROWS: usize = 8192;

/// Reads rows of segments.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pub(super) pages: Arc<BlockCache>,
    pub(super) counters: Arc<ReadCounters>,
}

/// What a scan reads of a segment.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    pub(super) segment: &'a Arc<SegmentReader>,
    pub(super) rows: RowRanges,
    pub(super) columns: &'a [Field],
    /// Of the rows, only those for which this is true.
    pub(super) predicate: Option<Predicate>,
    /// Of those, only so many, the newest.
    pub(super) limit: Option<usize>,
}

/// An expression over the columns of an archive, ready to be evaluated.
///
/// It is one term: of a conjunction, the reader would evaluate each part over all rows but the last.
pub(super) fn predicate(expr: Expr) -> Result<Predicate> {
    let fused = expr.is_true();
    let schema = DFSchema::try_from(schema()).map_err(internal)?;
    create_physical_expr(&fused, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default()).map_err(internal)
}

impl Scanner {
    /// The rows of a scan, newest first.
    pub(super) async fn read(&self, scan: Scan<'_>) -> Result<Vec<RecordBatch>> {
        let segment = Arc::clone(scan.segment);
        let mut stream = self.stream(scan)?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch.map_err(|error| failed(&segment, error))?);
            // A search whose pages are all in memory would otherwise never let go of its thread.
            tokio::task::coop::consume_budget().await;
        }
        Ok(batches)
    }

    fn stream(&self, scan: Scan<'_>) -> Result<SendableRecordBatchStream> {
        let factory = HeldSegment {
            segment: Arc::clone(scan.segment),
            cache: Arc::clone(&self.pages),
            counters: Arc::clone(&self.counters),
        };
        // The access plan has chosen the pages: nothing else is to be looked up.
        let mut options = TableParquetOptions::default();
        options.global.pushdown_filters = true;
        options.global.pruning = false;
        options.global.enable_page_index = false;
        options.global.bloom_filter_on_read = false;
        let mut source = ParquetSource::new(schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(factory));
        if let Some(predicate) = scan.predicate {
            source = source.with_predicate(predicate);
        }
        let columns = scan.columns.iter().map(|field| *field as usize).collect();
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(vec![scan.rows.file(scan.segment)]))
            .with_projection_indices(Some(columns))
            .map_err(internal)?
            .with_limit(scan.limit)
            .with_preserve_order(true)
            .with_batch_size(Some(BATCH_ROWS))
            .build();
        DataSourceExec::from_data_source(config).execute(0, Arc::clone(&CONTEXT)).map_err(internal)
    }
}

fn internal(error: DataFusionError) -> Error {
    Error::with(ErrorKind::Internal, "a scan could not be built")(error)
}

fn failed(segment: &SegmentReader, error: DataFusionError) -> Error {
    let kind = match error.find_root() {
        DataFusionError::IoError(_) => ErrorKind::Io,
        _ => ErrorKind::Damaged,
    };
    Error::with(kind, format!("flows of segment {} cannot be read", segment.path().display()))(error)
}
