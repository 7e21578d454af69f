//! Which nodes of a plan are replaced.

use std::sync::Arc;

use datafusion::{
    common::{
        Result as DataFusionResult,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    physical_expr::Partitioning,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode},
        coalesce_partitions::CoalescePartitionsExec,
        execution_plan::replace_children_if_necessary,
        repartition::RepartitionExec,
    },
};

use super::{FlowGroupsExec, input::Input, shape::Shape};

/// The rule before which this one comes: until then, nothing is between the two halves of an aggregation.
const NEXT: &str = "EnsureRequirements";

/// Puts a [`FlowGroupsExec`] in the place of an aggregation of flows that has its [`Shape`].
#[derive(Debug)]
pub(in crate::query) struct GroupFlows;

impl GroupFlows {
    /// Rules with this one at its place.
    pub(in crate::query) fn among(
        mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
    ) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
        if let Some(place) = rules.iter().position(|rule| rule.name() == NEXT) {
            rules.insert(place, Arc::new(Self));
        }
        rules
    }
}

impl PhysicalOptimizerRule for GroupFlows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let replace = |node: Arc<dyn ExecutionPlan>| {
            Ok(match grouped(&node, config.execution.target_partitions)? {
                Some(groups) => Transformed::yes(Arc::new(groups) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        };
        Ok(plan.transform_down(replace)?.data)
    }

    fn name(&self) -> &str {
        "group_flows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What takes the place of a node, if something does.
fn grouped(node: &Arc<dyn ExecutionPlan>, partitions: usize) -> DataFusionResult<Option<FlowGroupsExec>> {
    let Some(outer) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let inner = match outer.mode() {
        AggregateMode::Single => outer,
        AggregateMode::Final | AggregateMode::FinalPartitioned => match outer.input().downcast_ref::<AggregateExec>() {
            Some(inner) if *inner.mode() == AggregateMode::Partial => inner,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let Some(input) = Input::of(inner.input()) else { return Ok(None) };
    let Some(shape) = Shape::of(inner, &input).filter(|_| outer.limit_options().is_none()) else { return Ok(None) };
    let halves: Option<Arc<dyn ExecutionPlan>> = match outer.mode() {
        AggregateMode::FinalPartitioned => {
            let hashed = Partitioning::Hash(outer.group_expr().input_exprs(), partitions.max(1));
            Some(Arc::new(RepartitionExec::try_new(Arc::clone(outer.input()), hashed)?))
        }
        AggregateMode::Final => Some(Arc::new(CoalescePartitionsExec::new(Arc::clone(outer.input())))),
        _ => None,
    };
    let plain = match halves {
        Some(halves) => replace_children_if_necessary(Arc::clone(node), vec![halves])?,
        None => Arc::clone(node),
    };
    Ok(Some(FlowGroupsExec::new(shape, input.scan, plain)))
}
