//! Groups as columns.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Decimal128Array, FixedSizeBinaryBuilder, Int64Array, RecordBatch, StringArray,
        TimestampMillisecondArray, UInt8Array, UInt16Array, UInt64Array,
    },
    datatypes::{DataType, SchemaRef},
};
use datafusion::common::Result as DataFusionResult;
use futures::{Stream, stream::iter};

use super::{
    run::Run,
    shape::{Answer, Shape},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Timestamp, ValueRef},
    query::{flow_scan::failed, summary::Keyed},
    schema::column_type,
};

/// The groups of a partition, in batches of at most `batch_rows` rows.
pub(super) fn batches(
    run: Arc<Run>,
    shape: Arc<Shape>,
    schema: SchemaRef,
    (partition, partitions): (usize, usize),
    batch_rows: usize,
) -> impl Stream<Item = DataFusionResult<RecordBatch>> {
    let batch_rows = batch_rows.max(1);
    let mut shards = (partition..run.groups.shards()).step_by(partitions);
    let mut left: Vec<Keyed> = Vec::new();
    iter(std::iter::from_fn(move || {
        // A shard may have few groups, or many.
        while left.len() < batch_rows
            && let Some(shard) = shards.next()
        {
            left.extend(run.groups.groups_of(shard));
        }
        let groups = left.split_off(left.len() - left.len().min(batch_rows));
        (!groups.is_empty()).then(|| batch(&run, &shape, &schema, &groups).map_err(failed))
    }))
}

fn batch(run: &Run, shape: &Shape, schema: &SchemaRef, groups: &[Keyed]) -> Result<RecordBatch> {
    let types = || schema.fields().iter().map(|field| field.data_type());
    let keys = shape.keys.iter().enumerate().map(|(place, key)| {
        let values = keys(run, place, &column_type(key.field), groups)?;
        key.of_groups(values)
    });
    let answers = shape.answers.iter().zip(types().skip(shape.keys.len()));
    let answers = answers.map(|(answer, of)| numbers(*answer, of, groups));
    let batch = RecordBatch::try_new(Arc::clone(schema), keys.chain(answers).collect::<Result<_>>()?);
    batch.map_err(Error::with(ErrorKind::Internal, "groups have other columns than they should"))
}

/// A column of keys.
fn keys(run: &Run, place: usize, of: &DataType, groups: &[Keyed]) -> Result<ArrayRef> {
    let words = run.groups.words().get(place).ok_or_else(|| unknown(of))?;
    let coded = words.coded();
    let values = || groups.iter().map(|(key, _)| key.get(place).and_then(|word| words.value(*word, &coded)));
    let numbers = || {
        values().map(|value| match value {
            Some(ValueRef::Number(number)) => Some(number),
            Some(ValueRef::Text(_)) | None => None,
        })
    };
    Ok(match of {
        DataType::UInt8 => Arc::new(numbers().map(|number| number.map(|number| number as u8)).collect::<UInt8Array>()),
        DataType::UInt16 => {
            Arc::new(numbers().map(|number| number.map(|number| number as u16)).collect::<UInt16Array>())
        }
        DataType::UInt64 => {
            Arc::new(numbers().map(|number| number.map(|number| number as u64)).collect::<UInt64Array>())
        }
        DataType::Timestamp(_, zone) => {
            let times = numbers().map(|number| number.map(|number| Timestamp::ordinal_millis(number as u64)));
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone_opt(zone.clone()))
        }
        DataType::Utf8 => {
            let texts = values().map(|value| match value {
                Some(ValueRef::Text(text)) => Some(text),
                Some(ValueRef::Number(_)) | None => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::FixedSizeBinary(16) => {
            let mut addresses = FixedSizeBinaryBuilder::with_capacity(groups.len(), 16);
            for number in numbers() {
                match number {
                    Some(number) => addresses
                        .append_value(number.to_be_bytes())
                        .map_err(Error::with(ErrorKind::Internal, "an address is not 16 bytes"))?,
                    None => addresses.append_null(),
                }
            }
            Arc::new(addresses.finish())
        }
        of => return Err(unknown(of)),
    })
}

/// A column of what groups add up to.
fn numbers(answer: Answer, of: &DataType, groups: &[Keyed]) -> Result<ArrayRef> {
    let added = |place: usize| {
        groups.iter().map(move |(_, sums)| match place {
            0 => sums.source,
            _ => sums.dest,
        })
    };
    Ok(match (answer, of) {
        (Answer::Flows, DataType::Int64) => {
            Arc::new(groups.iter().map(|(_, sums)| sums.flows as i64).collect::<Int64Array>())
        }
        (Answer::Count(place), DataType::Int64) => {
            Arc::new(added(place).map(|count| count as i64).collect::<Int64Array>())
        }
        (Answer::Sum { first, second, needs }, DataType::Decimal128(..)) => {
            let second = second.map(added).into_iter().flatten().chain(std::iter::repeat(0));
            let is_known = groups.iter().map(|(_, sums)| needs.is_none_or(|place| sums.known.has(place)));
            let sums = added(first).zip(second).zip(is_known);
            let sums = sums.map(|((first, second), is_known)| is_known.then_some((first + second) as i128));
            Arc::new(sums.collect::<Decimal128Array>().with_data_type(of.clone()))
        }
        (_, of) => return Err(unknown(of)),
    })
}

fn unknown(of: &DataType) -> Error {
    Error::internal(format!("groups have no column of type {of}"))
}
