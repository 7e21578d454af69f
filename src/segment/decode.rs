//! Pages to columns.

use std::{
    sync::{Arc, LazyLock},
    vec::IntoIter,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray},
    compute::concat,
    datatypes::{DataType, Field as Column, Schema, UInt16Type},
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowSchemaConverter, FieldLevels, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, RowGroups},
        parquet_to_arrow_field_levels,
    },
    basic::Encoding,
    column::page::{Page, PageIterator, PageMetadata, PageReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{ParquetMetaData, RowGroupMetaData},
    schema::types::SchemaDescriptor,
};

use super::{numbers::numbers, places::places, revision::fields_with, small::small_numbers};
use crate::{flow::Field, schema::schema};

/// The schema of a segment with all columns in the terms of Parquet, and for each column what its decoder is made from.
static DECODERS: LazyLock<Option<(SchemaDescriptor, Vec<FieldLevels>)>> = LazyLock::new(|| levels(&schema()));

/// No dictionary of values has more of them, so that a place in it takes two bytes.
pub(super) const MOST_PLACES: usize = 1 << 16;

/// The same for columns of places in a dictionary: names and addresses are decoded to these.
static PLACE_DECODERS: LazyLock<Option<(SchemaDescriptor, Vec<FieldLevels>)>> = LazyLock::new(|| {
    let column = |field: Field| Column::new(field.name(), DataType::UInt16, !field.always_present());
    levels(&Schema::new(Field::all().map(column).collect::<Vec<_>>()))
});

fn levels(schema: &Schema) -> Option<(SchemaDescriptor, Vec<FieldLevels>)> {
    let columns = ArrowSchemaConverter::new().convert(schema).ok()?;
    let levels = |field: Field| {
        let only = ProjectionMask::leaves(&columns, [field as usize]);
        parquet_to_arrow_field_levels(&columns, only, Some(schema.fields())).ok()
    };
    let levels = Field::all().map(levels).collect::<Option<Vec<_>>>()?;
    Some((columns, levels))
}

/// The columns of a segment that has these fields, the first of all.
pub(super) fn columns_of(fields: &[Field]) -> ParquetResult<SchemaDescriptor> {
    let columns: Vec<_> = schema().fields().iter().take(fields.len()).cloned().collect();
    ArrowSchemaConverter::new().convert(&Schema::new(columns))
}

/// The columns of a file that come after all those that this version knows: a later version may have added them. `None`
/// where the others are not those of a segment.
pub(super) fn further_columns(columns: &SchemaDescriptor) -> Option<Vec<&str>> {
    let (ours, _) = DECODERS.as_ref()?;
    let (ours, theirs) = (ours.root_schema().get_fields(), columns.root_schema().get_fields());
    let (known, further) = theirs.split_at(ours.len().min(theirs.len()));
    let fields = fields_with(known.len())?;
    (ours.get(..fields.len()) == Some(known)).then(|| further.iter().map(|column| column.name()).collect())
}

/// What the values of a page refer to.
#[derive(Clone, Debug)]
pub(super) enum Dictionary {
    /// Values, as they lie in the file.
    Page(Arc<Page>),
    /// Names or addresses.
    Values(ArrayRef),
}

/// The values of some pages of a column that follow one another in a row group, each given with how many it has: of names
/// and addresses with a dictionary, places in it.
pub(super) fn decode(
    metadata: &ParquetMetaData,
    field: Field,
    pages: Vec<(Page, usize)>,
    dictionary: Option<&Dictionary>,
) -> ParquetResult<ArrayRef> {
    match dictionary {
        None => match numbers(field, &pages)? {
            Some(numbers) => Ok(numbers),
            None => SomePages::new(metadata, None, pages).decode(field, &DECODERS),
        },
        Some(Dictionary::Page(dictionary)) => match small_numbers(field, &pages, dictionary)? {
            Some(numbers) => Ok(numbers),
            None => SomePages::new(metadata, Some(Page::clone(dictionary)), pages).decode(field, &DECODERS),
        },
        Some(Dictionary::Values(values)) => {
            let places = pages.into_iter().map(|(page, rows)| match places(&page, rows)? {
                Some(places) => Ok(Arc::new(places) as ArrayRef),
                None => decode_places(metadata, field, (page, rows), values.len()),
            });
            let places = joined(places.collect::<ParquetResult<_>>()?)?;
            let places = places.as_primitive_opt::<UInt16Type>().ok_or_else(short)?.clone();
            Ok(Arc::new(DictionaryArray::try_new(places, Arc::clone(values))?))
        }
    }
}

