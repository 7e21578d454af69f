//! Columns to flows.

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt8Array, UInt16Array,
    UInt64Array,
};
use arrow::datatypes::{TimestampMillisecondType, UInt8Type, UInt16Type, UInt64Type};

use crate::{
    error::{Error, Result},
    flow::{Address, Field, Flow, FlowId, Protocol, StoredFlow, TcpFlags, Timestamp, Value, ValueRef},
};

/// The flows of a batch of an archive's columns.
///
/// ```
/// use flowseek::{flow::{Flow, FlowId}, schema::{FlowBuilder, Flows}};
///
/// let mut builder = FlowBuilder::default();
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// builder.push(&flow)?;
/// let batch = builder.finish(FlowId::new(7))?;
/// let stored = Flows::new(&batch)?.get(0).unwrap();
/// assert_eq!((stored.id, stored.flow), (FlowId::new(7), flow));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Flows<'a> {
    rows: usize,
    flow_id: &'a UInt64Array,
    start_time: &'a TimestampMillisecondArray,
    end_time: &'a TimestampMillisecondArray,
    protocol: &'a UInt8Array,
    src_ip: &'a FixedSizeBinaryArray,
    dst_ip: &'a FixedSizeBinaryArray,
    src_port: &'a UInt16Array,
    dst_port: &'a UInt16Array,
    src_bytes: &'a UInt64Array,
    dst_bytes: &'a UInt64Array,
    tcp_flags: &'a UInt8Array,
    src_node: &'a StringArray,
    dst_node: &'a StringArray,
    node_id: &'a StringArray,
    activity_id: &'a StringArray,
}

