//! The column table: how each field lies in an archive.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef, TimeUnit};

use crate::flow::Field;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |field: Field| Column::new(field.name(), column_type(field), !field.always_present());
    Arc::new(Schema::new(Field::ALL.into_iter().map(column).collect::<Vec<_>>()))
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
    match field {
        Field::StartTime | Field::EndTime => DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC"))),
        Field::Protocol | Field::TcpFlags => DataType::UInt8,
        Field::SrcPort | Field::DstPort => DataType::UInt16,
        Field::FlowId | Field::SrcBytes | Field::DstBytes => DataType::UInt64,
        Field::SrcIp | Field::DstIp => DataType::FixedSizeBinary(16),
        Field::SrcNode | Field::DstNode | Field::NodeId | Field::ActivityId => DataType::Utf8,
    }
}
