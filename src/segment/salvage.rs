//! A segment whose footer or index is damaged, opened for the pages that are not.
//!
//! Nothing is believed that no checksum bears out. A footer that cannot be read is made anew: the index says what the
//! bytes of every page must be, and the pages lie one after the other, each with its length before it. The manifest cannot
//! take its place: it has a checksum of the footer, and not where pages lie, so a damaged footer would cost all flows of
//! the segment. Of a damaged index the table of the pages is used, and of that what the bytes of the pages bear out.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::Compression,
    errors::Result as ParquetResult,
    file::{
        metadata::{
            ColumnChunkMetaData, FileMetaData, OffsetIndexBuilder, ParquetMetaData, ParquetMetaDataBuilder,
            RowGroupMetaData,
        },
        page_index::offset_index::OffsetIndexMetaData,
    },
    schema::types::ColumnDescPtr,
};

use super::{
    SegmentReader,
    check::PARQUET_MAGIC,
    decode::columns_of,
    decompress::Decompressor,
    index::{self, Index, MAGIC, PageTable, checksum},
    page_header::page_header,
    shape::block_range,
    writer::compression,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    resources::{SharedFile, io_error, undamaged},
};

impl SegmentReader {
    /// Opens a damaged segment. Its bounds and lists may be missing, and any page may be damaged:
    /// [`check`](Self::check) tells which. `is_footer_sound` is whether its footer is known to be what was written.
    /// This blocks on the file system, and holds all its bytes in memory for a while.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where too much of it is lost, [`ErrorKind::Unsupported`] where a newer version wrote it,
    /// and [`ErrorKind::Io`].
    pub(crate) fn salvage(file: &Arc<SharedFile>, is_footer_sound: bool) -> Result<Self> {
        match Self::read(Arc::clone(file)) {
            Ok(reader) if is_footer_sound => return Ok(reader),
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Busy) => return Err(error),
            Err(error) if error.kind() == ErrorKind::Unsupported && is_footer_sound => return Err(error),
            _ => {}
        }
        match undamaged(without_footer(file))? {
            Some(reader) => Ok(reader),
            None => with_damaged_index(file),
        }
    }
}

/// Opens a segment by its footer, with what there is of its index: all of it, if the damage is in what it says of the
/// bytes of pages or of its own parts, and else the pages alone.
fn with_damaged_index(file: &Arc<SharedFile>) -> Result<SegmentReader> {
    let by_footer = |decode: &dyn Fn(&[u8], usize) -> Result<Index>| SegmentReader::read_with(Arc::clone(file), decode);
    if let Some(reader) = undamaged(by_footer(&|bytes, _| index::decode_corrected(bytes)))? {
        return Ok(reader);
    }
    let reader = by_footer(&index::decode_pages)?;
    let actual = reader.actual_pages()?;
    Ok(undamaged(by_footer(&|bytes, _| index::decode_with(bytes, &actual)))?.unwrap_or(reader))
}

/// Opens a segment by its index alone.
fn without_footer(file: &Arc<SharedFile>) -> Result<SegmentReader> {
    let mut bytes = vec![0; usize::try_from(file.size()).map_err(|_| Error::damaged("it is too large"))?];
    file.read_exact_at(&mut bytes, 0).map_err(io_error("it cannot be read"))?;
    let (index, place) = find_index(&bytes)?;
    let parts = index.directory.lists().iter().flat_map(index::Listed::parts).map(|part| part.place.start);
    let first = parts.chain(index.bloom.map(|place| place.offset)).min();
    let end = first.and_then(|start| usize::try_from(start).ok()).unwrap_or(place.start).min(place.start);
    let pages = find_pages(&bytes, end)?;
    let rows = index.bounds.folded().block(0).rows();
    let candidates = group_pages(&index);
    let metadata = candidates.filter_map(|group_pages| {
        let groups = group_into(&pages, &index.pages, group_pages)?;
        let matching = matching(&bytes, &groups, &index.pages);
        Some((matching, build(&bytes, &groups, rows, group_pages, index.pages.rows)))
    });
    let (_, metadata) = metadata.max_by_key(|(matching, _)| *matching).ok_or_else(lost)?;
    let metadata = metadata.map_err(Error::with(ErrorKind::Damaged, "its footer cannot be made anew"))?;
    drop(bytes);
    SegmentReader::with(Arc::clone(file), metadata, index, place.start as u64..place.end as u64)
}

/// The index, wherever it lies. Its checksum proves it.
fn find_index(bytes: &[u8]) -> Result<(Index, Range<usize>)> {
    let starts = (0..bytes.len()).rev().filter(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(MAGIC)));
    let mut found = starts.filter_map(|at| {
        let bytes = index::prefix(bytes.get(at..)?).ok()?;
        Some((index::decode(bytes).ok()?, at..at + bytes.len()))
    });
    found.next().ok_or_else(lost)
}

/// All pages and dictionaries up to `end`, one after the other.
fn find_pages(bytes: &[u8], end: usize) -> Result<Vec<Range<usize>>> {
    let mut pages = Vec::new();
    let mut at = PARQUET_MAGIC.len();
    while at < end {
        let page = bytes.get(at..end).and_then(page_header).ok_or_else(lost)?;
        let length = page.length().filter(|length| *length <= end - at).ok_or_else(lost)?;
        pages.push(at..at + length);
        at += length;
    }
    Ok(pages)
}

