//! Arrow batches as flows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt8Array, new_null_array},
    datatypes::{TimestampMillisecondType, UInt8Type},
};

use super::rows::{Rows, refused};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Meta, Protocol, Timestamp, columns::ValueType},
    schema::{check_text, column_type},
};

/// The flows of a batch of an archive's columns; the first value that cannot be stored is an error.
pub(super) fn rows(batch: &RecordBatch) -> Result<Rows> {
    check_names(batch)?;
    // The archive gives every flow an ID of its own.
    let fields = Field::all().filter(|field| *field != Field::FlowId);
    let columns = fields.map(|field| {
        let column = column(batch, field)?;
        match field.column().values {
            ValueType::Meta => objects(field, &column),
            _ => check_values(field, &column).map(|()| column),
        }
    });
    Rows::of_columns(columns.collect::<Result<_>>()?)
}

fn check_names(batch: &RecordBatch) -> Result<()> {
    let known: Vec<&str> = Field::all().map(Field::name).collect();
    for (place, column) in batch.schema_ref().fields().iter().enumerate() {
        let name = column.name();
        if !known.contains(&name.as_str()) {
            return Err(invalid(format!("the batch has a column {name}; allowed are {}", known.join(", "))));
        }
        if batch.schema_ref().fields().iter().take(place).any(|other| other.name() == name) {
            return Err(invalid(format!("the batch has two columns {name}")));
        }
    }
    Ok(())
}

/// Types allow more than an archive holds.
fn check_values(field: Field, column: &ArrayRef) -> Result<()> {
    if let Some(times) = column.as_primitive_opt::<TimestampMillisecondType>() {
        let is_outside = |time: Option<i64>| time.is_some_and(|time| Timestamp::from_millis(time).is_none());
        if let Some(row) = times.iter().position(is_outside) {
            return Err(invalid(format!("{} of flow {} lies outside the years 0 to 9999", field.name(), row + 1)));
        }
    }
    let texts = column.as_string_opt::<i32>().into_iter().flatten();
    (0..).zip(texts).try_for_each(|(row, text)| check_text(field, text).map_err(|error| refused(row, error)))
}

/// JSON objects as they are stored.
fn objects(field: Field, column: &ArrayRef) -> Result<ArrayRef> {
    let texts = column.as_string_opt::<i32>().into_iter().flatten();
    let objects = (0..).zip(texts).map(|(row, text)| {
        let object = text.map(str::parse::<Meta>).transpose();
        object.map_err(|reason| refused(row, invalid(format!("{}: {reason}", field.name()))))
    });
    let objects = objects.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(objects.iter().map(|object| object.as_ref().map(Meta::as_str)).collect::<StringArray>()))
}

fn column(batch: &RecordBatch, field: Field) -> Result<ArrayRef> {
    let (name, rows) = (field.name(), batch.num_rows());
    let given = batch.column_by_name(name);
    if let Some(given) = given.filter(|given| *given.data_type() != column_type(field)) {
        let (given, allowed) = (given.data_type(), column_type(field));
        return Err(invalid(format!("column {name} of the batch has the type {given}; allowed is {allowed}")));
    }
    match (field, given) {
        (Field::StartTime, None) => Err(invalid("the batch has no column start_time".to_owned())),
        (Field::StartTime, Some(given)) => match (0..rows).find(|row| given.is_null(*row)) {
            Some(row) => Err(invalid(format!("start_time of flow {} is missing, and every flow has a start", row + 1))),
            None => Ok(Arc::clone(given)),
        },
        (Field::Protocol, given) => {
            let given = given.and_then(|given| given.as_primitive_opt::<UInt8Type>());
            let number = |row| given.filter(|given| given.is_valid(row)).map(|given| given.value(row));
            let numbers = (0..rows).map(|row| number(row).unwrap_or(Protocol::UNKNOWN.number()));
            Ok(Arc::new(UInt8Array::from_iter_values(numbers)))
        }
        (_, Some(given)) => Ok(Arc::clone(given)),
        (_, None) => Ok(new_null_array(&column_type(field), rows)),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
