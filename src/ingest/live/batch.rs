//! Arrow batches as flows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt8Array, UInt64Array, new_null_array},
    datatypes::UInt8Type,
};

use super::rows::{Rows, RowsBuilder};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Protocol},
    schema::{Flows, column_type, schema},
};

/// The flows of a batch of an archive's columns; the first that cannot be stored is an error.
pub(super) fn rows(batch: &RecordBatch) -> Result<Rows> {
    let batch = completed(batch)?;
    let ends = batch.column_by_name(Field::EndTime.name());
    let flows = Flows::new(&batch)?;
    let mut rows = RowsBuilder::default();
    for row in 0..batch.num_rows() {
        let out_of_range = |field: Field| {
            let message = format!("{} of flow {} lies outside the years 0 to 9999", field.name(), row + 1);
            Error::new(ErrorKind::InvalidInput, message)
        };
        let flow = flows.get(row).ok_or_else(|| out_of_range(Field::StartTime))?.flow;
        if flow.end_time.is_none() && ends.is_some_and(|ends| ends.is_valid(row)) {
            return Err(out_of_range(Field::EndTime));
        }
        rows.push(&flow)?;
    }
    rows.finish()
}

/// The batch with all columns of an archive, in their order.
fn completed(batch: &RecordBatch) -> Result<RecordBatch> {
    let known = Field::ALL.map(Field::name);
    for (place, column) in batch.schema_ref().fields().iter().enumerate() {
        let name = column.name();
        if !known.contains(&name.as_str()) {
            return Err(refused(format!("the batch has a column {name}; allowed are {}", known.join(", "))));
        }
        if batch.schema_ref().fields().iter().take(place).any(|other| other.name() == name) {
            return Err(refused(format!("the batch has two columns {name}")));
        }
    }
    let columns = Field::ALL.into_iter().map(|field| column(batch, field)).collect::<Result<_>>()?;
    RecordBatch::try_new(schema(), columns).map_err(Error::with(ErrorKind::Internal, "a batch cannot be completed"))
}

fn column(batch: &RecordBatch, field: Field) -> Result<ArrayRef> {
    let (name, rows) = (field.name(), batch.num_rows());
    let given = batch.column_by_name(name).filter(|_| field != Field::FlowId);
    if let Some(given) = given.filter(|given| *given.data_type() != column_type(field)) {
        let (given, allowed) = (given.data_type(), column_type(field));
        return Err(refused(format!("column {name} of the batch has the type {given}; allowed is {allowed}")));
    }
    match (field, given) {
        // The archive gives every flow an ID of its own.
        (Field::FlowId, _) => Ok(Arc::new(UInt64Array::from(vec![0; rows]))),
        (Field::StartTime, None) => Err(refused("the batch has no column start_time".to_owned())),
        (Field::StartTime, Some(given)) => match (0..rows).find(|row| given.is_null(*row)) {
            Some(row) => Err(refused(format!("start_time of flow {} is missing, and every flow has a start", row + 1))),
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

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
