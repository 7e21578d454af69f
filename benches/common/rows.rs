//! Answers as rows of texts, which can be compared whoever gave them.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use flowseek::{
    flow::{Field, Kind, Timestamp, Value},
    query::{Measure, Summary},
};

/// The cells of each row. Of whole flows only their IDs.
///
/// Numbers are digits, addresses 32 hexadecimal digits, times milliseconds since 1970; what is absent is empty.
pub fn of_batches(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = match batch.column_by_name("flow_id") {
            Some(ids) => vec![texts(ids)],
            None => batch.columns().iter().map(|column| texts(column)).collect(),
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    rows
}

fn texts(column: &dyn Array) -> Vec<String> {
    if matches!(column.data_type(), DataType::Timestamp(..)) {
        let millis = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None)).unwrap();
        let millis = cast(&millis, &DataType::Int64).unwrap();
        return millis.as_primitive::<Int64Type>().iter().map(|value| value.unwrap().to_string()).collect();
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).unwrap();
    (0..column.len()).map(|row| formatter.value(row).to_string()).collect()
}

/// The groups of a summary, or its buckets, each with the measure.
pub fn of_summary(summary: &Summary, measure: Measure) -> Vec<Vec<String>> {
    let measured = |totals: &flowseek::query::Totals| match measure {
        Measure::Flows => totals.flows.to_string(),
        _ => totals.source_bytes.unwrap().to_string(),
    };
    if !summary.buckets.is_empty() {
        let buckets = summary.buckets.iter().filter(|bucket| bucket.totals.flows > 0);
        return buckets.map(|bucket| vec![millis(bucket.start), measured(&bucket.totals)]).collect();
    }
    let groups = summary.groups.iter().map(|group| {
        let key = summary.by.iter().zip(&group.key).map(|(field, value)| text(*field, value.as_ref()));
        key.chain([measured(&group.totals)]).collect()
    });
    groups.collect()
}

fn text(field: Field, value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Number(address)) if field.kind() == Kind::Address => format!("{address:032x}"),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Text(text)) => text.clone(),
    }
}

fn millis(time: Timestamp) -> String {
    time.as_millis().to_string()
}
