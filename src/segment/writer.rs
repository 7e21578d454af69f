//! Flows to a segment.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves},
    },
    basic::{Compression, Encoding, ZstdLevel},
    column::writer::ColumnCloseResult,
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};
use twox_hash::XxHash64;

use super::{
    bounds::BoundsTable,
    cores::on_all_cores,
    index::{self, Blocks, BloomPlace, Built, Directory, Index, PageTable, bloom},
    names::{AllRanks, Ranks, named},
    revision::{fields_for, projected},
    shape::block_range,
    zone_map::ZoneMap,
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Bounds as _,
    flow::{Field, FlowId, Timestamp, ValueRef, columns::Encoding as ColumnEncoding},
    schema::Values,
    setters::setters,
};

/// The key of the file metadata that says where the index lies: `OFFSET:LENGTH`, in bytes.
pub(super) const INDEX_KEY: &str = "flowseek.index";
/// The key of the file metadata that names the version of the format.
pub(super) const FORMAT_KEY: &str = "flowseek.format";
/// The version of the format that is written.
pub(super) const FORMAT: &str = "1";

/// Above so many different names in a segment a column of names is written plain: its dictionary would have to be read
/// whole for one row.
pub(super) const LARGEST_DICTIONARY: usize = 4096;

/// The lists of rows may always take so many bytes, however small a segment is.
const LEAST_ROWS_BYTES: usize = 16_384;

/// How a segment is cut.
///
/// ```
/// use flowseek::{Settings, archive::SegmentOptions};
///
/// let options = SegmentOptions::default().block_rows(1024);
/// let settings = Settings::default().segment(options);
/// assert_eq!((settings.segment.block_rows, settings.segment.row_group_blocks), (1024, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentOptions {
    /// Rows of a block: what is read at the least.
    pub block_rows: usize,
    /// Blocks of a Parquet row group.
    pub row_group_blocks: usize,
}

setters! {
    SegmentOptions { block_rows: usize, row_group_blocks: usize }
    optional {}
}

impl Default for SegmentOptions {
    /// Blocks of 8,192 rows, row groups of 8 blocks.
    fn default() -> Self {
        Self { block_rows: 8192, row_group_blocks: 8 }
    }
}

/// What a manifest tells of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSummary {
    /// Its rows, at least one.
    pub(crate) rows: u64,
    /// Bytes of its file.
    pub(crate) bytes: u64,
    /// The least and the greatest start time.
    pub(crate) start_time: (Timestamp, Timestamp),
    /// The least and the greatest flow ID.
    pub(crate) flow_id: (FlowId, FlowId),
    /// The bounds of all fields.
    pub(crate) zones: ZoneMap,
    /// Where its Bloom filter lies, where it has one.
    pub(crate) bloom: Option<BloomPlace>,
    /// The XXH64 with seed 0 of its last bytes, from the end of the index on: the Parquet footer.
    pub(crate) footer: u64,
}

