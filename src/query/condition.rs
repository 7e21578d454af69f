//! What a flow must be to be found: DataFusion predicates, each over the few columns that it looks at.

use std::sync::{Arc, OnceLock};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions},
    compute::prep_null_mask_filter,
    datatypes::{Schema, SchemaRef},
};
use datafusion::{
    common::{DFSchema, DataFusionError, cast::as_boolean_array},
    execution::context::ExecutionProps,
    logical_expr::{Expr, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use super::{
    addresses::{self, is_of_addresses},
    goal::Goal,
    made::{self, made},
    threshold::{Side, Threshold},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Test},
    flow::{Field, Kind, Value},
    order::{Order, SortKey},
    schema::{after_expr, filter_expr, lead_expr, schema},
    segment::{Probes, SegmentReader, whole_addresses},
};

/// A predicate over some columns.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) fields: Vec<Field>,
    source: Source,
    /// It is made when the first rows are read: a page of none needs none.
    predicate: OnceLock<Predicate>,
}

/// What a predicate is made of.
#[derive(Debug)]
enum Source {
    Filter(Filter),
    /// Of addresses alone. It is evaluated without the expression.
    Addresses(Filter),
    /// Of a number that two columns make, likewise.
    Made(Filter),
    Expr(Expr),
    /// Values of a sort key on one side of another. Most are compared without the expression.
    Threshold(Threshold, Expr),
}

#[derive(Debug)]
struct Predicate {
    columns: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
}

impl Predicate {
    fn new(fields: &[Field], expr: &Expr) -> Result<Self> {
        let places: Vec<usize> = fields.iter().map(|field| *field as usize).collect();
        let columns = schema().project(&places).map_err(Error::with(ErrorKind::Internal, "a column is unknown"))?;
        let columns = Arc::new(Schema::new(columns.fields));
        let named = DFSchema::try_from(Arc::clone(&columns)).map_err(failed)?;
        let planning = PhysicalPlanningContext::default();
        let expr = create_physical_expr(expr, &named, &ExecutionProps::new(), &planning).map_err(failed)?;
        Ok(Self { columns, expr })
    }
}

impl Condition {
    fn new(mut fields: Vec<Field>, source: Source) -> Self {
        fields.sort_unstable();
        fields.dedup();
        Self { fields, source, predicate: OnceLock::new() }
    }

    fn of_filter(filter: &Filter) -> Self {
        let source = match filter {
            filter if made(filter).is_some() => Source::Made,
            filter if is_of_addresses(filter) => Source::Addresses,
            _ => Source::Filter,
        };
        Self::new(filter.tests().flat_map(Test::fields).collect(), source(filter.clone()))
    }

    /// The flows whose first sort key does not come after `value`: only they can come before a flow that has it.
    pub(super) fn not_after(order: &Order, value: Option<&Value>) -> Option<Self> {
        order.keys().first().map(|key| Self::of_lead(*key, value, Side::NotAfter))
    }

    /// The flows whose first sort key is on one side of `value`.
    fn of_lead(key: SortKey, value: Option<&Value>, side: Side) -> Self {
        let expr = lead_expr(key, value, side == Side::NotAfter);
        let source = match value {
            Some(value) => Source::Threshold(Threshold::new(key, value, side), expr),
            None => Source::Expr(expr),
        };
        Self::new(vec![key.field], source)
    }

