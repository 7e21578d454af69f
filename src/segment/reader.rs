//! A segment, opened: its footer and index in memory, its pages on demand.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use twox_hash::XxHash64;

use super::{
    RowRanges,
    bounds::{BlockBounds, BoundsTable},
    footer::{footer, with_offsets},
    index::{self, BloomPage, BloomPlace, Directory, Index, PageTable},
    offsets::PageOffsets,
    revision::fields_with,
    shape::{Shape, block_range},
};
use crate::{
    error::{Error, Result},
    flow::{Field, Kind},
    resources::{Counted, MemoryPool, SharedFile, io_error},
};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A segment that can be read. Its file is open only now and then, and may be moved meanwhile.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    /// Unique among all that this process has opened: what its pages are cached under.
    number: u64,
    file: Arc<SharedFile>,
    /// Without statistics, of which the index knows more.
    metadata: Arc<ParquetMetaData>,
    offsets: PageOffsets,
    /// Of the segment as a whole.
    whole: BoundsTable,
    blocks: BoundsTable,
    directory: Directory,
    pages: PageTable,
    bloom: Option<BloomPlace>,
    /// The fields that it has columns of, the first of all.
    fields: &'static [Field],
    shape: Shape,
    /// Where the index lies in the file, without the lists.
    index: Range<u64>,
    /// The memory that it takes, where that is limited.
    _counted: Option<Counted>,
}

/// Where a page lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    pub(super) column: usize,
    pub(super) group: usize,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) checksum: u32,
}