/// Writes flows, sorted as [`FlowBuilder::finish`](crate::schema::FlowBuilder::finish) sorts them, to `sink`.
///
/// # Errors
/// [`ErrorKind::Io`] where the sink fails, [`ErrorKind::InvalidInput`] where there is no flow.
pub(crate) fn write_segment(
    flows: &RecordBatch,
    sink: impl Write + Send,
    options: SegmentOptions,
) -> Result<SegmentSummary> {
    if flows.num_rows() == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "a segment has at least one flow"));
    }
    let fields = fields_for(flows);
    let flows = &projected(flows, fields)?;
    let block_rows = options.block_rows.max(1);
    let names = on_all_cores(named(fields), |field| Ok((field, Ranks::of(flows, field)?)))?.into_iter().collect();
    let bounds = BoundsTable::build(flows, fields, block_rows, &names)?;
    let group_rows = block_rows.saturating_mul(options.row_group_blocks.max(1));
    let page_rows = page_rows(block_rows);
    let sink = Recorder { sink, recorded: Vec::new() };
    let writer = ArrowWriter::try_new(sink, flows.schema(), Some(properties(fields, &names, page_rows, group_rows)?));
    let (mut file, row_groups) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
    file.flush().map_err(unwritten)?;
    let mut pages = page_table(flows, fields, page_rows)?;
    for (group, start) in (0..flows.num_rows()).step_by(group_rows).enumerate() {
        let rows = flows.slice(start, group_rows.min(flows.num_rows() - start));
        let columns = row_groups.create_column_writers(group).map_err(failed)?;
        let mut row_group = file.next_row_group().map_err(failed)?;
        let mut lengths = Vec::with_capacity(fields.len());
        for chunk in encode_columns(&rows, columns)? {
            lengths.push(page_lengths(chunk.close()).ok_or_else(|| Error::internal("a column tells no pages"))?);
            chunk.append_to_row_group(&mut row_group).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
        file.flush().map_err(unwritten)?;
        file.inner_mut().take_checksums(&lengths, &mut pages);
    }
    let blocks = Blocks { rows: flows.num_rows(), block_rows, page_rows };
    let lists = lists(flows, fields, &names, blocks)?;
    let columns = file.bytes_written();
    let (directory, chunks) = Directory::place(&lists, columns as u64)?;
    file.write_all(&chunks).map_err(unwritten)?;
    let bloom = bloom::build(&lists, columns)?;
    let place = BloomPlace::of(&bloom, file.bytes_written() as u64);
    file.write_all(&bloom).map_err(unwritten)?;
    let mut index = Index { bounds, directory, pages, bloom: (!bloom.is_empty()).then_some(place) };
    let without_rows = chunks.len() + bloom.len() + index::encode(&index)?.len();
    let values = index::choose(&lists, rows_bytes(columns, without_rows), blocks.len());
    let rows = index.directory.place_rows(&lists, &values, file.bytes_written() as u64)?;
    file.write_all(&rows).map_err(unwritten)?;
    let bytes = index::encode(&index)?;
    let offset = file.bytes_written();
    file.write_all(&bytes).map_err(unwritten)?;
    file.append_key_value_metadata(KeyValue::new(INDEX_KEY.to_owned(), format!("{offset}:{}", bytes.len())));
    file.append_key_value_metadata(KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned()));
    file.finish().map_err(failed)?;
    let length = file.bytes_written() - offset - bytes.len();
    let recorded = &file.inner().recorded;
    let footer = recorded.get(recorded.len().saturating_sub(length)..).unwrap_or_default();
    summary(&index, file.bytes_written() as u64, XxHash64::oneshot(0, footer))
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
fn lists(flows: &RecordBatch, fields: &[Field], names: &AllRanks<'_>, blocks: Blocks) -> Result<Vec<Built>> {
    let lists = index::lists().iter().filter(|list| list.iter().all(|field| fields.contains(field)));
    on_all_cores(lists.collect(), |list| index::build(flows, names, list, blocks))
}

/// How many bytes the rows of lists may take, beside columns and an index of so many bytes: so many that the index is with
/// them 14.7 % of the file. The tables by which they are found take some more.
fn rows_bytes(columns: usize, index: usize) -> usize {
    let share = ((columns + index) * 147 / 1000).saturating_sub(index) * 1000 / 853;
    share.max(LEAST_ROWS_BYTES)
}

/// The table of the pages of `flows`, without their checksums.
pub(super) fn page_table(flows: &RecordBatch, fields: &[Field], page_rows: usize) -> Result<PageTable> {
    let times = Values::of(flows, Field::StartTime)?;
    let time = |row: usize| match times.get(row) {
        Some(ValueRef::Number(time)) => u64::try_from(time).unwrap_or(0),
        _ => 0,
    };
    let rows = flows.num_rows();
    let pages = (0..rows.div_ceil(page_rows)).map(|page| block_range(page, page_rows, rows));
    Ok(PageTable {
        rows: page_rows,
        // They are sorted, newest first.
        times: pages.map(|rows| (time(rows.end.saturating_sub(1)), time(rows.start))).collect(),
        checksums: vec![Vec::new(); fields.len()],
        dictionaries: vec![Vec::new(); fields.len()],
    })
}

/// The length of the dictionary of a column, zero where it has none, and of each page.
fn page_lengths(closed: &ColumnCloseResult) -> Option<(usize, Vec<usize>)> {
    let pages = closed.offset_index.as_ref()?.page_locations();
    let lengths =
        pages.iter().map(|page| usize::try_from(page.compressed_page_size).ok()).collect::<Option<Vec<_>>>()?;
    // Where the pages lie is decided when they are appended to the file; there the dictionary comes first.
    let all = usize::try_from(closed.metadata.compressed_size()).ok()?;
    Some((all.checked_sub(lengths.iter().sum())?, lengths))
}

