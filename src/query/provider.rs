//! An archive as a table of DataFusion: all that it can ask, in SQL or with data frames, over the flows of a snapshot.

use std::{ops::Range, sync::Arc};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, DataFusionError, Result as DataFusionResult, ScalarValue, Statistics, stats::Precision},
    config::TableParquetOptions,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource},
        source::DataSourceExec,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::conjunction,
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::{ExecutionPlan, empty::EmptyExec, metrics::ExecutionPlanMetricsSet},
};
use futures::future::{BoxFuture, FutureExt};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::ParquetMetaData,
};

use super::{
    recognise::recognise,
    segment_statistics::SegmentStatistics,
    version::{Newest, Version},
};
use crate::{
    archive::{Archive, SegmentEntry, Snapshot},
    filter::{Filter, Verdict},
    flow::Field,
    schema::schema,
    segment::{RawReader, ReadCounters},
};

/// The flows of an archive as a table: a row a flow, in no order, with the columns of
/// [`schema`](crate::schema::schema()). Of a [`new`](Self::new) table every query answers from the same snapshot, and of
/// one that is [`live`](Self::live) from the newest version.
///
/// Segments in which no row can match by the bounds of any column are not opened, nor are such row groups read. Every
/// byte that is read is checked; one that is not what was written ends the query with an error. Data frames need no
/// feature; `SessionContext::sql` is there with the feature `sql`. Any session can have the table. What depends on the
/// session and not on the table, as sums that never wrap, [`session`](super::session()) sees to.
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
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let snapshot = self.version.of(session).map_err(|error| DataFusionError::External(error.into()))?;
        let segments = segments(&snapshot, session, filters)?;
        if segments.is_empty() {
            let columns = projection.map_or_else(|| Ok(schema()), |columns| schema().project(columns).map(Arc::new))?;
            return Ok(Arc::new(EmptyExec::new(columns)));
        }
        // Under a filter, the first rows need not be those that pass it.
        let limit = limit.filter(|_| filters.is_empty());
        let statistics = Statistics::try_merge_iter(segments.iter().map(|(_, known)| known.as_ref()), &schema())?;
        let statistics = if limit.is_some() { statistics.to_inexact() } else { statistics };
        let files = segments.into_iter().map(|(entry, known)| {
            PartitionedFile::new(&entry.path, entry.bytes).with_statistics(known).with_extension(entry.clone())
        });
        let groups = FileGroup::new(files.collect()).split_files(session.config().target_partitions().max(1));
        let factory = Segments { snapshot, counters: Arc::default() };
        // The filters stay above the scan in the logical plan, and the optimizer moves them into the source: as its
        // predicate from the beginning they would be evaluated twice. No order is declared although segments have one:
        // over several groups of ordered files, DataFusion's limits have lost rows.
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source(Arc::new(factory))))
                .with_file_groups(groups)
                .with_statistics(statistics)
                .with_projection_indices(projection.cloned())?
                .with_limit(limit)
                .build();
        Ok(DataSourceExec::from_data_source(config))
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
        std::future::ready(self.plan(session, projection, filters, limit)).boxed()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The segments that may hold a row for which all filters are true, and what is known of them.
///
/// Of filters that are recognised the zone maps of the manifest tell it, and of others DataFusion does.
fn segments<'s>(
    snapshot: &'s Snapshot,
    session: &dyn Session,
    filters: &[Expr],
) -> DataFusionResult<Vec<(&'s SegmentEntry, Arc<Statistics>)>> {
    let entries = &snapshot.manifest().segments;
    let mut segments: Vec<_> = entries.iter().map(|entry| (entry, Arc::new(statistics(entry)))).collect();
    let columns = DFSchema::try_from(schema())?;
    let (mut filter, mut others) = (Filter::all(), Vec::new());
    for expr in filters {
        match recognise(expr) {
            Some(part) => filter = filter.and(part),
            // A filter with a subquery is no expression by itself; without it, more segments are left.
            None => others.extend(session.create_physical_expr(expr.clone(), &columns).ok()),
        }
    }
    let pruning = PruningPredicateBuilder::new().with_file_schema(schema()).build(conjunction(others));
    if let Some(pruning) = pruning {
        let mut kept = pruning.prune(&SegmentStatistics(entries))?.into_iter();
        segments.retain(|_| kept.next().unwrap_or(true));
    }
    segments.retain(|(entry, _)| filter.verdict(*entry) != Verdict::Never);
    Ok(segments)
}

/// What reads segments that `factory` opens: predicates are evaluated while decoding, row groups are passed over by their
/// statistics.
fn source(factory: Arc<dyn ParquetFileReaderFactory>) -> ParquetSource {
    let mut options = TableParquetOptions::default();
    options.global.pushdown_filters = true;
    // A segment has no bloom filters, and is held without the column index: both would be read anew for every scan.
    options.global.enable_page_index = false;
    options.global.bloom_filter_on_read = false;
    ParquetSource::new(schema()).with_table_parquet_options(options).with_parquet_file_reader_factory(factory)
}

/// What the manifest knows of a segment.
fn statistics(entry: &SegmentEntry) -> Statistics {
    let mut columns = Statistics::unknown_column(&schema());
    let mut known = |field: Field, least, greatest| {
        if let Some(column) = columns.get_mut(field as usize) {
            column.null_count = Precision::Exact(0);
            column.min_value = Precision::Exact(least);
            column.max_value = Precision::Exact(greatest);
        }
    };
    let time = |millis| ScalarValue::TimestampMillisecond(Some(millis), Some(Arc::from("UTC")));
    let id = |id| ScalarValue::UInt64(Some(id));
    known(Field::StartTime, time(entry.start_time.0), time(entry.start_time.1));
    known(Field::FlowId, id(entry.flow_id.0), id(entry.flow_id.1));
    let num_rows = usize::try_from(entry.rows).map_or(Precision::Absent, Precision::Exact);
    Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: columns }
}

/// Hands a scan the segments of a snapshot.
#[derive(Debug)]
struct Segments {
    snapshot: Snapshot,
    counters: Arc<ReadCounters>,
}

impl ParquetFileReaderFactory for Segments {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        let entry = file.extension::<SegmentEntry>().cloned();
        let entry = entry.ok_or_else(|| DataFusionError::Internal("a file of a scan is no segment".to_owned()))?;
        let counters = Arc::clone(&self.counters);
        Ok(Box::new(SegmentOnDemand { snapshot: self.snapshot.clone(), entry, counters, opened: None }))
    }
}

/// A segment that is opened when something of it is read: a scan asks nothing of those that it passes over.
struct SegmentOnDemand {
    snapshot: Snapshot,
    entry: SegmentEntry,
    counters: Arc<ReadCounters>,
    opened: Option<RawReader>,
}

impl SegmentOnDemand {
    async fn reader(&mut self) -> ParquetResult<&mut RawReader> {
        let reader = match self.opened.take() {
            Some(reader) => reader,
            None => {
                let opened = self.snapshot.reader(&self.entry).await;
                let segment = opened.map_err(|error| ParquetError::External(error.into()))?;
                let is_footer_checked = self.entry.footer.is_some();
                let workers = Arc::clone(&self.snapshot.archive().settings().workers);
                RawReader { segment, is_footer_checked, workers, counters: Arc::clone(&self.counters) }
            }
        };
        Ok(self.opened.insert(reader))
    }
}

impl AsyncFileReader for SegmentOnDemand {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { self.reader().await?.get_bytes(range).await }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.reader().await?.get_byte_ranges(ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move { self.reader().await?.get_metadata(options).await }.boxed()
    }
}
