//! Whether a batch is as an archive stores it.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMillisecondType, UInt64Type};

use super::{check_text, schema};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, FlowId, Meta, Timestamp, columns::ValueType},
};

/// Whether a batch has the columns of an archive, values that can be stored, flows newest first, and of these the IDs from
/// `first` on, each once.
///
/// # Errors
/// [`ErrorKind::InvalidInput`], which says what is wrong with which flow.
pub(crate) fn check_sorted(batch: &RecordBatch, first: FlowId) -> Result<()> {
    let columns = |schema: &arrow::datatypes::Schema| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    };
    let (given, allowed) = (columns(batch.schema_ref()), columns(&schema()));
    if given != allowed {
        let place = given.iter().zip(&allowed).take_while(|(given, allowed)| given == allowed).count();
        let name =
            |columns: &[String]| columns.get(place).map_or_else(|| "none".to_owned(), |column| format!("`{column}`"));
        let message = format!("column {} of the batch is {}; expected is {}", place + 1, name(&given), name(&allowed));
        return Err(invalid(message));
    }
    for (field, column) in Field::all().zip(batch.columns()) {
        check_column(field, column)?;
    }
    check_order(batch, first)
}

/// Types allow more than an archive holds.
fn check_column(field: Field, column: &ArrayRef) -> Result<()> {
    let is_required = field.always_present();
    if is_required && column.null_count() > 0 {
        return Err(invalid(format!("{} is missing in {} flows", field.name(), column.null_count())));
    }
    let of_row = |row: usize, reason: String| invalid(format!("{} of flow {}: {reason}", field.name(), row + 1));
    if let Some(times) = column.as_primitive_opt::<TimestampMillisecondType>() {
        let is_outside = |time: Option<i64>| time.is_some_and(|time| Timestamp::from_millis(time).is_none());
        let outside = times.iter().position(is_outside);
        return outside.map_or(Ok(()), |row| Err(of_row(row, "it lies outside the years 0 to 9999".to_owned())));
    }
    let Some(texts) = column.as_string_opt::<i32>() else { return Ok(()) };
    for (row, text) in texts.iter().enumerate().filter_map(|(row, text)| Some((row, text?))) {
        match field.column().values {
            ValueType::Meta => {
                let object = text.parse::<Meta>().map_err(|error| of_row(row, error.into()))?;
                if object.as_str() != text {
                    return Err(of_row(row, "it has white space between its parts".to_owned()));
                }
            }
            _ => check_text(field, Some(text)).map_err(|error| of_row(row, error.to_string()))?,
        }
    }
    Ok(())
}

/// Newest first, and of flows that began at the same time the one with the greater ID.
fn check_order(batch: &RecordBatch, first: FlowId) -> Result<()> {
    let column = |field: Field| batch.column(field as usize);
    let times = column(Field::StartTime).as_primitive_opt::<TimestampMillisecondType>();
    let ids = column(Field::FlowId).as_primitive_opt::<UInt64Type>();
    let (times, ids) = times.zip(ids).ok_or_else(|| Error::internal("a column of flows is not of its type"))?;
    let mut is_given = vec![false; ids.len()];
    for (row, id) in ids.values().iter().enumerate() {
        let place = id.checked_sub(first.get()).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| is_given.get_mut(place)) {
            Some(is_given) if !*is_given => *is_given = true,
            Some(_) => return Err(invalid(format!("the ID {id} is that of two flows"))),
            None => {
                let message =
                    format!("flow {} has the ID {id}; the next {} are {first} and those after it", row + 1, ids.len());
                return Err(invalid(message));
            }
        }
    }
    let keys: Vec<(i64, u64)> = times.values().iter().copied().zip(ids.values().iter().copied()).collect();
    match keys.windows(2).position(|pair| pair.first() <= pair.last()) {
        None => Ok(()),
        Some(row) => {
            let message = format!("flow {} comes after the one behind it; flows are sorted newest first", row + 1);
            Err(invalid(message))
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{StringArray, TimestampMillisecondArray, UInt64Array},
        datatypes::Schema,
    };

    use super::*;
    use crate::{
        flow::{Flow, sample},
        schema::FlowBuilder,
    };
    use proptest::prelude::*;

    fn flow(millis: i64) -> Flow {
        let meta = Some(r#"{"rule":17}"#.parse().unwrap());
        Flow { src_node: Some("a".to_owned()), meta, ..Flow::starting(Timestamp::from_millis(millis).unwrap()) }
    }

    /// Three flows, of which two began at the same time.
    fn batch() -> RecordBatch {
        let mut flows = FlowBuilder::default();
        [7, 9, 7].into_iter().for_each(|millis| flows.push(&flow(millis)).unwrap());
        flows.finish(FlowId::new(5)).unwrap()
    }

    fn with(field: Field, column: ArrayRef) -> RecordBatch {
        let mut columns = batch().columns().to_vec();
        columns[field as usize] = column;
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    fn refused(batch: &RecordBatch) -> String {
        let error = check_sorted(batch, FlowId::new(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    }

    proptest! {
        #[test]
        fn what_a_builder_makes_can_be_stored(flows in sample::flows(20), first in 1u64..9) {
            let mut builder = FlowBuilder::default();
            flows.iter().for_each(|stored| builder.push(&stored.flow).unwrap());
            prop_assert!(check_sorted(&builder.finish(FlowId::new(first)).unwrap(), FlowId::new(first)).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_with_a_batch_is_said_with_the_flow() {
        assert!(check_sorted(&batch(), FlowId::new(5)).is_ok());
        let ids = |ids: [u64; 3]| with(Field::FlowId, Arc::new(UInt64Array::from(ids.to_vec())));
        let times = |times: [i64; 3]| {
            with(Field::StartTime, Arc::new(TimestampMillisecondArray::from(times.to_vec()).with_timezone("UTC")))
        };
        let texts = |field, texts: [&str; 3]| with(field, Arc::new(StringArray::from(texts.to_vec())));
        let fewer = batch().project(&(0..18).collect::<Vec<_>>()).unwrap();
        let renamed = {
            let mut fields: Vec<_> = schema().fields().iter().map(|field| field.as_ref().clone()).collect();
            fields[7] = fields[7].clone().with_name("port");
            RecordBatch::try_new(Arc::new(Schema::new(fields)), batch().columns().to_vec()).unwrap()
        };
        for (batch, message) in [
            (fewer, "column 19 of the batch is none; expected is `meta Utf8`"),
            (renamed, "column 8 of the batch is `port UInt16`; expected is `dst_port UInt16`"),
            (ids([6, 5, 7]), "flow 2 comes after the one behind it; flows are sorted newest first"),
            (ids([6, 7, 7]), "the ID 7 is that of two flows"),
            (ids([6, 8, 7]), "flow 2 has the ID 8; the next 3 are 5 and those after it"),
            (ids([6, 4, 5]), "flow 2 has the ID 4; the next 3 are 5 and those after it"),
            (times([7, 9, 7]), "flow 1 comes after the one behind it; flows are sorted newest first"),
            (times([i64::MAX, 7, 7]), "start_time of flow 1: it lies outside the years 0 to 9999"),
            (
                texts(Field::SrcNode, ["a", "", "b"]),
                "src_node of flow 2: src_node has 0 bytes; allowed are 1 to 255, or no value at all",
            ),
            (
                texts(Field::Meta, ["{}", "{}", "[]"]),
                "meta of flow 3: not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
            ),
            (texts(Field::Meta, ["{}", "{ }", "{}"]), "meta of flow 2: it has white space between its parts"),
        ] {
            assert_eq!(refused(&batch), message);
        }
    }
}