/// Keeps what was written to a sink, until its checksums are taken.
struct Recorder<W> {
    sink: W,
    recorded: Vec<u8>,
}

impl<W: Write> Write for Recorder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.recorded.extend(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl<W> Recorder<W> {
    /// Adds the checksums of a row group, which was the last to be written: of its columns one after the other.
    fn take_checksums(&mut self, columns: &[(usize, Vec<usize>)], table: &mut PageTable) {
        let recorded = std::mem::take(&mut self.recorded);
        let total: usize = columns.iter().map(|(dictionary, pages)| dictionary + pages.iter().sum::<usize>()).sum();
        let mut rest = recorded.get(recorded.len().saturating_sub(total)..).unwrap_or_default();
        let mut next = |length: usize| {
            let (taken, left) = rest.split_at_checked(length).unwrap_or_default();
            rest = left;
            index::checksum(taken)
        };
        for (((dictionary, pages), checksums), dictionaries) in
            columns.iter().zip(&mut table.checksums).zip(&mut table.dictionaries)
        {
            dictionaries.push(if *dictionary == 0 { 0 } else { next(*dictionary) });
            checksums.extend(pages.iter().map(|length| next(*length)));
        }
    }
}

/// A page is compressed where it then has less than this part of its bytes.
const WORTHWHILE: f64 = 0.9;

/// Rows of a page: a fourth of a block, where that divides it. For one flow of a block, so much is read.
fn page_rows(block_rows: usize) -> usize {
    if block_rows.is_multiple_of(4) { block_rows / 4 } else { block_rows }
}

fn properties(fields: &[Field], names: &AllRanks<'_>, page_rows: usize, group_rows: usize) -> Result<WriterProperties> {
    let newest_first = |field: Field| SortingColumn { column_idx: field as i32, descending: true, nulls_first: false };
    let mut properties = WriterProperties::builder()
        // The first version has no dictionaries of addresses.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(format!("flowseek {}", env!("CARGO_PKG_VERSION")))
        // Of pages, the index of the segment knows more than Parquet's does.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![newest_first(Field::StartTime), newest_first(Field::FlowId)]))
        .set_max_row_group_row_count(Some(group_rows))
        // What compression saves little of is read faster without.
        .set_data_page_v2_compression_ratio_threshold(WORTHWHILE)
        // Pages end where blocks end: the row limit must be reached first, in every column.
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .set_data_page_size_limit(usize::MAX)
        .set_dictionary_page_size_limit(usize::MAX);
    let has_few_names = |field: Field| names.get(&field).is_some_and(|names| names.names().len() <= LARGEST_DICTIONARY);
    for field in fields.iter().copied() {
        let column = ColumnPath::from(field.name());
        let (dictionary, encoding) = match field.column().encoding {
            ColumnEncoding::Packed => (false, Encoding::DELTA_BINARY_PACKED),
            ColumnEncoding::Split => (false, Encoding::BYTE_STREAM_SPLIT),
            ColumnEncoding::Dictionary => (true, Encoding::PLAIN),
            ColumnEncoding::Names => (has_few_names(field), Encoding::PLAIN),
        };
        properties = properties
            .set_column_dictionary_enabled(column.clone(), dictionary)
            .set_column_encoding(column.clone(), encoding)
            .set_column_compression(column, compression(encoding).map_err(failed)?);
    }
    Ok(properties.build())
}

/// How the pages of a column with this encoding are compressed, be they of this version or of an earlier one.
pub(super) fn compression(encoding: Encoding) -> ParquetResult<Compression> {
    Ok(match encoding {
        Encoding::DELTA_BINARY_PACKED => Compression::UNCOMPRESSED,
        // Of pages this small, higher levels make more, and not less; from the seventh on a little less, in twice the
        // time.
        _ => Compression::ZSTD(ZstdLevel::try_new(1)?),
    })
}

fn summary(index: &Index, bytes: u64, footer: u64) -> Result<SegmentSummary> {
    let segment = index.bounds.folded();
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
        zones: ZoneMap::of(&segment.block(0)),
        bloom: index.bloom,
        footer,
    })
}

fn failed(error: ParquetError) -> Error {
    Error::with(ErrorKind::Io, "a segment could not be written")(error)
}

fn unwritten(error: io::Error) -> Error {
    Error::with(ErrorKind::Io, "a segment could not be written")(error)
}
