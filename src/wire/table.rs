//! Flows as Arrow columns with the names of the endpoint.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder},
    datatypes::{DataType, Field as Column, Schema, SchemaRef},
};

use super::{Cell, View};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, StoredFlow, columns::ValueType},
    schema::{Flows, column_type},
};

/// The columns of an answer: the fields of a view, numbers and times as such (UTC milliseconds), all else as the text that
/// JSON has.
pub fn table_schema(view: &View) -> SchemaRef {
    let column = |(name, field): &(&str, Field)| {
        let shown = if is_text(*field) { DataType::Utf8 } else { column_type(*field) };
        Column::new(*name, shown, !field.always_present())
    };
    Arc::new(Schema::new(view.fields().iter().map(column).collect::<Vec<_>>()))
}

/// The flows of a page as columns of [`table_schema`].
///
/// ```
/// use flowseek::{flow::{Flow, FlowId}, schema::FlowBuilder, wire::{View, table}};
///
/// let mut builder = FlowBuilder::default();
/// builder.push(&Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) })?;
/// let table = table(&builder.finish(FlowId::new(7))?, &View::default())?;
/// assert_eq!((table.num_columns(), table.num_rows()), (13, 1));
/// assert!(table.column_by_name("destPort").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Internal`] where the columns of `batch` are not those of [`schema`](crate::schema::schema).
pub fn table(batch: &RecordBatch, view: &View) -> Result<RecordBatch> {
    let flows: Vec<StoredFlow> = Flows::new(batch)?.iter().collect();
    let column = |field: Field| -> Result<ArrayRef> {
        if !is_text(field) {
            let column = batch.column_by_name(field.name()).cloned();
            return column.ok_or_else(|| Error::internal(format!("a batch has no column {}", field.name())));
        }
        let mut texts = StringBuilder::with_capacity(flows.len(), flows.len() * 16);
        for stored in &flows {
            texts.append_option(Cell::of(&stored.flow, field, view.flags()).map(|cell| cell.to_string()));
        }
        Ok(Arc::new(texts.finish()))
    };
    let columns: Result<Vec<ArrayRef>> = view.fields().iter().map(|(_, field)| column(*field)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(table_schema(view), columns?, &options)
        .map_err(Error::with(ErrorKind::Internal, "an answer's columns do not fit together"))
}

/// Whether a field is shown by a text that its column does not hold.
fn is_text(field: Field) -> bool {
    matches!(
        field.column().values,
        ValueType::Protocol | ValueType::Address | ValueType::TcpFlags | ValueType::FlowFlags
    )
}
