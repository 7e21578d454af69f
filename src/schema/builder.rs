//! Flows to columns.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, PrimitiveArray, PrimitiveBuilder, RecordBatch, StringBuilder,
        TimestampMillisecondBuilder, UInt8Builder, UInt16Builder, UInt32Array, UInt64Array, UInt64Builder,
    },
    compute::take,
    datatypes::{ArrowPrimitiveType, Schema, TimestampMillisecondType},
};

use super::{column_type, schema};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Address, Field, Flow, FlowId, MAX_TEXT_BYTES, Timestamp},
};

/// Flows in columns, in the order they came, until they are sorted into a batch.
#[derive(Debug)]
pub struct FlowBuilder {
    start_time: Vec<i64>,
    end_time: TimestampMillisecondBuilder,
    protocol: UInt8Builder,
    src_ip: FixedSizeBinaryBuilder,
    dst_ip: FixedSizeBinaryBuilder,
    src_port: UInt16Builder,
    dst_port: UInt16Builder,
    src_bytes: UInt64Builder,
    dst_bytes: UInt64Builder,
    tcp_flags: UInt8Builder,
    src_node: StringBuilder,
    dst_node: StringBuilder,
    node_id: StringBuilder,
    activity_id: StringBuilder,
}

impl Default for FlowBuilder {
    /// Without flows, and without memory for any: the builders of Arrow would reserve that of 1,024.
    fn default() -> Self {
        let texts = || StringBuilder::with_capacity(0, 0);
        Self {
            start_time: Vec::new(),
            end_time: TimestampMillisecondBuilder::with_capacity(0).with_data_type(column_type(Field::EndTime)),
            protocol: UInt8Builder::with_capacity(0),
            src_ip: FixedSizeBinaryBuilder::with_capacity(0, 16),
            dst_ip: FixedSizeBinaryBuilder::with_capacity(0, 16),
            src_port: UInt16Builder::with_capacity(0),
            dst_port: UInt16Builder::with_capacity(0),
            src_bytes: UInt64Builder::with_capacity(0),
            dst_bytes: UInt64Builder::with_capacity(0),
            tcp_flags: UInt8Builder::with_capacity(0),
            src_node: texts(),
            dst_node: texts(),
            node_id: texts(),
            activity_id: texts(),
        }
    }
}

impl FlowBuilder {
    /// How many flows it holds.
    pub fn len(&self) -> usize {
        self.start_time.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.start_time.is_empty()
    }

    /// Adds a flow.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where a name or ID is longer than [`MAX_TEXT_BYTES`] or empty; nothing is added then.
    pub fn push(&mut self, flow: &Flow) -> Result<()> {
        for (field, text) in [
            (Field::SrcNode, &flow.src_node),
            (Field::DstNode, &flow.dst_node),
            (Field::NodeId, &flow.node_id),
            (Field::ActivityId, &flow.activity_id),
        ] {
            check_text(field, text.as_deref())?;
        }
        self.start_time.push(flow.start_time.as_millis());
        self.end_time.append_option(flow.end_time.map(Timestamp::as_millis));
        self.protocol.append_value(flow.protocol.number());
        append_address(&mut self.src_ip, flow.src_ip)?;
        append_address(&mut self.dst_ip, flow.dst_ip)?;
        self.src_port.append_option(flow.src_port);
        self.dst_port.append_option(flow.dst_port);
        self.src_bytes.append_option(flow.src_bytes);
        self.dst_bytes.append_option(flow.dst_bytes);
        self.tcp_flags.append_option(flow.tcp_flags.map(|flags| flags.bits()));
        self.src_node.append_option(flow.src_node.as_deref());
        self.dst_node.append_option(flow.dst_node.as_deref());
        self.node_id.append_option(flow.node_id.as_deref());
        self.activity_id.append_option(flow.activity_id.as_deref());
        Ok(())
    }

    /// Adds flows that another builder gathered, after its own and in their order.
    pub(crate) fn append(&mut self, flows: &UnsortedFlows) -> Result<()> {
        let mut columns = flows.0.columns().iter();
        let mut next = || columns.next().ok_or_else(|| Error::internal("flows lack a column"));
        self.start_time.extend_from_slice(primitive::<TimestampMillisecondType>(next()?)?.values());
        append_numbers(&mut self.end_time, next()?)?;
        append_numbers(&mut self.protocol, next()?)?;
        append_addresses(&mut self.src_ip, next()?)?;
        append_addresses(&mut self.dst_ip, next()?)?;
        append_numbers(&mut self.src_port, next()?)?;
        append_numbers(&mut self.dst_port, next()?)?;
        append_numbers(&mut self.src_bytes, next()?)?;
        append_numbers(&mut self.dst_bytes, next()?)?;
        append_numbers(&mut self.tcp_flags, next()?)?;
        append_texts(&mut self.src_node, next()?)?;
        append_texts(&mut self.dst_node, next()?)?;
        append_texts(&mut self.node_id, next()?)?;
        append_texts(&mut self.activity_id, next()?)
    }

