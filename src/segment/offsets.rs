//! Where the pages of a segment lie: the offset indexes of its Parquet file.
//!
//! They are as large as the rest of a footer, and a query needs those of few row groups. So those of a row group are read
//! when one of its pages is asked for.

use std::sync::{Arc, OnceLock};

use parquet::file::{
    metadata::{ParquetMetaData, ParquetMetaDataBuilder},
    page_index::offset_index::OffsetIndexMetaData,
};

use super::{
    footer::with_offsets,
    shape::{Shape, block_range},
};
use crate::{
    error::{Error, Result},
    resources::SharedFile,
};

/// Where the pages of each row group lie, as far as that was asked for.
#[derive(Debug)]
pub(super) struct PageOffsets {
    groups: Vec<OnceLock<GroupOffsets>>,
    /// Pages of a column in all row groups.
    pages: usize,
    /// Pages of a column in each row group but the last.
    group_pages: usize,
    columns: usize,
}

/// Where the pages of a row group lie, column by column. Each column has as many.
#[derive(Debug)]
struct GroupOffsets {
    starts: Vec<u64>,
    lengths: Vec<u32>,
    /// Pages of a column.
    pages: usize,
}

impl PageOffsets {
    /// Those of a segment of this shape. Where `metadata` has them already they are taken from there.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where these are not of such a segment.
    pub(super) fn new(metadata: &ParquetMetaData, shape: Shape) -> Result<Self> {
        let pages = shape.rows.div_ceil(shape.page_rows);
        let group_pages = shape.group_rows.div_ceil(shape.page_rows);
        let groups = (0..metadata.num_row_groups()).map(|_| OnceLock::new()).collect();
        let columns = metadata.file_metadata().schema_descr().num_columns();
        let offsets = Self { groups, pages, group_pages, columns };
        for (group, columns) in metadata.offset_index().into_iter().flatten().enumerate() {
            offsets.set(group, columns)?;
        }
        Ok(offsets)
    }

    /// The first byte of a page of a column and how many there are; `None` where the offsets of its row group were not
    /// read yet.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where there is no such page.
    pub(super) fn known(&self, column: usize, page: usize) -> Result<Option<(u64, usize)>> {
        let (group, page) = (page / self.group_pages, page % self.group_pages);
        let Some(group) = self.groups.get(group).ok_or_else(damaged)?.get() else { return Ok(None) };
        group.page(column, page).map(Some).ok_or_else(damaged)
    }

    /// The same, read from the file where that is needed. This blocks on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where they cannot be read, [`ErrorKind::Damaged`](crate::ErrorKind::Damaged)
    /// where they are not of the segment.
    pub(super) fn read(
        &self,
        (file, metadata): (&Arc<SharedFile>, &ParquetMetaData),
        column: usize,
        page: usize,
    ) -> Result<(u64, usize)> {
        if let Some(known) = self.known(column, page)? {
            return Ok(known);
        }
        let group = page / self.group_pages;
        self.set(group, &columns_of(file, metadata, group)?)?;
        self.known(column, page)?.ok_or_else(damaged)
    }

    /// About how many bytes of memory those of all row groups take, read or not.
    pub(super) fn memory(&self) -> usize {
        let page = size_of::<u64>() + size_of::<u32>();
        self.groups.len() * size_of::<OnceLock<GroupOffsets>>() + self.pages * self.columns * page
    }

    fn set(&self, group: usize, columns: &[OffsetIndexMetaData]) -> Result<()> {
        let place = self.groups.get(group).ok_or_else(damaged)?;
        if columns.len() != self.columns {
            return Err(damaged());
        }
        let offsets = GroupOffsets::new(columns, block_range(group, self.group_pages, self.pages).len());
        let offsets = offsets.ok_or_else(damaged)?;
        // Another thread may have read them meanwhile: the two are the same.
        place.get_or_init(|| offsets);
        Ok(())
    }
}

impl GroupOffsets {
    /// Those of columns that have so many pages each; `None` where they have others.
    fn new(columns: &[OffsetIndexMetaData], pages: usize) -> Option<Self> {
        if columns.iter().any(|column| column.page_locations().len() != pages) {
            return None;
        }
        let all = || columns.iter().flat_map(|column| column.page_locations());
        let starts = all().map(|page| u64::try_from(page.offset).ok()).collect::<Option<_>>()?;
        let lengths = all().map(|page| u32::try_from(page.compressed_page_size).ok()).collect::<Option<_>>()?;
        Some(Self { starts, lengths, pages })
    }

    fn page(&self, column: usize, page: usize) -> Option<(u64, usize)> {
        let place = column * self.pages + page;
        let start = self.starts.get(place).filter(|_| page < self.pages)?;
        Some((*start, usize::try_from(*self.lengths.get(place)?).ok()?))
    }
}

/// The offset indexes of the columns of a row group. This blocks on the file system.
fn columns_of(file: &Arc<SharedFile>, metadata: &ParquetMetaData, group: usize) -> Result<Vec<OffsetIndexMetaData>> {
    let row_group = metadata.row_groups().get(group).ok_or_else(damaged)?.clone();
    let alone = ParquetMetaDataBuilder::new(metadata.file_metadata().clone()).add_row_group(row_group).build();
    let offsets = with_offsets(file, alone)?.into_builder().take_offset_index();
    offsets.into_iter().flatten().next().ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::damaged("a page is not where its index says")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use parquet::file::metadata::ParquetMetaDataReader;

    use super::*;
    use crate::{
        error::ErrorKind,
        flow::{Field, Flow, FlowId, Timestamp},
        schema::FlowBuilder,
        segment::{SegmentOptions, SegmentReader, write_segment},
    };

    #[test]
    fn the_offsets_of_a_row_group_are_read_when_a_page_of_it_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment.parquet");
        let mut flows = FlowBuilder::default();
        for n in 0..160 {
            flows.push(&Flow::starting(Timestamp::from_millis(n).unwrap())).unwrap();
        }
        let options = SegmentOptions { block_rows: 16, row_group_blocks: 2 };
        let flows = flows.finish(FlowId::new(1)).unwrap();
        let _ = write_segment(&flows, File::create(&path).unwrap(), options).unwrap();
        let file = || Arc::new(SharedFile::alone(&path).unwrap());
        let whole = SegmentReader::read(file()).unwrap();
        // Eight pages a row group; in the file, the offsets of the second are other bytes.
        let footer = ParquetMetaDataReader::new().parse_and_finish(&File::open(&path).unwrap()).unwrap();
        let damaged = footer.row_group(1).column(0);
        let start = damaged.offset_index_offset().unwrap() as usize;
        let damaged = start..start + damaged.offset_index_length().unwrap() as usize;
        let mut bytes = fs::read(&path).unwrap();
        bytes[damaged].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let lazy = SegmentReader::read_lazily(file()).unwrap();
        assert_eq!(lazy.memory(), whole.memory());
        for page in [0, 7, 16, 39] {
            assert_eq!(lazy.known_page(Field::StartTime, page).unwrap().is_some(), page == 7, "{page}");
            let read = lazy.page(Field::StartTime, page).unwrap();
            assert_eq!(read, whole.page(Field::StartTime, page).unwrap());
            assert_eq!(lazy.known_page(Field::StartTime, page).unwrap(), Some(read));
        }
        assert_eq!(lazy.memory(), whole.memory());
        let error = lazy.page(Field::FlowId, 8).unwrap_err();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Damaged, Some(path.as_path())));
        assert_eq!(lazy.page(Field::FlowId, 40).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(SegmentReader::read(file()).unwrap_err().kind(), ErrorKind::Damaged);
    }
}
