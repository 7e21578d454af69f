//! What an aggregation reads.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

use crate::{flow::Field, query::flow_scan::FlowScanExec};

/// A scan, and perhaps a projection of its columns: DataFusion puts one there where an expression occurs twice.
pub(super) struct Input<'a> {
    pub(super) scan: &'a FlowScanExec,
    projection: Option<&'a ProjectionExec>,
}

impl<'a> Input<'a> {
    /// `None` where the node is neither.
    pub(super) fn of(node: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        let projection = node.downcast_ref::<ProjectionExec>();
        let scan = projection.map_or(node, ProjectionExec::input).downcast_ref::<FlowScanExec>()?;
        scan.is_plain().then_some(Self { scan, projection })
    }

    /// An expression of the columns of the scan that has the same value.
    pub(super) fn resolved(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        let Some(projection) = self.projection else { return Some(Arc::clone(expr)) };
        let of_scan = |expr: Arc<dyn PhysicalExpr>| {
            let column = expr.downcast_ref::<Column>().map(Column::index);
            let projected = column.and_then(|column| projection.expr().get(column));
            Ok(match projected {
                Some(projected) => Transformed::yes(Arc::clone(&projected.expr)),
                None => Transformed::no(expr),
            })
        };
        // From the leaves up, so that what takes the place of a column stays as it is.
        Arc::clone(expr).transform_up(of_scan).ok().map(|resolved| resolved.data)
    }

    /// The field of which an expression of the scan's columns is the column.
    pub(super) fn field(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Field> {
        self.scan.field(expr.downcast_ref::<Column>()?.index())
    }
}
