//! Pages to columns.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, UInt16Array},
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

use super::places::places;
use crate::{flow::Field, schema::schema};

/// The schema of a segment in the terms of Parquet, and for each column what its decoder is made from.
static DECODERS: LazyLock<Option<(SchemaDescriptor, Vec<FieldLevels>)>> = LazyLock::new(|| levels(&schema()));

/// No dictionary of values has more of them, so that a place in it takes two bytes.
pub(super) const MOST_PLACES: usize = 1 << 16;

/// The same for columns of places in a dictionary: names and addresses are decoded to these.
static PLACE_DECODERS: LazyLock<Option<(SchemaDescriptor, Vec<FieldLevels>)>> = LazyLock::new(|| {
    let column = |field: Field| Column::new(field.name(), DataType::UInt16, !field.always_present());
    levels(&Schema::new(Field::ALL.into_iter().map(column).collect::<Vec<_>>()))
});

fn levels(schema: &Schema) -> Option<(SchemaDescriptor, Vec<FieldLevels>)> {
    let columns = ArrowSchemaConverter::new().convert(schema).ok()?;
    let levels = |field: Field| {
        let only = ProjectionMask::leaves(&columns, [field as usize]);
        parquet_to_arrow_field_levels(&columns, only, Some(schema.fields())).ok()
    };
    let levels = Field::ALL.into_iter().map(levels).collect::<Option<Vec<_>>>()?;
    Some((columns, levels))
}

/// The columns of a segment.
pub(super) fn our_columns() -> ParquetResult<SchemaDescriptor> {
    DECODERS.as_ref().map(|(columns, _)| columns.clone()).ok_or_else(short)
}

/// The columns of a file that come after all those of a segment: a later version may have added them.
pub(super) fn further_columns(columns: &SchemaDescriptor) -> Option<Vec<&str>> {
    let (ours, _) = DECODERS.as_ref()?;
    let (ours, theirs) = (ours.root_schema().get_fields(), columns.root_schema().get_fields());
    let (known, further) = theirs.split_at_checked(ours.len())?;
    (known == ours).then(|| further.iter().map(|column| column.name()).collect())
}

/// What the values of a page refer to.
#[derive(Clone, Debug)]
pub(super) enum Dictionary {
    /// Values, as they lie in the file.
    Page(Arc<Page>),
    /// Names or addresses.
    Values(ArrayRef),
}

/// The `rows` values of a page of a column: of names and addresses with a dictionary, places in it.
pub(super) fn decode(
    metadata: &ParquetMetaData,
    field: Field,
    page: Page,
    dictionary: Option<&Dictionary>,
    rows: usize,
) -> ParquetResult<ArrayRef> {
    match dictionary {
        None => OnePage { metadata, dictionary: None, page, rows }.decode(field, &DECODERS),
        Some(Dictionary::Page(dictionary)) => {
            OnePage { metadata, dictionary: Some(Page::clone(dictionary)), page, rows }.decode(field, &DECODERS)
        }
        Some(Dictionary::Values(values)) => {
            let found = match places(&page, rows)? {
                Some(places) => places,
                None => decode_places(metadata, field, page, values.len(), rows)?,
            };
            Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(found, Arc::clone(values))?))
        }
    }
}

/// The places in a page that the Parquet crate decodes. It would copy all values for each page, so it is given a dictionary
/// of numbers.
fn decode_places(
    metadata: &ParquetMetaData,
    field: Field,
    page: Page,
    values: usize,
    rows: usize,
) -> ParquetResult<UInt16Array> {
    let page = OnePage { metadata, dictionary: Some(numbers(values)?), page, rows };
    let places = page.decode(field, &PLACE_DECODERS)?;
    places.as_primitive_opt::<UInt16Type>().cloned().ok_or_else(short)
}

/// A dictionary whose values are the numbers from 0 on.
fn numbers(count: usize) -> ParquetResult<Page> {
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

/// One page and its dictionary, in the guise of a row group.
struct OnePage<'a> {
    metadata: &'a ParquetMetaData,
    dictionary: Option<Page>,
    page: Page,
    rows: usize,
}

impl OnePage<'_> {
    fn decode(&self, field: Field, decoders: &Option<(SchemaDescriptor, Vec<FieldLevels>)>) -> ParquetResult<ArrayRef> {
        let levels = decoders.as_ref().and_then(|(_, levels)| levels.get(field as usize)).ok_or_else(short)?;
        let mut reader = ParquetRecordBatchReader::try_new_with_row_groups(levels, self, self.rows, None)?;
        let batch = reader.next().ok_or_else(short)??;
        let column = batch.columns().first().filter(|column| column.len() == self.rows);
        column.cloned().ok_or_else(short)
    }
}

impl RowGroups for OnePage<'_> {
    fn num_rows(&self) -> usize {
        self.rows
    }

    fn column_chunks(&self, _column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let (rows, dictionary, page) = (self.rows, self.dictionary.clone(), Some(self.page.clone()));
        Ok(Box::new(Chunk(Some(Box::new(Pages { rows, dictionary, page })))))
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
    rows: usize,
    dictionary: Option<Page>,
    page: Option<Page>,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        Ok(self.dictionary.take().or_else(|| self.page.take()))
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        let is_dict = self.dictionary.is_some();
        let rows = (!is_dict).then_some(self.rows);
        let left = is_dict || self.page.is_some();
        Ok(left.then_some(PageMetadata { num_rows: rows, num_levels: rows, is_dict }))
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