impl SegmentReader {
    /// Opens the segment in the file at `path`.
    #[cfg(test)]
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let message = format!("segment {} cannot be read", path.display());
        let file = SharedFile::alone(path).map_err(io_error(message.clone()))?;
        Self::read(Arc::new(file)).map_err(|error| Error::with(error.kind(), message)(error))
    }

    /// Opens the segment in a file, and reads where all its pages lie. This blocks on the file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read(file: Arc<SharedFile>) -> Result<Self> {
        Self::read_with(file, |bytes, _| index::decode(bytes))
    }

    /// Opens the segment in a file. Where the pages of a row group lie is read when one of them is asked for. This blocks
    /// on the file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read_lazily(file: Arc<SharedFile>) -> Result<Self> {
        let (metadata, place) = footer(&file)?;
        let index = index::decode(&read_index(&file, &place)?)?;
        Self::with(file, metadata, index, place)
    }

    /// [`read`](Self::read), with an index that `decode` makes of its bytes and the number of rows.
    pub(super) fn read_with(file: Arc<SharedFile>, decode: impl FnOnce(&[u8], usize) -> Result<Index>) -> Result<Self> {
        let (metadata, place) = footer(&file)?;
        let metadata = with_offsets(&file, metadata)?;
        let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let index = decode(&read_index(&file, &place)?, rows)?;
        Self::with(file, metadata, index, place)
    }

    /// Whether the Parquet footer can be read, and leads to an index, be that damaged or not.
    pub(crate) fn has_footer(file: &Arc<SharedFile>) -> bool {
        footer(file).and_then(|(metadata, _)| with_offsets(file, metadata)).is_ok()
    }

    /// The segment with this footer and this index, which lies at `place`.
    pub(super) fn with(
        file: Arc<SharedFile>,
        metadata: ParquetMetaData,
        index: Index,
        place: Range<u64>,
    ) -> Result<Self> {
        let Index { bounds: blocks, directory, pages, bloom } = index;
        let whole = blocks.folded();
        let shape = shape(&metadata, &blocks, &pages).ok_or_else(|| Error::damaged("its index is not of its rows"))?;
        let fields =
            fields(&metadata, &blocks, &pages).ok_or_else(|| Error::damaged("its index is not of its columns"))?;
        let offsets = PageOffsets::new(&metadata, shape)?;
        let metadata = Arc::new(metadata.into_builder().set_offset_index(None).build());
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let index = place;
        Ok(Self {
            number,
            file,
            metadata,
            offsets,
            whole,
            blocks,
            directory,
            pages,
            bloom,
            fields,
            shape,
            index,
            _counted: None,
        })
    }

    /// The same, counted for as long as anybody has it.
    pub(crate) fn counted(self, memory: &MemoryPool) -> Self {
        let counted = memory.count(self.memory() as u64);
        Self { _counted: Some(counted), ..self }
    }

    /// What its parts are cached under: no other segment that this process has opened has the number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The path of the file, when it was opened.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file.size()
    }

    /// About how many bytes of memory the footer and the index take, with all that is read of them later.
    pub(crate) fn memory(&self) -> usize {
        let index = self.blocks.memory() + self.whole.memory() + self.directory.memory() + self.pages.memory();
        self.metadata.memory_size() + self.offsets.memory() + index
    }

    /// The Parquet footer, without statistics and page indexes.
    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The bounds of the segment as a whole.
    pub(crate) fn whole(&self) -> BlockBounds<'_> {
        self.whole.block(0)
    }

    /// The bounds of its blocks.
    pub(crate) fn blocks(&self) -> &BoundsTable {
        &self.blocks
    }

    /// The checksum of its Parquet footer, as the bytes are. This blocks on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file cannot be read.
    pub(crate) fn footer_checksum(&self) -> Result<u64> {
        let length = usize::try_from(self.file_bytes().saturating_sub(self.index.end)).unwrap_or(usize::MAX);
        let bytes = self.read_exact(self.index.end, length).map_err(|error| self.named(error))?;
        Ok(XxHash64::oneshot(0, &bytes))
    }

    /// Where the index lies in the file, without the lists.
    pub(super) fn index(&self) -> &Range<u64> {
        &self.index
    }

    /// The fields that it has columns of; all others are absent in its flows.
    pub(crate) fn fields(&self) -> &'static [Field] {
        self.fields
    }

    /// About how many bytes a value of a field takes, decoded. Texts without a dictionary, such as objects, are as long as
    /// they are.
    pub(super) fn width(&self, field: Field) -> u64 {
        let chunks = || self.metadata.row_groups().iter().filter_map(|group| group.columns().get(field as usize));
        let bytes = || chunks().map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0)).sum::<u64>();
        let stored = if field.kind() == Kind::Text { bytes() / self.shape.rows as u64 } else { 0 };
        width(field).max(stored)
    }

    /// How it is cut into pages.
    pub(super) fn pages(&self) -> &PageTable {
        &self.pages
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where its Bloom filter lies, where it has one.
    pub(crate) fn bloom_place(&self) -> Option<BloomPlace> {
        self.bloom
    }

    /// The pages of its Bloom filter; none where it has none. This blocks on the file system.
    pub(super) fn bloom_pages(&self) -> Result<Vec<BloomPage>> {
        let Some(place) = &self.bloom else { return Ok(Vec::new()) };
        place.all_pages(&self.read_exact(place.offset, place.length as usize)?)
    }

    /// Bytes of the file that the parts of the index take: each list by its columns, and the rest.
    pub(crate) fn index_bytes(&self) -> Vec<(String, u64)> {
        let name = |fields: &[Field]| fields.iter().map(|field| field.name()).collect::<Vec<_>>().join("+");
        let lists = self.directory.sizes().map(|(fields, bytes)| (name(fields), bytes));
        let bloom = self.bloom.map(|place| ("Bloom filter".to_owned(), place.length.into()));
        let rest = ("bounds, directory and checksums".to_owned(), self.index.end - self.index.start);
        lists.chain(bloom).chain([rest]).collect()
    }

    /// Whether its lists tell which rows have the values that are worth it.
    pub(crate) fn lists_rows(&self) -> bool {
        self.directory.lists().iter().all(|listed| listed.rows.is_some())
    }

    /// How its rows are cut.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The rows of a block.
    pub(crate) fn block_rows(&self, block: usize) -> Range<usize> {
        block_range(block, self.shape.block_rows, self.shape.rows)
    }

    /// Rows, cut where row groups end.
    pub(crate) fn row_groups(&self, rows: &RowRanges) -> Vec<RowRanges> {
        let (first, end) = rows.as_slice().first().zip(rows.as_slice().last()).map_or((0, 0), |(first, last)| {
            (first.start / self.shape.group_rows, last.end.div_ceil(self.shape.group_rows))
        });
        let groups = (first..end).map(|group| rows.within(&block_range(group, self.shape.group_rows, self.shape.rows)));
        groups.filter(|rows| !rows.is_empty()).collect()
    }

    /// How many pages each column has.
    pub(crate) fn page_count(&self) -> usize {
        self.shape.rows.div_ceil(self.shape.page_rows)
    }

    /// How many pages each column of a row group has, but for the last.
    pub(super) fn pages_of_group(&self) -> usize {
        self.shape.group_rows.div_ceil(self.shape.page_rows)
    }

    /// The rows of a page.
    pub(super) fn page_rows(&self, page: usize) -> Range<usize> {
        block_range(page, self.shape.page_rows, self.shape.rows)
    }

    /// The start times of the flows of a page, the oldest and the newest, as bounds have them.
    pub(crate) fn page_times(&self, page: usize) -> Option<(u64, u64)> {
        self.pages.times.get(page).copied()
    }

    /// The blocks that may hold a flow that began at one of these times, both included, as bounds have them. Rows lie newest
    /// first.
    pub(crate) fn blocks_in(&self, (oldest, newest): (u64, u64)) -> Range<usize> {
        let pages = &self.pages.times;
        let first = pages.partition_point(|(begin, _)| *begin > newest);
        let end = pages.partition_point(|(_, end)| *end >= oldest);
        if first >= end {
            return 0..0;
        }
        let Shape { rows, block_rows, page_rows, .. } = self.shape;
        first * page_rows / block_rows..(end * page_rows).min(rows).div_ceil(block_rows)
    }

    /// A page of a column. This may block on the file system.
    pub(super) fn page(&self, field: Field, page: usize) -> Result<PagePlace> {
        let place = self.offsets.read((&self.file, &self.metadata), field as usize, page);
        place.and_then(|place| self.place(field, page, place)).map_err(|error| self.named(error))
    }

    /// The same without reading the file: `None` where it is not known where the page lies. What is cached was read.
    pub(super) fn known_page(&self, field: Field, page: usize) -> Result<Option<PagePlace>> {
        let place = self.offsets.known(field as usize, page);
        let place = place.and_then(|place| place.map(|place| self.place(field, page, place)).transpose());
        place.map_err(|error| self.named(error))
    }

    fn place(&self, field: Field, page: usize, (offset, length): (u64, usize)) -> Result<PagePlace> {
        let column = field as usize;
        let checksum = self.pages.checksums.get(column).and_then(|sums| sums.get(page).copied());
        let checksum = checksum.ok_or_else(|| Error::damaged("a page is not where its index says"))?;
        Ok(PagePlace { column, group: page / self.pages_of_group(), offset, length, checksum })
    }

    /// The dictionary of a column in a row group, where it has one. This may block on the file system.
    pub(super) fn dictionary(&self, field: Field, group: usize) -> Result<Option<PagePlace>> {
        let column = field as usize;
        let chunk = self.chunk(group, column)?;
        let Some(offset) = chunk.dictionary_page_offset() else { return Ok(None) };
        let first = self.page(field, group * self.pages_of_group())?.offset;
        let found = || {
            let offset = u64::try_from(offset).ok()?;
            let length = usize::try_from(first.checked_sub(offset)?).ok()?;
            let checksum = *self.pages.dictionaries.get(column)?.get(group)?;
            Some(PagePlace { column, group, offset, length, checksum })
        };
        found().map(Some).ok_or_else(|| self.named(Error::damaged("a dictionary is not where its index says")))
    }

    /// A column of a row group.
    pub(super) fn chunk(&self, group: usize, column: usize) -> Result<&ColumnChunkMetaData> {
        let chunk = self.metadata.row_groups().get(group).and_then(|group| group.columns().get(column));
        chunk.ok_or_else(|| self.named(Error::damaged("a row group is not in its footer")))
    }

    /// Bytes of the file. This blocks on the file system.
    pub(super) fn read_exact(&self, offset: u64, length: usize) -> Result<Bytes> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.file_bytes()) {
            return Err(Error::damaged("it ends before its parts do"));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(io_error("it cannot be read"))?;
        Ok(bytes.into())
    }

    /// The same error, with the name of the segment.
    pub(super) fn named(&self, error: Error) -> Error {
        let message = format!("segment {} cannot be read", self.path().display());
        Error::with(error.kind(), message)(error).of_file(self.path())
    }
}