    /// All its flows in the order they came. It is empty afterwards.
    pub(crate) fn unsorted(&mut self) -> Result<UnsortedFlows> {
        let mut columns = vec![times(std::mem::take(&mut self.start_time))];
        columns.extend(self.rest());
        UnsortedFlows::of(columns)
    }

    /// All its flows as one batch, newest first; their IDs begin with `first` and go up in the order they came.
    /// It is empty afterwards.
    pub fn finish(&mut self, first: FlowId) -> Result<RecordBatch> {
        let starts = std::mem::take(&mut self.start_time);
        let count =
            u32::try_from(starts.len()).map_err(Error::with(ErrorKind::Internal, "too many flows in a batch"))?;
        let mut newest_first: Vec<(i64, u32)> = starts.into_iter().zip(0..count).collect();
        newest_first.sort_unstable_by(|left, right| right.cmp(left));
        let places: UInt32Array = newest_first.iter().map(|(_, place)| *place).collect::<Vec<_>>().into();
        let ids = places.values().iter().map(|place| first.get() + u64::from(*place)).collect::<Vec<_>>();
        let starts = newest_first.into_iter().map(|(start, _)| start).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(ids)), times(starts)];
        for column in self.rest() {
            columns.push(take(&column, &places, None).map_err(internal)?);
        }
        RecordBatch::try_new(schema(), columns).map_err(internal)
    }

    /// The columns after that of the start times.
    fn rest(&mut self) -> [ArrayRef; 13] {
        [
            Arc::new(self.end_time.finish()),
            Arc::new(self.protocol.finish()),
            Arc::new(self.src_ip.finish()),
            Arc::new(self.dst_ip.finish()),
            Arc::new(self.src_port.finish()),
            Arc::new(self.dst_port.finish()),
            Arc::new(self.src_bytes.finish()),
            Arc::new(self.dst_bytes.finish()),
            Arc::new(self.tcp_flags.finish()),
            Arc::new(self.src_node.finish()),
            Arc::new(self.dst_node.finish()),
            Arc::new(self.node_id.finish()),
            Arc::new(self.activity_id.finish()),
        ]
    }
}

/// Flows in columns in the order they came, without IDs: what one thread hands to another.
#[derive(Clone, Debug)]
pub(crate) struct UnsortedFlows(RecordBatch);

impl UnsortedFlows {
    /// Flows in the columns of an archive, in their order, without that of the IDs. Their values can be stored.
    pub(crate) fn of(columns: Vec<ArrayRef>) -> Result<Self> {
        let fields = schema().fields().iter().skip(1).cloned().collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map(Self).map_err(internal)
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// How many bytes of memory it keeps, among them those of larger columns that its own are slices of.
    pub(crate) fn memory(&self) -> usize {
        self.0.get_array_memory_size()
    }

    /// The same flows, without memory that was reserved for more.
    pub(crate) fn shrunk(self) -> Result<Self> {
        let (schema, mut columns, _) = self.0.into_parts();
        columns.iter_mut().for_each(Array::shrink_to_fit);
        RecordBatch::try_new(schema, columns).map(Self).map_err(internal)
    }

    /// The first `count` flows and the others; `count` is at most their number. Nothing is copied.
    pub(crate) fn split(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        (Self(self.0.slice(0, count)), Self(self.0.slice(count, self.len() - count)))
    }
}

fn times(millis: Vec<i64>) -> ArrayRef {
    Arc::new(PrimitiveArray::<TimestampMillisecondType>::from(millis).with_timezone("UTC"))
}

fn primitive<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    column.as_primitive_opt().ok_or_else(mistyped)
}

fn append_numbers<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, column: &ArrayRef) -> Result<()> {
    builder.append_array(primitive(column)?);
    Ok(())
}

fn append_addresses(builder: &mut FixedSizeBinaryBuilder, column: &ArrayRef) -> Result<()> {
    builder.append_array(column.as_fixed_size_binary_opt().ok_or_else(mistyped)?).map_err(internal)
}

fn append_texts(builder: &mut StringBuilder, column: &ArrayRef) -> Result<()> {
    builder.append_array(column.as_string_opt().ok_or_else(mistyped)?).map_err(internal)
}

fn mistyped() -> Error {
    Error::internal("a column of flows is not of its type")
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::with(ErrorKind::Internal, "flows could not be put into columns")(error)
}

fn append_address(builder: &mut FixedSizeBinaryBuilder, address: Option<Address>) -> Result<()> {
    match address {
        Some(address) => builder.append_value(address.to_bytes()).map_err(internal),
        None => {
            builder.append_null();
            Ok(())
        }
    }
}

/// Whether a text can be stored.
pub(crate) fn check_text(field: Field, text: Option<&str>) -> Result<()> {
    let Some(text) = text.filter(|text| text.is_empty() || text.len() > MAX_TEXT_BYTES) else {
        return Ok(());
    };
    let message =
        format!("{} has {} bytes; allowed are 1 to {MAX_TEXT_BYTES}, or no value at all", field.name(), text.len());
    Err(Error::new(ErrorKind::InvalidInput, message))
}
