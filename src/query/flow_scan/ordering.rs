//! Orders of SQL as orders of flows.

use std::{collections::BTreeSet, fmt, sync::Arc};

use arrow::compute::SortOptions;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column};

use super::Source;
use crate::{
    filter::{Bounds, Filter, Ranges, Test},
    flow::{Field, Kind},
    order::{Direction, Order, SortKey},
};

/// An order of the rows of a scan, and how flows are found in it.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    /// What is declared of the rows.
    pub(super) exprs: LexOrdering,
    /// Filters and orders: the flows of the first come first, then those of the second.
    pub(super) phases: Vec<(Filter, Order)>,
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.exprs)
    }
}

/// The order that `exprs` ask of the rows of `source`; `None` where one is not a column, or where absent values come
/// first in a column behind the first.
///
/// In an [`Order`] absent values come last. Where they are to come first in the first column, the flows without that
/// value come in a phase of their own. For example, `dst_bytes DESC NULLS FIRST, dst_port` is first the flows without
/// `dst_bytes` by `dst_port`, then the others by both.
pub(super) fn sorted_by(source: &Source, exprs: &[PhysicalSortExpr]) -> Option<Sorted> {
    let keys = exprs.iter().map(|expr| key(source, expr)).collect::<Option<Vec<_>>>()?;
    let phases = phases(source.query.filter.clone(), &keys, &|field| is_present(source, field))?;
    Some(Sorted { exprs: LexOrdering::new(exprs.iter().cloned())?, phases })
}

impl Sorted {
    /// The flows of `source` in the order of its query.
    pub(super) fn of_query(source: &Source) -> Option<Self> {
        let order = &source.query.order;
        let exprs = exprs(order, &source.fields)?;
        Some(Self { exprs, phases: vec![(source.query.filter.clone(), order.clone())] })
    }
}

/// An order as expressions over columns.
pub(super) fn exprs(order: &Order, columns: &[Field]) -> Option<LexOrdering> {
    let exprs = order.keys().iter().map(|key| {
        let place = columns.iter().position(|column| *column == key.field)?;
        let column = Arc::new(Column::new(key.field.name(), place));
        let descending = key.direction == Direction::Descending;
        Some(PhysicalSortExpr::new(column, SortOptions { descending, nulls_first: false }))
    });
    LexOrdering::new(exprs.collect::<Option<Vec<_>>>()?)
}

/// A key, and whether absent values come first in it.
type Key = (SortKey, bool);

fn key(source: &Source, expr: &PhysicalSortExpr) -> Option<Key> {
    let column = expr.expr.downcast_ref::<Column>()?;
    let field = *source.fields.get(column.index())?;
    let direction = if expr.options.descending { Direction::Descending } else { Direction::Ascending };
    Some((SortKey { field, direction }, expr.options.nulls_first))
}

/// Filters and orders that one after the other give the flows of `filter` by `keys`. `is_present` tells of which fields
/// every flow of `filter` has a value.
fn phases(filter: Filter, keys: &[Key], is_present: &impl Fn(Field) -> bool) -> Option<Vec<(Filter, Order)>> {
    let Some((first, others)) = keys.split_first() else {
        return Some(vec![(filter, Order::newest_first())]);
    };
    let has_absent_first = |(key, nulls_first): &Key| *nulls_first && !is_present(key.field);
    if others.iter().any(|key| key.0.field != first.0.field && has_absent_first(key)) {
        // Unless all flows without the first value come before, where it may be the first key.
        return None;
    }
    let order = Order::new(keys.iter().map(|(key, _)| *key), first.0.direction);
    if !has_absent_first(first) {
        return Some(vec![(filter, order)]);
    }
    let present = present(first.0.field);
    let mut all = phases(filter.clone().and(!present.clone()).normal(), others, is_present)?;
    all.push((filter.and(present).normal(), order));
    Some(all)
}

/// Whether every flow that matches has a value of a field, as far as the filter or the zone maps tell.
fn is_present(source: &Source, field: Field) -> bool {
    let is_tested =
        |part: &Filter| matches!(part, Filter::Test(test) if test.field() == Some(field) && !test.passes_absent());
    let query = &source.query;
    let entries = &query.snapshot.manifest().segments;
    field.always_present()
        || query.filter.conjuncts().iter().any(is_tested)
        || entries.iter().all(|entry| entry.field(field).is_some_and(|span| !span.absent))
}

/// Passes the flows that have a value of a field.
fn present(field: Field) -> Filter {
    match field.kind() {
        Kind::Text => Test::texts(field, BTreeSet::new(), false),
        Kind::Time | Kind::Number | Kind::Address => Test::numbers(field, Ranges::full()),
    }
}