/// About how many bytes a value takes, decoded, where nothing is known of the segment. Names are places in a dictionary; so are most addresses, but not where they
/// are gathered.
pub(super) fn width(field: Field) -> u64 {
    match field.kind() {
        Kind::Time | Kind::Number => 8,
        Kind::Address => 16,
        Kind::Text => 2,
    }
}

/// The bytes of an index.
fn read_index(file: &SharedFile, place: &Range<u64>) -> Result<Vec<u8>> {
    let length = usize::try_from(place.end - place.start).map_err(|_| Error::damaged("its index is too large"))?;
    let mut index = vec![0; length];
    file.read_exact_at(&mut index, place.start).map_err(io_error("its index cannot be read"))?;
    Ok(index)
}

/// The fields of the columns, where footer and index agree on them.
fn fields(metadata: &ParquetMetaData, blocks: &BoundsTable, pages: &PageTable) -> Option<&'static [Field]> {
    let fields = fields_with(metadata.file_metadata().schema_descr().num_columns())?;
    let is_bounded = blocks.lanes.is_empty() || blocks.lanes.len() == fields.len();
    (is_bounded && pages.checksums.len() == fields.len()).then_some(fields)
}

/// How the rows are cut, where footer and index agree on it.
fn shape(metadata: &ParquetMetaData, blocks: &BoundsTable, pages: &PageTable) -> Option<Shape> {
    let rows_of = |group: usize| usize::try_from(metadata.row_groups().get(group)?.num_rows()).ok();
    let groups = metadata.num_row_groups();
    let shape = Shape {
        rows: usize::try_from(metadata.file_metadata().num_rows()).ok()?,
        group_rows: rows_of(0)?,
        block_rows: blocks.block(0).rows(),
        page_rows: pages.rows,
    };
    let Shape { rows, group_rows, block_rows, page_rows } = shape;
    if rows == 0 || group_rows == 0 || block_rows == 0 || page_rows == 0 {
        return None;
    }
    // All parts but the last are equal, and larger parts begin where smaller ones do.
    let alike = |count: usize, part: usize, rows_of: &dyn Fn(usize) -> Option<usize>| {
        count == rows.div_ceil(part) && (0..count).all(|place| rows_of(place) == Some(part.min(rows - place * part)))
    };
    let nested = |large: usize, small: usize| large.is_multiple_of(small) || large == rows;
    let agrees = nested(group_rows, block_rows)
        && nested(block_rows, page_rows)
        && alike(groups, group_rows, &rows_of)
        && alike(blocks.len(), block_rows, &|block| Some(blocks.block(block).rows()))
        && pages.times.len() == rows.div_ceil(page_rows)
        && pages.dictionaries.iter().all(|sums| sums.len() == groups);
    agrees.then_some(shape)
}