    /// For which of `rows` rows it is true. Addresses may be places in a dictionary.
    pub(super) fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let mask = match (&self.source, columns.as_slice()) {
            (Source::Threshold(threshold, _), [column]) => threshold.reached_by(column),
            (Source::Addresses(filter), columns) => addresses::passing(filter, &self.fields, columns, rows),
            (Source::Made(filter), columns) => made(filter).and_then(|test| made::passing(test, &self.fields, columns)),
            _ => None,
        };
        if let Some(mask) = mask {
            return Ok(mask);
        }
        let predicate = self.predicate()?;
        let columns = self.fields.iter().zip(columns).map(|(field, column)| match field.kind() {
            Kind::Address => whole_addresses(column),
            Kind::Time | Kind::Number | Kind::Text => Ok(column),
        });
        let columns = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&predicate.columns), columns, &options);
        let batch = batch.map_err(Error::with(ErrorKind::Internal, "a predicate was given other columns"))?;
        let value = predicate.expr.evaluate(&batch).and_then(|value| value.into_array(rows)).map_err(failed)?;
        let mask = as_boolean_array(&value).map_err(failed)?;
        Ok(if mask.nulls().is_some() { prep_null_mask_filter(mask) } else { mask.clone() })
    }

    fn predicate(&self) -> Result<&Predicate> {
        if let Some(made) = self.predicate.get() {
            return Ok(made);
        }
        let made = match &self.source {
            Source::Filter(filter) | Source::Addresses(filter) | Source::Made(filter) => {
                Predicate::new(&self.fields, &filter_expr(filter))
            }
            Source::Expr(expr) | Source::Threshold(_, expr) => Predicate::new(&self.fields, expr),
        };
        // Another thread may have made it meanwhile: the two are the same.
        let made = made?;
        Ok(self.predicate.get_or_init(|| made))
    }

    /// How dear it is to decode what it looks at.
    fn weight(&self) -> f64 {
        let weight = |field: &Field| match field.kind() {
            Kind::Time | Kind::Number => 1.0,
            Kind::Text => 6.0,
            Kind::Address => 4.0,
        };
        self.fields.iter().map(weight).sum()
    }
}

/// What is not known of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open<'a> {
    /// All match, and are still to come.
    Nothing,
    /// Some may not pass these parts of the filter, whose places ascend, or come before the position.
    Parts(&'a [usize]),
    /// Some may not match, or come before the position.
    All,
}

/// The conditions of a goal, those first that turn most flows away for the least work.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// Of the parts of the filter, and the place of each among them.
    filter: Vec<(usize, Arc<Condition>)>,
    /// Of the position, where the order does not tell by itself.
    position: Vec<Arc<Condition>>,
    is_ordered: bool,
}

impl Conditions {
    pub(super) fn new(goal: &Goal) -> Self {
        let parts = goal.filter.conjuncts().iter().enumerate();
        let filter = parts.map(|(place, part)| (place, Arc::new(Condition::of_filter(part))));
        let mut conditions = Self { filter: filter.collect(), position: Vec::new(), is_ordered: false };
        if let Some(position) = goal.position.as_ref().filter(|_| goal.order.by_time().is_none()) {
            // Most are told by the first key alone.
            if let (Some(key), Some(value)) = (goal.order.keys().first(), position.key.first()) {
                conditions.position.push(Arc::new(Condition::of_lead(*key, value.as_ref(), Side::NotBefore)));
            }
            let fields = goal.order.keys().iter().map(|key| key.field).collect();
            let after = Source::Expr(after_expr(&goal.order, position));
            conditions.position.push(Arc::new(Condition::new(fields, after)));
        }
        conditions
    }

    /// Puts them in order, by what the lists of a segment tell: the first that is looked into speaks for all.
    pub(super) fn order(&mut self, filter: &Filter, segment: &SegmentReader, probes: &Probes) {
        if std::mem::replace(&mut self.is_ordered, true) || self.filter.len() < 2 {
            return;
        }
        let whole = probes.whole(segment);
        let rows = segment.shape().rows.max(1) as f64;
        let parts = filter.conjuncts();
        let cost = |(place, condition): &(usize, Arc<Condition>)| {
            let passing =
                parts.get(*place).and_then(|part| part.count(&whole)).map_or(0.5, |count| count as f64 / rows);
            condition.weight() / (1.0 - passing).max(1e-3)
        };
        self.filter.sort_by(|left, right| cost(left).total_cmp(&cost(right)));
    }

    /// What rows must pass.
    pub(super) fn of(&self, rows: Open<'_>, threshold: Option<&Arc<Condition>>) -> Vec<Arc<Condition>> {
        let position = self.position.iter().take(if rows == Open::Nothing { 0 } else { usize::MAX });
        threshold.into_iter().chain(position).cloned().chain(self.of_filter(rows)).collect()
    }

    /// What rows must pass to match, be they still to come or not.
    pub(super) fn of_filter(&self, rows: Open<'_>) -> Vec<Arc<Condition>> {
        let is_open = |place: &usize| match rows {
            Open::Nothing => false,
            Open::Parts(parts) => parts.binary_search(place).is_ok(),
            Open::All => true,
        };
        let open = self.filter.iter().filter(|(place, _)| is_open(place));
        open.map(|(_, condition)| Arc::clone(condition)).collect()
    }
}

fn failed(error: DataFusionError) -> Error {
    Error::with(ErrorKind::Internal, "a predicate cannot be evaluated")(error)
}
