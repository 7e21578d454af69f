//! Flows to a segment.

use std::{
    collections::HashSet,
    io::Write,
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

use arrow::array::{AsArray, RecordBatch};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves},
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{
    bounds::BoundsTable,
    index::{self, Built, Directory, Index},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Bounds as _,
    flow::{Field, FlowId, Kind, Timestamp, ValueRef},
};

/// The key of the file metadata that says where the index lies: `OFFSET:LENGTH`, in bytes.
pub(super) const INDEX_KEY: &str = "flowseek.index";
/// The key of the file metadata that names the version of the format.
pub(super) const FORMAT_KEY: &str = "flowseek.format";
/// The version of the format that is written.
pub(super) const FORMAT: &str = "1";

/// Above so many different names in a segment a column of names is written plain: its dictionary would have to be read
/// whole for one row.
const LARGEST_DICTIONARY: usize = 4096;

/// Rows of a page, where they divide a block: for one flow of a block, so much is decoded of the columns that are not
/// filtered by.
const PAGE_ROWS: usize = 1024;

/// How a segment is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Rows of a block: what is read at the least.
    pub block_rows: usize,
    /// Blocks of a Parquet row group.
    pub row_group_blocks: usize,
}

impl Default for SegmentOptions {
    /// Blocks of 8,192 rows, row groups of 32 blocks.
    fn default() -> Self {
        Self { block_rows: 8192, row_group_blocks: 32 }
    }
}

/// What a manifest tells of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its rows, at least one.
    pub rows: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// The least and the greatest start time.
    pub start_time: (Timestamp, Timestamp),
    /// The least and the greatest flow ID.
    pub flow_id: (FlowId, FlowId),
}

/// Writes flows, sorted as [`FlowBuilder::finish`](crate::schema::FlowBuilder::finish) sorts them, to `sink`.
///
/// # Errors
/// [`ErrorKind::Io`] where the sink fails, [`ErrorKind::InvalidInput`] where there is no flow.
pub fn write_segment(flows: &RecordBatch, sink: impl Write + Send, options: SegmentOptions) -> Result<SegmentSummary> {
    if flows.num_rows() == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "a segment has at least one flow"));
    }
    let block_rows = options.block_rows.max(1);
    let bounds = BoundsTable::build(flows, block_rows)?;
    let group_rows = block_rows.saturating_mul(options.row_group_blocks.max(1));
    let writer = ArrowWriter::try_new(sink, flows.schema(), Some(properties(flows, block_rows, group_rows)?));
    let (mut file, row_groups) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
    for (group, start) in (0..flows.num_rows()).step_by(group_rows).enumerate() {
        let rows = flows.slice(start, group_rows.min(flows.num_rows() - start));
        let columns = row_groups.create_column_writers(group).map_err(failed)?;
        let mut row_group = file.next_row_group().map_err(failed)?;
        for chunk in encode_columns(&rows, columns)? {
            chunk.append_to_row_group(&mut row_group).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
    }
    let (directory, lists) = Directory::place(lists(flows, block_rows)?, file.bytes_written() as u64);
    file.write_all(&lists).map_err(Error::with(ErrorKind::Io, "a segment could not be written"))?;
    let index = Index { bounds, directory };
    let bytes = index::encode(&index)?;
    let offset = file.bytes_written();
    file.write_all(&bytes).map_err(Error::with(ErrorKind::Io, "a segment could not be written"))?;
    file.append_key_value_metadata(KeyValue::new(INDEX_KEY.to_owned(), format!("{offset}:{}", bytes.len())));
    file.append_key_value_metadata(KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned()));
    file.finish().map_err(failed)?;
    summary(&index.bounds, file.bytes_written() as u64)
}

/// Encodes the columns of a row group.
fn encode_columns(rows: &RecordBatch, writers: Vec<ArrowColumnWriter>) -> Result<Vec<ArrowColumnChunk>> {
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields()).zip(writers);
    on_all_cores(columns.collect(), |((column, field), mut writer)| {
        let leaves = compute_leaves(field, column).map_err(failed)?;
        leaves.iter().try_for_each(|leaf| writer.write(leaf)).map_err(failed)?;
        writer.close().map_err(failed)
    })
}

