//! Flows as a batch, and expressions evaluated for them.

use arrow::array::{BooleanArray, RecordBatch};
use datafusion::{
    common::{DFSchema, Result, cast::as_boolean_array},
    execution::context::ExecutionProps,
    logical_expr::{Expr, physical_planning_context::PhysicalPlanningContext},
    physical_expr::create_physical_expr,
};

use super::{FlowBuilder, Flows, schema};
use crate::flow::{FlowId, StoredFlow};

/// Flows as a batch, and in the order of its rows.
pub(crate) fn batch(flows: &[StoredFlow]) -> (RecordBatch, Vec<StoredFlow>) {
    let mut builder = FlowBuilder::default();
    flows.iter().for_each(|stored| builder.push(&stored.flow).unwrap());
    let batch = builder.finish(FlowId::new(1)).unwrap();
    let flows = Flows::new(&batch).unwrap().iter().collect();
    (batch, flows)
}

/// What an expression answers for each row. Its columns may be qualified as those of `flows`.
pub(crate) fn answers(expr: &Expr, batch: &RecordBatch) -> Result<BooleanArray> {
    let columns = DFSchema::try_from_qualified_schema("flows", &schema())?;
    let planning = PhysicalPlanningContext::default();
    let expr = create_physical_expr(expr, &columns, &ExecutionProps::new(), &planning)?;
    let value = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    as_boolean_array(&value).cloned()
}

/// For which rows an expression is true.
pub(crate) fn passes(expr: &Expr, batch: &RecordBatch) -> Vec<bool> {
    answers(expr, batch).unwrap().iter().map(|passes| passes == Some(true)).collect()
}
