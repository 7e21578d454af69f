//! What flows are grouped by.

use std::{fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray},
    compute::cast,
    datatypes::{DataType, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    common::{
        Result as DataFusionResult, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    functions::datetime::date_bin::DateBinFunc,
    logical_expr::ScalarUDF,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        expressions::{CastExpr, Column, Literal},
    },
};

use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    query::{date_trunc::DateTrunc, exact::is_utc, flow_scan::FlowScanExec, functions::apart, summary::Apart},
    schema::schema,
};

/// A column that flows are grouped by, or a function of one.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) field: Field,
    /// Which of its values are of different groups.
    pub(super) apart: Apart,
    function: Option<Function>,
}

/// A function of a column.
#[derive(Clone, Debug)]
struct Function {
    /// The column is its first, and its only one.
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    /// Whether its values are those of the groups: of a later time it is never less. Else it tells the groups apart as its
    /// column does.
    is_bucket: bool,
}

impl Key {
    /// What a scan is grouped by, where that is known here:
    ///
    /// - `dst_port`, and any other column.
    /// - `ip_text(src_ip)`, `tcp_flags_text(tcp_flags)` and `protocol_name(protocol)`: groups by the column, of which the last
    ///   puts all protocols together that have no name. The function is applied to the groups.
    /// - `date_bin(INTERVAL '5 minutes', start_time)` and `date_trunc('hour', start_time)`: buckets of time.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>, scan: &FlowScanExec) -> Option<Self> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Some(Self { field: scan.field(column.index())?, apart: Apart::Values, function: None });
        }
        let function = expr.downcast_ref::<ScalarFunctionExpr>()?;
        let (column, apart, is_bucket) = match (function.args(), apart(function.fun())) {
            ([arg], Some(apart)) => (arg.downcast_ref::<Column>()?, apart, false),
            (args, _) => (bucketed(function.fun(), args)?, Apart::Values, true),
        };
        let field = scan.field(column.index()).filter(|field| !is_bucket || *field == Field::StartTime)?;
        let schema = Arc::new(Schema::new(vec![schema().field_with_name(field.name()).ok()?.clone()]));
        let function = Function { expr: of_first(expr, field).ok()?, schema, is_bucket };
        let key = Self { field, apart, function: Some(function) };
        // What ends in an error, such as buckets of no length, is DataFusion's to tell.
        let is_known = !is_bucket || key.buckets([0]).is_some();
        is_known.then_some(key)
    }

    /// Whether flows are grouped by buckets of time.
    pub(super) fn is_bucket(&self) -> bool {
        self.function.as_ref().is_some_and(|function| function.is_bucket)
    }

    /// The buckets of times: each by the time that stands for it, in the unit of the function; a time may be in none. `None`
    /// where the function has no value for one of the times.
    pub(super) fn buckets(&self, millis: impl IntoIterator<Item = i64>) -> Option<Int64Array> {
        let times = TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC");
        let buckets = self.function.as_ref()?.of(Arc::new(times)).ok()?;
        cast(&buckets, &DataType::Int64).ok()?.as_primitive_opt::<Int64Type>().cloned()
    }

    /// The keys of groups: of `values` that their flows have of the column, or of the times that stand for their buckets.
    pub(super) fn of_groups(&self, values: ArrayRef) -> Result<ArrayRef> {
        let failed = "groups have no keys";
        let Some(function) = &self.function else { return Ok(values) };
        if !function.is_bucket {
            return function.of(values).map_err(Error::with(ErrorKind::Internal, failed));
        }
        let of = function.expr.data_type(&function.schema).map_err(Error::with(ErrorKind::Internal, failed))?;
        let numbers = cast(&values, &DataType::Int64).and_then(|numbers| cast(&numbers, &of));
        numbers.map_err(Error::with(ErrorKind::Internal, failed))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{}", function.expr),
            None => f.write_str(self.field.name()),
        }
    }
}

impl Function {
    fn of(&self, values: ArrayRef) -> DataFusionResult<ArrayRef> {
        let rows = values.len();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![values])?;
        self.expr.evaluate(&batch)?.into_array(rows)
    }
}

/// The same expression of the first column.
fn of_first(expr: &Arc<dyn PhysicalExpr>, field: Field) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let first = |expr: Arc<dyn PhysicalExpr>| {
        Ok(match expr.is::<Column>() {
            true => Transformed::yes(Arc::new(Column::new(field.name(), 0)) as Arc<dyn PhysicalExpr>),
            false => Transformed::no(expr),
        })
    };
    Ok(Arc::clone(expr).transform(first)?.data)
}

/// The column of times that a function puts in buckets, where a later time is never in an earlier one.
fn bucketed<'a>(function: &ScalarUDF, args: &'a [Arc<dyn PhysicalExpr>]) -> Option<&'a Column> {
    let literal = |arg: &'a Arc<dyn PhysicalExpr>| arg.downcast_ref::<Literal>().map(Literal::value);
    let function = function.inner();
    match args {
        [unit, times] if function.downcast_ref::<DateTrunc>().is_some() => literal(unit).and_then(|_| time(times)),
        [length, times, origin @ ..] if function.downcast_ref::<DateBinFunc>().is_some() => {
            let is_length = match literal(length)? {
                // Months are not counted backwards.
                ScalarValue::IntervalMonthDayNano(Some(length)) => length.months >= 0,
                ScalarValue::IntervalDayTime(Some(_)) => true,
                _ => false,
            };
            time(times).filter(|_| is_length && origin.iter().all(|origin| literal(origin).is_some()))
        }
        _ => None,
    }
}

/// The column of times in an argument, which may be made a time of another unit.
fn time(arg: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    let Some(cast) = arg.downcast_ref::<CastExpr>() else { return arg.downcast_ref() };
    match cast.cast_type() {
        DataType::Timestamp(_, zone) if is_utc(zone.as_deref()) => cast.expr().downcast_ref(),
        _ => None,
    }
}