/// How many pages a row group can have, as there are so many of both.
fn group_pages(index: &Index) -> impl Iterator<Item = usize> {
    let (pages, groups) = (index.pages.times.len(), index.pages.dictionaries.first().map_or(0, Vec::len));
    let counts = 1..=pages;
    counts.filter(move |count| pages.div_ceil(*count) == groups)
}

/// The parts of a column in a row group: its dictionary, where it has one, and its pages.
type Parts = (Option<Range<usize>>, Vec<Range<usize>>);

/// The pages by row group and column.
fn group_into(pages: &[Range<usize>], table: &PageTable, group_pages: usize) -> Option<Vec<Vec<Parts>>> {
    let mut rest = pages.iter().cloned();
    let count = table.times.len();
    let groups = count.div_ceil(group_pages);
    let parts = |column: &Vec<u32>, group: usize, rest: &mut dyn Iterator<Item = Range<usize>>| -> Option<Parts> {
        let dictionary = if *column.get(group)? != 0 { Some(rest.next()?) } else { None };
        let expected = block_range(group, group_pages, count).len();
        let pages: Vec<_> = rest.take(expected).collect();
        (pages.len() == expected).then_some((dictionary, pages))
    };
    let columns = |group: usize, rest: &mut dyn Iterator<Item = Range<usize>>| {
        table.dictionaries.iter().map(|column| parts(column, group, rest)).collect::<Option<Vec<_>>>()
    };
    let groups = (0..groups).map(|group| columns(group, &mut rest)).collect::<Option<Vec<_>>>()?;
    rest.next().is_none().then_some(groups)
}

/// How many of the pages are what the index says.
fn matching(bytes: &[u8], groups: &[Vec<Parts>], table: &PageTable) -> usize {
    let mut count = 0;
    for (column, sums) in table.checksums.iter().enumerate() {
        let pages = groups.iter().filter_map(|group| group.get(column)).flat_map(|(_, pages)| pages);
        let is_sound = |(page, sum): &(&Range<usize>, &u32)| {
            bytes.get(page.start..page.end).is_some_and(|bytes| checksum(bytes) == **sum)
        };
        count += pages.zip(sums).filter(is_sound).count();
    }
    count
}

/// A footer that says where the pages lie.
fn build(
    bytes: &[u8],
    groups: &[Vec<Parts>],
    rows: usize,
    group_pages: usize,
    page_rows: usize,
) -> ParquetResult<ParquetMetaData> {
    let fields = Field::ALL.get(..groups.first().map_or(0, Vec::len)).unwrap_or_default();
    let columns = Arc::new(columns_of(fields)?);
    let mut row_groups = Vec::with_capacity(groups.len());
    let mut offsets = Vec::with_capacity(groups.len());
    for (group, parts) in groups.iter().enumerate() {
        let rows = block_range(group, group_pages.saturating_mul(page_rows), rows);
        let chunks = fields.iter().zip(parts);
        let chunks = chunks.map(|(field, parts)| chunk(bytes, columns.column(*field as usize), parts, rows.len()));
        let chunks = chunks.collect::<ParquetResult<Vec<_>>>()?;
        let bytes = chunks.iter().map(ColumnChunkMetaData::compressed_size).sum();
        let builder = RowGroupMetaData::builder(Arc::clone(&columns)).set_num_rows(rows.len() as i64);
        row_groups.push(builder.set_total_byte_size(bytes).set_column_metadata(chunks).build()?);
        let of_page = |page| block_range(page, page_rows, rows.len()).len();
        offsets.push(parts.iter().map(|(_, pages)| offset_index(pages, &of_page)).collect::<Vec<_>>());
    }
    let file = FileMetaData::new(2, rows as i64, None, None, columns, None);
    Ok(ParquetMetaDataBuilder::new(file).set_row_groups(row_groups).set_offset_index(Some(offsets)).build())
}

fn chunk(
    bytes: &[u8],
    column: ColumnDescPtr,
    (dictionary, pages): &Parts,
    rows: usize,
) -> ParquetResult<ColumnChunkMetaData> {
    let length: usize = dictionary.iter().chain(pages).map(ExactSizeIterator::len).sum();
    let chunk = |compression: Compression| {
        ColumnChunkMetaData::builder(Arc::clone(&column))
            .set_compression(compression)
            .set_num_values(rows as i64)
            .set_total_compressed_size(length as i64)
            .set_dictionary_page_offset(dictionary.as_ref().map(|page| page.start as i64))
            .set_data_page_offset(pages.first().map_or(0, |page| page.start as i64))
            .build()
    };
    // The header of a page says how it is encoded, and that tells how the column is compressed.
    let as_it_is = chunk(Compression::UNCOMPRESSED)?;
    let encoding = |page: &Range<usize>| {
        let page = Bytes::copy_from_slice(bytes.get(page.clone())?);
        Decompressor::default().decompress(page, &as_it_is).ok().map(|page| page.encoding())
    };
    match pages.iter().find_map(encoding) {
        Some(encoding) => chunk(compression(encoding)?),
        None => Ok(as_it_is),
    }
}

fn offset_index(pages: &[Range<usize>], rows: &dyn Fn(usize) -> usize) -> OffsetIndexMetaData {
    let mut builder = OffsetIndexBuilder::new();
    for (number, page) in pages.iter().enumerate() {
        builder.append_row_count(rows(number) as i64);
        builder.append_offset_and_size(page.start as i64, i32::try_from(page.len()).unwrap_or(i32::MAX));
    }
    builder.build()
}

fn lost() -> Error {
    Error::damaged("both its footer and its index are damaged")
}