impl<'a> Flows<'a> {
    /// The flows of `batch`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where its columns are not those of [`schema`](super::schema).
    pub fn new(batch: &'a RecordBatch) -> Result<Self> {
        let times = |field| column(batch, field).and_then(|c| typed(c.as_primitive_opt::<TimestampMillisecondType>()));
        let small = |field| column(batch, field).and_then(|c| typed(c.as_primitive_opt::<UInt8Type>()));
        let ports = |field| column(batch, field).and_then(|c| typed(c.as_primitive_opt::<UInt16Type>()));
        let large = |field| column(batch, field).and_then(|c| typed(c.as_primitive_opt::<UInt64Type>()));
        let addresses = |field| column(batch, field).and_then(|c| typed(c.as_fixed_size_binary_opt()));
        let texts = |field| column(batch, field).and_then(|c| typed(c.as_string_opt::<i32>()));
        Ok(Self {
            rows: batch.num_rows(),
            flow_id: large(Field::FlowId)?,
            start_time: times(Field::StartTime)?,
            end_time: times(Field::EndTime)?,
            protocol: small(Field::Protocol)?,
            src_ip: addresses(Field::SrcIp)?,
            dst_ip: addresses(Field::DstIp)?,
            src_port: ports(Field::SrcPort)?,
            dst_port: ports(Field::DstPort)?,
            src_bytes: large(Field::SrcBytes)?,
            dst_bytes: large(Field::DstBytes)?,
            tcp_flags: small(Field::TcpFlags)?,
            src_node: texts(Field::SrcNode)?,
            dst_node: texts(Field::DstNode)?,
            node_id: texts(Field::NodeId)?,
            activity_id: texts(Field::ActivityId)?,
        })
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The flow in a row; `None` past the last.
    pub fn get(&self, row: usize) -> Option<StoredFlow> {
        if row >= self.rows {
            return None;
        }
        let time = |array: &TimestampMillisecondArray| Timestamp::from_millis(array.value(row));
        let text = |array: &StringArray| array.is_valid(row).then(|| array.value(row).to_owned());
        let flow = Flow {
            start_time: time(self.start_time)?,
            end_time: self.end_time.is_valid(row).then(|| time(self.end_time)).flatten(),
            protocol: Protocol::new(self.protocol.value(row)),
            src_ip: address(self.src_ip, row),
            dst_ip: address(self.dst_ip, row),
            src_port: self.src_port.is_valid(row).then(|| self.src_port.value(row)),
            dst_port: self.dst_port.is_valid(row).then(|| self.dst_port.value(row)),
            src_bytes: self.src_bytes.is_valid(row).then(|| self.src_bytes.value(row)),
            dst_bytes: self.dst_bytes.is_valid(row).then(|| self.dst_bytes.value(row)),
            tcp_flags: self.tcp_flags.is_valid(row).then(|| TcpFlags::new(self.tcp_flags.value(row))),
            src_node: text(self.src_node),
            dst_node: text(self.dst_node),
            node_id: text(self.node_id),
            activity_id: text(self.activity_id),
        };
        Some(StoredFlow { id: FlowId::new(self.flow_id.value(row)), flow })
    }

    /// The flows, row by row.
    pub fn iter(&self) -> impl Iterator<Item = StoredFlow> {
        (0..self.rows).filter_map(|row| self.get(row))
    }
}

fn address(array: &FixedSizeBinaryArray, row: usize) -> Option<Address> {
    let bytes = array.is_valid(row).then(|| array.value(row))?;
    Some(Address::from_bytes(bytes.try_into().ok()?))
}

/// The values of one column, whichever its type: what keys and bounds are made of.
pub(crate) enum Values<'a> {
    Times(&'a TimestampMillisecondArray),
    Small(&'a UInt8Array),
    Ports(&'a UInt16Array),
    Large(&'a UInt64Array),
    Addresses(&'a FixedSizeBinaryArray),
    Texts(&'a StringArray),
}

impl<'a> Values<'a> {
    /// The column of `field` in `batch`.
    pub(crate) fn of(batch: &'a RecordBatch, field: Field) -> Result<Self> {
        Self::new(column(batch, field)?, field)
    }

    /// The values of `field` in `array`.
    pub(crate) fn new(array: &'a dyn Array, field: Field) -> Result<Self> {
        Ok(match field {
            Field::StartTime | Field::EndTime => Self::Times(typed(array.as_primitive_opt())?),
            Field::Protocol | Field::TcpFlags => Self::Small(typed(array.as_primitive_opt())?),
            Field::SrcPort | Field::DstPort => Self::Ports(typed(array.as_primitive_opt())?),
            Field::FlowId | Field::SrcBytes | Field::DstBytes => Self::Large(typed(array.as_primitive_opt())?),
            Field::SrcIp | Field::DstIp => Self::Addresses(typed(array.as_fixed_size_binary_opt())?),
            Field::SrcNode | Field::DstNode | Field::NodeId | Field::ActivityId => {
                Self::Texts(typed(array.as_string_opt())?)
            }
        })
    }

    /// The value in a row, which must be within the batch; `None` where it is absent.
    pub(crate) fn get(&self, row: usize) -> Option<ValueRef<'a>> {
        let number = |number: u64| Some(ValueRef::Number(u128::from(number)));
        match *self {
            Self::Times(array) if array.is_valid(row) => Timestamp::from_millis(array.value(row)).map(ValueRef::from),
            Self::Small(array) if array.is_valid(row) => number(array.value(row).into()),
            Self::Ports(array) if array.is_valid(row) => number(array.value(row).into()),
            Self::Large(array) if array.is_valid(row) => number(array.value(row)),
            Self::Addresses(array) => address(array, row).map(ValueRef::from),
            Self::Texts(array) if array.is_valid(row) => Some(ValueRef::Text(array.value(row))),
            _ => None,
        }
    }

    /// The value in a row, owned.
    pub(crate) fn owned(&self, row: usize) -> Option<Value> {
        self.get(row).map(ValueRef::to_owned)
    }
}

fn column(batch: &RecordBatch, field: Field) -> Result<&dyn Array> {
    let column = batch.column_by_name(field.name());
    let column = column.ok_or_else(|| Error::internal(format!("a batch has no column {}", field.name())))?;
    Ok(column.as_ref())
}

fn typed<T>(array: Option<&T>) -> Result<&T> {
    array.ok_or_else(|| Error::internal("a column of a batch is not of its type in an archive"))
}
