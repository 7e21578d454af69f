//! The footer of a file, and the types that its columns are read as.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    basic::{ConvertedType, LogicalType, Type as PhysicalType},
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader},
        reader::ChunkReader,
    },
    schema::types::{SchemaDescriptor, Type, TypePtr},
};

/// Reads the footer of a file. The types are those of Parquet: what an Arrow program has noted beside them changes nothing
/// that matters here. Two are changed so that one bad value costs its row and not all that the reader takes in at a time:
///
/// - Text is read as bytes, which need not be UTF-8.
/// - INT96 is read as milliseconds. As nanoseconds, which is what the reader would take, it wraps around outside the years
///   1677 to 2262, and a flow of the year 9999 would be one of 1816; as milliseconds the whole range of its days fits.
pub(super) fn read(input: &impl ChunkReader) -> Result<ArrowReaderMetadata> {
    let footer = Arc::new(with_plain_text(ParquetMetaDataReader::new().parse_and_finish(input)?)?);
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let read = ArrowReaderMetadata::try_new(Arc::clone(&footer), options())?;
    let types = footer.file_metadata().schema_descr().root_schema().get_fields();
    if !types.iter().any(|column| is_of(column, PhysicalType::INT96)) || types.len() != read.schema().fields().len() {
        return Ok(read);
    }
    let millis = || DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields =
        read.schema().fields().iter().zip(types).map(|(field, column)| match is_of(column, PhysicalType::INT96) {
            true => Arc::new(field.as_ref().clone().with_data_type(millis())),
            false => Arc::clone(field),
        });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    ArrowReaderMetadata::try_new(footer, options().with_schema(Arc::new(schema)))
}

/// The places of the bytes of a column in its file, checked: the reader panics where they are negative.
pub(super) fn byte_range(column: &ColumnChunkMetaData) -> Result<std::ops::Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let range = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
    let range = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
    range.ok_or_else(|| ParquetError::General("a column lies at a place that no file has".to_owned()))
}

/// The footer with the annotations of text taken away.
fn with_plain_text(footer: ParquetMetaData) -> Result<ParquetMetaData> {
    let file = footer.file_metadata();
    let schema = file.schema_descr();
    let fields = schema.root_schema().get_fields().iter().map(plain).collect::<Result<Vec<_>>>()?;
    let root = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let file = FileMetaData::new(file.version(), file.num_rows(), None, None, schema, None);
    Ok(ParquetMetaData::new(file, footer.row_groups().to_vec()))
}

fn plain(column: &TypePtr) -> Result<TypePtr> {
    let about = column.get_basic_info();
    let is_text = match about.logical_type_ref() {
        Some(LogicalType::String | LogicalType::Json | LogicalType::Enum) => true,
        Some(_) => false,
        None => matches!(about.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM),
    };
    if !is_text || !is_of(column, PhysicalType::BYTE_ARRAY) {
        return Ok(Arc::clone(column));
    }
    let bytes = Type::primitive_type_builder(column.name(), PhysicalType::BYTE_ARRAY);
    bytes.with_repetition(about.repetition()).build().map(Arc::new)
}

fn is_of(column: &TypePtr, physical: PhysicalType) -> bool {
    column.is_primitive() && column.get_physical_type() == physical
}
