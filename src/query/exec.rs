//! Scans built by hand: no SQL and no optimizer in the path of a page.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
pub(super) use datafusion::logical_expr::Expr;
use datafusion::{
    common::{DFSchema, DataFusionError},
    config::TableParquetOptions,
    datasource::{
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource},
        source::DataSourceExec,
    },
    execution::{TaskContext, context::ExecutionProps, object_store::ObjectStoreUrl},
    logical_expr::physical_planning_context::PhysicalPlanningContext,
    physical_expr::{PhysicalExpr, create_physical_expr},
    physical_plan::{ExecutionPlan, SendableRecordBatchStream},
};
use futures::StreamExt;
use tokio::task::JoinSet;

use super::Pruning;
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Filter,
    flow::Field,
    schema::schema,
    segment::{BlockCache, HeldSegment, Probes, ReadCounters, RowRanges, SegmentReader},
};

/// One for all queries: a scan needs nothing of it but its defaults.
static CONTEXT: LazyLock<Arc<TaskContext>> = LazyLock::new(Arc::default);

/// What a flow must be to be read.
pub(super) type Predicate = Arc<dyn PhysicalExpr>;

/// Rows of a batch, at most: a predicate that has found its last row is evaluated so much further.
const BATCH_ROWS: usize = 8192;

/// From so many rows on, scans are handed to the threads of the host.
const LARGE_ROWS: usize = 1 << 16;
/// About how many rows one thread is handed at a time.
const TASK_ROWS: usize = 1 << 16;

/// Reads rows of segments.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pub(super) pages: Arc<BlockCache>,
    pub(super) counters: Arc<ReadCounters>,
}

/// What a scan reads of a segment.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) segment: Arc<SegmentReader>,
    pub(super) rows: RowRanges,
    pub(super) columns: Vec<Field>,
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
    /// What the lists of a segment tell of a filter.
    pub(super) async fn probe<'f>(&self, filter: &'f Filter, segment: &Arc<SegmentReader>) -> Result<Probes<'f>> {
        Probes::ask(filter, segment, &self.pages, &self.counters).await
    }

    /// The rows of several scans, each scan's newest first. Where there is much to read, all threads of the host help.
    pub(super) async fn read_all(&self, scans: Vec<Scan>) -> Result<Vec<Vec<RecordBatch>>> {
        let rows: usize = scans.iter().map(|scan| scan.rows.len()).sum();
        if rows < LARGE_ROWS {
            let mut batches = Vec::with_capacity(scans.len());
            for scan in scans {
                batches.push(self.read(scan).await?);
            }
            return Ok(batches);
        }
        let mut places = Vec::with_capacity(scans.len());
        let mut tasks = JoinSet::new();
        for (place, scan) in scans.into_iter().enumerate() {
            places.push(Vec::new());
            for (part, rows) in scan.rows.split(TASK_ROWS).into_iter().enumerate() {
                let (scanner, scan) = (self.clone(), Scan { rows, ..scan.clone() });
                tasks.spawn(async move { (place, part, scanner.read(scan).await) });
            }
        }
        // Dropping the set, be it with this future, ends the tasks.
        while let Some(done) = tasks.join_next().await {
            let (place, part, batches) = done.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"))?;
            if let Some(parts) = places.get_mut(place) {
                parts.push((part, batches?));
            }
        }
        let in_order = |mut parts: Vec<(usize, Vec<RecordBatch>)>| {
            parts.sort_by_key(|(part, _)| *part);
            parts.into_iter().flat_map(|(_, batches)| batches).collect()
        };
        Ok(places.into_iter().map(in_order).collect())
    }

    /// The rows of a scan, newest first.
    pub(super) async fn read(&self, scan: Scan) -> Result<Vec<RecordBatch>> {
        let segment = Arc::clone(&scan.segment);
        let mut stream = self.stream(scan)?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch.map_err(|error| failed(&segment, error))?);
            // A search whose pages are all in memory would otherwise never let go of its thread.
            tokio::task::coop::consume_budget().await;
        }
        Ok(batches)
    }

    fn stream(&self, scan: Scan) -> Result<SendableRecordBatchStream> {
        let factory = HeldSegment {
            segment: Arc::clone(&scan.segment),
            cache: Arc::clone(&self.pages),
            counters: Arc::clone(&self.counters),
        };
        // The access plan has chosen the pages: nothing is left to be pruned.
        let mut source = source(Arc::new(factory), Pruning::Off);
        if let Some(predicate) = scan.predicate {
            source = source.with_predicate(predicate);
        }
        let columns = scan.columns.iter().map(|field| *field as usize).collect();
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(vec![scan.rows.file(&scan.segment)]))
            .with_projection_indices(Some(columns))
            .map_err(internal)?
            .with_limit(scan.limit)
            .with_preserve_order(true)
            .with_batch_size(Some(BATCH_ROWS))
            .build();
        DataSourceExec::from_data_source(config).execute(0, Arc::clone(&CONTEXT)).map_err(internal)
    }
}

/// What reads segments that `factory` opens: predicates are evaluated while decoding, with `pruning` row groups are
/// passed over by their statistics.
pub(super) fn source(factory: Arc<dyn ParquetFileReaderFactory>, pruning: Pruning) -> ParquetSource {
    let mut options = TableParquetOptions::default();
    options.global.pushdown_filters = true;
    options.global.pruning = pruning == Pruning::On;
    // A segment has no bloom filters, and is held without the column index: both would be read anew for every scan.
    options.global.enable_page_index = false;
    options.global.bloom_filter_on_read = false;
    ParquetSource::new(schema()).with_table_parquet_options(options).with_parquet_file_reader_factory(factory)
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
