//! Chosen rows of chosen columns.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};

use arrow::array::{ArrayRef, new_empty_array};
use parquet::{
    arrow::{
        ArrowSchemaConverter, FieldLevels, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection, RowSelector},
        parquet_to_arrow_field_levels,
    },
    column::page::{Page, PageIterator, PageMetadata, PageReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{ParquetMetaData, RowGroupMetaData},
    schema::types::SchemaDescriptor,
};

use super::{PageCache, ReadCounters, RowRanges, SegmentReader};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    schema::{column_type, schema},
};

/// The schema of a segment in the terms of Parquet, and for each column what its decoder is made from.
static DECODERS: LazyLock<Option<(SchemaDescriptor, Vec<FieldLevels>)>> = LazyLock::new(|| {
    let columns = ArrowSchemaConverter::new().convert(&schema()).ok()?;
    let levels = |field: Field| {
        let only = ProjectionMask::leaves(&columns, [field as usize]);
        parquet_to_arrow_field_levels(&columns, only, Some(schema().fields())).ok()
    };
    let levels = Field::ALL.into_iter().map(levels).collect::<Option<Vec<_>>>()?;
    Some((columns, levels))
});

/// Whether the columns of a file are those of a segment.
pub(super) fn has_our_columns(columns: &SchemaDescriptor) -> bool {
    DECODERS.as_ref().is_some_and(|(ours, _)| ours.root_schema().get_fields() == columns.root_schema().get_fields())
}

/// Reads rows of segments, page by page, through a cache.
#[derive(Clone, Debug)]
pub struct RowReader {
    cache: Arc<PageCache>,
    counters: Arc<ReadCounters>,
}

impl RowReader {
    /// Reads through `cache`, and counts in `counters`.
    pub fn new(cache: Arc<PageCache>, counters: Arc<ReadCounters>) -> Self {
        Self { cache, counters }
    }

    /// The cache.
    pub(super) fn cache(&self) -> &Arc<PageCache> {
        &self.cache
    }

    /// What reading has cost.
    pub fn counters(&self) -> &ReadCounters {
        &self.counters
    }

    /// The values of some columns in some rows, a column for each field.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read, [`ErrorKind::Damaged`] where it is not what was written.
    pub async fn columns(
        &self,
        segment: &Arc<SegmentReader>,
        fields: &[Field],
        rows: &RowRanges,
    ) -> Result<Vec<ArrayRef>> {
        let length = rows.len();
        if length == 0 {
            return Ok(fields.iter().map(|field| new_empty_array(&column_type(*field))).collect());
        }
        let shape = segment.shape();
        let pages = rows.pages(shape.page_rows);
        let wanted: Vec<Vec<Wanted>> =
            fields.iter().map(|field| wanted(segment, *field, &pages)).collect::<Result<_>>()?;
        let places: Vec<_> = wanted.iter().flatten().map(|wanted| wanted.place).collect();
        let mut read = self.cache.pages(segment, &places, &self.counters).await?.into_iter();
        let selection = selection(rows, &pages, shape.page_rows);
        let columns = fields.iter().zip(wanted).map(|(field, wanted)| {
            let pages = wanted.into_iter().zip(&mut read).collect();
            let decoded = decode(segment, *field, pages, selection.clone(), length);
            decoded.map_err(|error| {
                segment.named(Error::with(ErrorKind::Damaged, format!("column {} is damaged", field.name()))(error))
            })
        });
        columns.collect()
    }
}

/// A page that is to be decoded, and how many rows it has: none, if it is a dictionary.
#[derive(Clone, Copy)]
struct Wanted {
    place: super::pages::PagePlace,
    rows: usize,
}