/// Arrays, one behind the other.
fn joined(arrays: Vec<ArrayRef>) -> ParquetResult<ArrayRef> {
    if let [only] = arrays.as_slice() {
        return Ok(Arc::clone(only));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    Ok(concat(&arrays)?)
}

/// The places in a page that the Parquet crate decodes. It would copy all values for each page, so it is given a dictionary
/// of numbers.
fn decode_places(
    metadata: &ParquetMetaData,
    field: Field,
    page: (Page, usize),
    values: usize,
) -> ParquetResult<ArrayRef> {
    SomePages::new(metadata, Some(counting(values)?), vec![page]).decode(field, &PLACE_DECODERS)
}

/// A dictionary whose values are the numbers from 0 on.
fn counting(count: usize) -> ParquetResult<Page> {
    static NUMBERS: LazyLock<Bytes> =
        LazyLock::new(|| (0..MOST_PLACES as u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into());
    if count > MOST_PLACES {
        return Err(ParquetError::General("a dictionary has too many values".to_owned()));
    }
    let num_values = u32::try_from(count)?;
    Ok(Page::DictionaryPage { buf: NUMBERS.slice(..count * 4), num_values, encoding: Encoding::PLAIN, is_sorted: true })
}

fn short() -> ParquetError {
    ParquetError::EOF("a page has other values than it should".to_owned())
}

/// Some pages and their dictionary, in the guise of a row group.
struct SomePages<'a> {
    metadata: &'a ParquetMetaData,
    dictionary: Option<Page>,
    pages: Vec<(Page, usize)>,
    rows: usize,
}

impl<'a> SomePages<'a> {
    fn new(metadata: &'a ParquetMetaData, dictionary: Option<Page>, pages: Vec<(Page, usize)>) -> Self {
        let rows = pages.iter().map(|(_, rows)| rows).sum();
        Self { metadata, dictionary, pages, rows }
    }

    fn decode(&self, field: Field, decoders: &Option<(SchemaDescriptor, Vec<FieldLevels>)>) -> ParquetResult<ArrayRef> {
        let levels = decoders.as_ref().and_then(|(_, levels)| levels.get(field as usize)).ok_or_else(short)?;
        let mut reader = ParquetRecordBatchReader::try_new_with_row_groups(levels, self, self.rows, None)?;
        let batch = reader.next().ok_or_else(short)??;
        let column = batch.columns().first().filter(|column| column.len() == self.rows);
        column.cloned().ok_or_else(short)
    }
}

impl RowGroups for SomePages<'_> {
    fn num_rows(&self) -> usize {
        self.rows
    }

    fn column_chunks(&self, _column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let (dictionary, pages) = (self.dictionary.clone(), self.pages.clone().into_iter());
        Ok(Box::new(Chunk(Some(Box::new(Pages { dictionary, pages })))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

struct Chunk(Option<Box<dyn PageReader>>);

impl Iterator for Chunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Chunk {}

struct Pages {
    dictionary: Option<Page>,
    pages: IntoIter<(Page, usize)>,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        Ok(self.dictionary.take().or_else(|| self.pages.next().map(|(page, _)| page)))
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        if self.dictionary.is_some() {
            return Ok(Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }));
        }
        let next = self.pages.as_slice().first();
        Ok(next.map(|(_, rows)| PageMetadata { num_rows: Some(*rows), num_levels: Some(*rows), is_dict: false }))
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.get_next_page().map(drop)
    }
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