/// Lists the values of the columns whose values are listed.
fn lists(flows: &RecordBatch, block_rows: usize) -> Result<Vec<Built>> {
    on_all_cores(index::LISTED.to_vec(), |field| index::build(flows, field, block_rows))
}

/// The results of jobs, in their order; the last job is begun first.
fn on_all_cores<J: Send, T: Send>(jobs: Vec<J>, work: impl Fn(J) -> Result<T> + Sync) -> Result<Vec<T>> {
    let jobs = Mutex::new(jobs.into_iter().enumerate().collect::<Vec<_>>());
    let done = Mutex::new(Vec::new());
    let run = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((place, job)) = job else { break };
            let result = work(job);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        (0..others).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

fn properties(flows: &RecordBatch, block_rows: usize, group_rows: usize) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(3).map_err(failed)?;
    let page_rows = if block_rows.is_multiple_of(PAGE_ROWS) { PAGE_ROWS } else { block_rows };
    let newest_first = |field: Field| SortingColumn { column_idx: field as i32, descending: true, nulls_first: false };
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("flowseek {}", env!("CARGO_PKG_VERSION")))
        // Of pages, the index of the segment knows more than Parquet's does.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![newest_first(Field::StartTime), newest_first(Field::FlowId)]))
        .set_max_row_group_row_count(Some(group_rows))
        // Pages end where blocks end: the row limit must be reached first, in every column.
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .set_data_page_size_limit(usize::MAX)
        .set_dictionary_page_size_limit(usize::MAX);
    for field in Field::ALL {
        let column = ColumnPath::from(field.name());
        // A Zstandard context takes longer to make than a page to decode, so only what it shrinks much is worth one:
        // addresses and destination ports. Differences are packed to the bit, and no compression finds anything in them.
        let (dictionary, encoding, compression) = match field {
            Field::SrcIp | Field::DstIp | Field::DstPort => (false, Encoding::PLAIN, Compression::ZSTD(level)),
            Field::Protocol | Field::TcpFlags => (true, Encoding::PLAIN, Compression::SNAPPY),
            _ if field.kind() == Kind::Text => (has_few_names(flows, field), Encoding::PLAIN, Compression::SNAPPY),
            _ => (false, Encoding::DELTA_BINARY_PACKED, Compression::UNCOMPRESSED),
        };
        properties = properties
            .set_column_dictionary_enabled(column.clone(), dictionary)
            .set_column_encoding(column.clone(), encoding)
            .set_column_compression(column, compression);
    }
    Ok(properties.build())
}

fn has_few_names(flows: &RecordBatch, field: Field) -> bool {
    let column = flows.column_by_name(field.name()).and_then(|column| column.as_string_opt::<i32>());
    let mut names = HashSet::new();
    column.is_some_and(|column| {
        column.iter().flatten().all(|name| {
            names.insert(name);
            names.len() <= LARGEST_DICTIONARY
        })
    })
}

fn summary(bounds: &BoundsTable, bytes: u64) -> Result<SegmentSummary> {
    let segment = bounds.folded();
    let extent = |field: Field| match segment.block(0).field(field).and_then(|span| span.values) {
        Some((ValueRef::Number(least), ValueRef::Number(greatest))) => {
            Ok((u64::try_from(least).unwrap_or(0), u64::try_from(greatest).unwrap_or(u64::MAX)))
        }
        _ => Err(Error::internal("a segment has flows without a start time or an ID")),
    };
    let time = |ordinal| {
        let millis = Timestamp::ordinal_millis(ordinal);
        Timestamp::from_millis(millis).ok_or_else(|| Error::internal("a start time is out of range"))
    };
    let (oldest, newest) = extent(Field::StartTime)?;
    let (first, last) = extent(Field::FlowId)?;
    Ok(SegmentSummary {
        rows: segment.block(0).rows() as u64,
        bytes,
        start_time: (time(oldest)?, time(newest)?),
        flow_id: (FlowId::new(first), FlowId::new(last)),
    })
}

fn failed(error: ParquetError) -> Error {
    Error::with(ErrorKind::Io, "a segment could not be written")(error)
}

/// The rows of a block.
pub(super) fn block_range(block: usize, block_rows: usize, rows: usize) -> Range<usize> {
    let start = block.saturating_mul(block_rows).min(rows);
    start..start.saturating_add(block_rows).min(rows)
}
