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
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use twox_hash::XxHash64;

use super::{
    RowRanges,
    bounds::{BlockBounds, BoundsTable},
    decode::further_columns,
    file_bytes::FileBytes,
    index::{self, Blocks, Directory, Index, PageTable},
    writer::{FORMAT, FORMAT_KEY, INDEX_KEY, block_range},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    resources::{Counted, MemoryPool, SharedFile, guarded, io_error, read_error},
};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A segment that can be read. Its file is open only now and then, and may be moved meanwhile.
#[derive(Debug)]
pub struct SegmentReader {
    /// Unique among all that this process has opened: what its pages are cached under.
    number: u64,
    file: Arc<SharedFile>,
    metadata: Arc<ParquetMetaData>,
    /// Of the segment as a whole.
    whole: BoundsTable,
    blocks: BoundsTable,
    directory: Directory,
    pages: PageTable,
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

/// How the rows of a segment are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// All rows.
    pub rows: usize,
    /// Rows of a row group, but the last.
    pub group_rows: usize,
    /// Rows of a block, but the last.
    pub block_rows: usize,
    /// Rows of a page, but the last.
    pub page_rows: usize,
}

impl Shape {
    /// How the rows are cut into blocks and pages.
    pub(super) fn blocks(&self) -> Blocks {
        Blocks { rows: self.rows, block_rows: self.block_rows, page_rows: self.page_rows }
    }
}

