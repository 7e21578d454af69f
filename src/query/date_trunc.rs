//! `date_trunc` for all years that a flow can start in.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    compute::cast,
    datatypes::{DataType, FieldRef, Int64Type, TimeUnit},
};
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, ScalarValue},
    logical_expr::{
        ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        sort_properties::{ExprProperties, SortProperties},
    },
};

/// After so many seconds the calendar is the same again: 400 years, which are whole weeks.
const CYCLE: i64 = 146_097 * 86_400;

/// The `date_trunc` of DataFusion counts in nanoseconds, which end in the year 2262. Other times are moved by cycles of
/// the calendar before it sees them, and back.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateTrunc {
    pub(super) inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> DataFusionResult<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Some(times) = args.args.get_mut(1) else { return self.inner.invoke_with_args(args) };
        let Some(cycle) = cycle(&times.data_type()) else { return self.inner.invoke_with_args(args) };
        let (array, is_scalar) = match times {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let cycles = numbers(&array)?.unary::<_, Int64Type>(|time| (time + cycle / 2).div_euclid(cycle));
        // Times since 1770 and before 2170, nearly always.
        if cycles.iter().flatten().all(|cycles| cycles == 0) {
            return self.inner.invoke_with_args(args);
        }
        *times = ColumnarValue::Array(moved(&array, &cycles, -cycle)?);
        let truncated = self.inner.invoke_with_args(args)?.into_array(array.len())?;
        let truncated = moved(&truncated, &cycles, cycle)?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&truncated, 0)?),
            false => ColumnarValue::Array(truncated),
        })
    }
}

/// A cycle of the calendar in the unit of a type, where that counts beyond nanoseconds.
fn cycle(of: &DataType) -> Option<i64> {
    match of {
        DataType::Timestamp(TimeUnit::Second, _) => Some(CYCLE),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(CYCLE * 1000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(CYCLE * 1_000_000),
        _ => None,
    }
}

fn numbers(times: &ArrayRef) -> DataFusionResult<Int64Array> {
    let numbers = cast(times, &DataType::Int64)?;
    let numbers = numbers.as_primitive_opt::<Int64Type>();
    numbers.cloned().ok_or_else(|| DataFusionError::Internal("times are not numbers".to_owned()))
}

/// The times, each moved by so many cycles.
fn moved(times: &ArrayRef, cycles: &Int64Array, cycle: i64) -> DataFusionResult<ArrayRef> {
    let moved = |(time, cycles): (Option<i64>, Option<i64>)| Some(time?.wrapping_add(cycles?.wrapping_mul(cycle)));
    let moved: Int64Array = numbers(times)?.iter().zip(cycles).map(moved).collect();
    Ok(cast(&moved, times.data_type())?)
}
