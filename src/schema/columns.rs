//! The columns of an archive in terms of Arrow.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef, TimeUnit};

use crate::flow::{Field, columns::ValueType};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |field: Field| Column::new(field.name(), column_type(field), !field.always_present());
    Arc::new(Schema::new(Field::all().map(column).collect::<Vec<_>>()))
});

/// The columns of an archive, in the order of [`Field::ALL`].
///
/// ```
/// use flowseek::schema::schema;
///
/// assert_eq!(schema().field(0).name(), "flow_id");
/// assert!(schema().field_with_name("end_time").unwrap().is_nullable());
/// ```
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The Arrow type of a column: times are UTC milliseconds, addresses their 16 bytes, big endian, IPv4 mapped.
pub fn column_type(field: Field) -> DataType {
    match field.column().values {
        ValueType::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC"))),
        ValueType::Protocol | ValueType::TcpFlags => DataType::UInt8,
        ValueType::Port => DataType::UInt16,
        ValueType::Id | ValueType::Bytes | ValueType::Packets | ValueType::FlowFlags => DataType::UInt64,
        ValueType::Address => DataType::FixedSizeBinary(16),
        ValueType::Name | ValueType::Meta => DataType::Utf8,
    }
}