impl SegmentReader {
    /// Opens the segment in the file at `path`. This blocks on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read, [`ErrorKind::Damaged`] where it is not a segment, and
    /// [`ErrorKind::Unsupported`] where a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let message = format!("segment {} cannot be read", path.display());
        let file = SharedFile::alone(path).map_err(io_error(message.clone()))?;
        Self::read(Arc::new(file)).map_err(|error| Error::with(error.kind(), message)(error))
    }

    /// Opens the segment in a file. This blocks on the file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read(file: Arc<SharedFile>) -> Result<Self> {
        Self::read_with(file, |bytes, _| index::decode(bytes))
    }

    /// Opens it, with an index that `decode` makes of its bytes and the number of rows.
    pub(super) fn read_with(file: Arc<SharedFile>, decode: impl FnOnce(&[u8], usize) -> Result<Index>) -> Result<Self> {
        let bytes = file.size();
        // The blocks are chosen by the index of the segment, so of Parquet's own only the offsets of pages are needed.
        let metadata = guarded(|| {
            ParquetMetaDataReader::new()
                .with_column_index_policy(PageIndexPolicy::Skip)
                .with_offset_index_policy(PageIndexPolicy::Required)
                .parse_and_finish(&FileBytes::new(Arc::clone(&file)))
                .map_err(read_error("its Parquet footer is damaged"))
        })?;
        let value = |key: &str| {
            let pairs = metadata.file_metadata().key_value_metadata();
            pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.clone())
        };
        match value(FORMAT_KEY) {
            Some(format) if format == FORMAT => {}
            Some(format) => {
                let message = format!("it has format {format}; this version of flowseek reads {FORMAT}");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            None => return Err(Error::damaged("it was not written by flowseek")),
        }
        match further_columns(metadata.file_metadata().schema_descr()) {
            Some(further) if further.is_empty() => {}
            Some(further) => {
                let message =
                    format!("it has columns that this version of flowseek does not know: {}", further.join(", "));
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            None => return Err(Error::damaged("its columns are not those of an archive")),
        }
        let place = value(INDEX_KEY).and_then(|text| {
            let (offset, length) = text.split_once(':')?;
            Some((offset.parse::<u64>().ok()?, length.parse::<u64>().ok()?))
        });
        let (offset, length) = place
            .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= bytes))
            .ok_or_else(|| Error::damaged("it does not say where its index is"))?;
        let mut index = vec![0; usize::try_from(length).map_err(|_| Error::damaged("its index is too large"))?];
        file.read_exact_at(&mut index, offset).map_err(io_error("its index cannot be read"))?;
        let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Self::with(file, metadata, decode(&index, rows)?, offset..offset + length)
    }

    /// The segment with this footer and this index, which lies at `place`.
    pub(super) fn with(
        file: Arc<SharedFile>,
        metadata: ParquetMetaData,
        index: Index,
        place: Range<u64>,
    ) -> Result<Self> {
        let Index { bounds: blocks, directory, pages } = index;
        let whole = blocks.folded();
        let shape = shape(&metadata, &blocks, &pages).ok_or_else(|| Error::damaged("its index is not of its rows"))?;
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let metadata = Arc::new(metadata);
        Ok(Self { number, file, metadata, whole, blocks, directory, pages, shape, index: place, _counted: None })
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
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file.size()
    }

    /// About how many bytes of memory the footer and the index take.
    pub fn memory(&self) -> usize {
        let index = self.blocks.memory() + self.whole.memory() + self.directory.memory() + self.pages.memory();
        self.metadata.memory_size() + index
    }

    /// The Parquet footer.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The bounds of the segment as a whole.
    pub fn whole(&self) -> BlockBounds<'_> {
        self.whole.block(0)
    }

    /// The bounds of its blocks.
    pub fn blocks(&self) -> &BoundsTable {
        &self.blocks
    }

    /// The checksum of its Parquet footer, as the bytes are. This blocks on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read.
    pub(crate) fn footer_checksum(&self) -> Result<u64> {
        let length = usize::try_from(self.file_bytes().saturating_sub(self.index.end)).unwrap_or(usize::MAX);
        let bytes = self.read_exact(self.index.end, length).map_err(|error| self.named(error))?;
        Ok(XxHash64::oneshot(0, &bytes))
    }

    /// Where the index lies in the file, without the lists.
    pub(super) fn index(&self) -> &Range<u64> {
        &self.index
    }

    /// How it is cut into pages.
    pub(super) fn pages(&self) -> &PageTable {
        &self.pages
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Bytes of the file that the parts of the index take: each list by its columns, and the rest.
    pub fn index_bytes(&self) -> Vec<(String, u64)> {
        let name = |fields: &[Field]| fields.iter().map(|field| field.name()).collect::<Vec<_>>().join("+");
        let lists = self.directory.sizes().map(|(fields, bytes)| (name(fields), bytes));
        lists.chain([("bounds, directory and checksums".to_owned(), self.index.end - self.index.start)]).collect()
    }

    /// Whether its lists tell which rows have the values that are worth it.
    pub(crate) fn lists_rows(&self) -> bool {
        self.directory.lists().iter().all(|listed| listed.rows.is_some())
    }

    /// How its rows are cut.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The rows of a block.
    pub fn block_rows(&self, block: usize) -> Range<usize> {
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

    /// A page of a column.
    pub(super) fn page(&self, field: Field, page: usize) -> Result<PagePlace> {
        let column = field as usize;
        let pages_of_group = self.pages_of_group();
        let group = page / pages_of_group;
        let found = || {
            let offsets = self.metadata.offset_index()?.get(group)?.get(column)?;
            let location = offsets.page_locations().get(page % pages_of_group)?;
            let offset = u64::try_from(location.offset).ok()?;
            let length = usize::try_from(location.compressed_page_size).ok()?;
            let checksum = *self.pages.checksums.get(column)?.get(page)?;
            Some(PagePlace { column, group, offset, length, checksum })
        };
        found().ok_or_else(|| self.named(Error::damaged("a page is not where its index says")))
    }

    /// The dictionary of a column in a row group, where it has one.
    pub(super) fn dictionary(&self, field: Field, group: usize) -> Result<Option<PagePlace>> {
        let column = field as usize;
        let chunk = self.chunk(group, column)?;
        let Some(offset) = chunk.dictionary_page_offset() else { return Ok(None) };
        let found = || {
            let first = self.metadata.offset_index()?.get(group)?.get(column)?.page_locations().first()?;
            let length = usize::try_from(first.offset.checked_sub(offset)?).ok()?;
            let checksum = *self.pages.dictionaries.get(column)?.get(group)?;
            let offset = u64::try_from(offset).ok()?;
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
        && pages.dictionaries.iter().all(|sums| sums.len() == groups)
        && metadata.offset_index().is_some_and(|offsets| {
            offsets.iter().enumerate().all(|(group, columns)| {
                let pages = rows_of(group).map(|rows| rows.div_ceil(page_rows));
                columns.iter().all(|column| Some(column.page_locations().len()) == pages)
            })
        });
    agrees.then_some(shape)
}