/// The pages of a column: before the first page of each row group its dictionary.
fn wanted(segment: &SegmentReader, field: Field, pages: &[usize]) -> Result<Vec<Wanted>> {
    let shape = segment.shape();
    let mut wanted = Vec::with_capacity(pages.len() + 1);
    let mut group = None;
    for page in pages {
        let start = page * shape.page_rows;
        if group != Some(start / shape.group_rows) {
            group = Some(start / shape.group_rows);
            let dictionary = segment.dictionary(field, start / shape.group_rows)?;
            wanted.extend(dictionary.map(|place| Wanted { place, rows: 0 }));
        }
        let rows = shape.page_rows.min(shape.rows - start);
        wanted.push(Wanted { place: segment.page(field, *page)?, rows });
    }
    Ok(wanted)
}

/// The rows among those of the pages.
fn selection(rows: &RowRanges, pages: &[usize], page_rows: usize) -> RowSelection {
    let mut selectors = Vec::with_capacity(rows.as_slice().len() * 2);
    let mut done = 0;
    let mut pages = pages.iter().enumerate();
    let mut current = pages.next();
    for range in rows.as_slice() {
        // Pages follow one another within a range, so its first page tells the place of all of it.
        let first = range.start / page_rows;
        while let Some((_, page)) = current
            && *page < first
        {
            current = pages.next();
        }
        let place = current.map_or(0, |(place, _)| place);
        let start = place * page_rows + range.start % page_rows;
        if start > done {
            selectors.push(RowSelector::skip(start - done));
        }
        selectors.push(RowSelector::select(range.len()));
        done = start + range.len();
    }
    selectors.into()
}

fn decode(
    segment: &SegmentReader,
    field: Field,
    pages: VecDeque<(Wanted, Arc<Page>)>,
    selection: RowSelection,
    rows: usize,
) -> ParquetResult<ArrayRef> {
    let short = || ParquetError::EOF("a column has fewer rows than it should".to_owned());
    let (_, levels) = DECODERS.as_ref().ok_or_else(short)?;
    let levels = levels.get(field as usize).ok_or_else(short)?;
    let chosen = Chosen { segment, pages };
    let mut reader = ParquetRecordBatchReader::try_new_with_row_groups(levels, &chosen, rows, Some(selection))?;
    let batch = reader.next().ok_or_else(short)??;
    let column = batch.columns().first().filter(|column| column.len() == rows);
    column.cloned().ok_or_else(short)
}

/// Chosen pages of one column, in the guise of row groups.
struct Chosen<'a> {
    segment: &'a SegmentReader,
    pages: VecDeque<(Wanted, Arc<Page>)>,
}

impl RowGroups for Chosen<'_> {
    fn num_rows(&self) -> usize {
        self.pages.iter().map(|(wanted, _)| wanted.rows).sum()
    }

    fn column_chunks(&self, _column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let mut chunks: Vec<Box<dyn PageReader>> = Vec::new();
        let mut pages = self.pages.clone();
        while let Some((first, _)) = pages.front() {
            let group = first.place.group;
            let end = pages.iter().position(|(wanted, _)| wanted.place.group != group).unwrap_or(pages.len());
            let rest = pages.split_off(end);
            chunks.push(Box::new(ChosenPages(pages)));
            pages = rest;
        }
        Ok(Box::new(Chunks(chunks.into_iter())))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.segment.metadata().row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.segment.metadata()
    }
}

struct Chunks(std::vec::IntoIter<Box<dyn PageReader>>);

impl Iterator for Chunks {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl PageIterator for Chunks {}

/// Pages of one column chunk.
struct ChosenPages(VecDeque<(Wanted, Arc<Page>)>);

impl PageReader for ChosenPages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        Ok(self.0.pop_front().map(|(_, page)| Page::clone(&page)))
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        Ok(self.0.front().map(|(wanted, page)| {
            let is_dict = page.is_dictionary_page();
            let rows = (!is_dict).then_some(wanted.rows);
            PageMetadata { num_rows: rows, num_levels: rows, is_dict }
        }))
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.0.pop_front();
        Ok(())
    }
}

impl Iterator for ChosenPages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
