//! Filters of the nodes above a scan that pass over segments and blocks while it runs.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{Column, ScalarValue, pruning::PruningStatistics},
    physical_expr::{DynamicFilterTracking, PhysicalExpr, conjunction_opt},
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};

use super::statistics::scalar;
use crate::{
    filter::{Bounds, Filter},
    flow::{Field, Span, ValueRef},
    query::recognise::implied,
    schema::column_type,
};

/// What must be true of a row, or the nodes above drop it. Part of it may become known only while the scan runs: the worst
/// row of a top-k, the keys of a join.
#[derive(Debug)]
pub(super) struct Narrowing {
    filter: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    tracking: DynamicFilterTracking,
    current: Option<Arc<PruningPredicate>>,
    /// What filters tell of it.
    implied: Filter,
}

impl Narrowing {
    /// By all of `filters`, over rows with the columns of `schema`.
    pub(super) fn new(filters: &[Arc<dyn PhysicalExpr>], schema: &SchemaRef) -> Option<Self> {
        let filter = conjunction_opt(filters.iter().cloned())?;
        // First subscribe, then look: nothing that changes meanwhile is missed.
        let tracking = DynamicFilterTracking::classify(&filter);
        let current = pruning(&filter, schema);
        let implied = implied(&filter);
        Some(Self { filter, schema: Arc::clone(schema), tracking, current, implied })
    }

    /// A filter that every row passes which is not dropped above, as far as is known by now: lists answer it.
    pub(super) fn implied(&mut self) -> &Filter {
        self.update();
        &self.implied
    }

    fn update(&mut self) {
        if self.tracking.watcher().is_some_and(|watcher| watcher.changed()) {
            self.current = pruning(&self.filter, &self.schema);
            self.implied = implied(&self.filter);
        }
    }

    /// Whether rows within each of `bounds` can pass, as far as is known by now.
    pub(super) fn keeps<B: Bounds>(&mut self, bounds: &[B]) -> Vec<bool> {
        self.update();
        // Whatever cannot be told by bounds drops nothing.
        let kept = self.current.as_ref().and_then(|pruning| pruning.prune(&Zones(bounds)).ok());
        kept.unwrap_or_else(|| vec![true; bounds.len()])
    }
}

fn pruning(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Option<Arc<PruningPredicate>> {
    PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(Arc::clone(filter))
}

/// The bounds of segments or blocks, one row each. They may be wider than the values are, which is sound for passing over
/// them and for nothing else.
struct Zones<'a, B>(&'a [B]);

impl<B: Bounds> Zones<'_, B> {
    fn spans<'a>(&'a self, column: &Column) -> Option<(Field, impl Iterator<Item = Option<Span<'a>>> + use<'a, B>)> {
        let field = Field::all().find(|field| field.name() == column.name)?;
        Some((field, self.0.iter().map(move |bounds| bounds.field(field))))
    }

    fn values(
        &self,
        column: &Column,
        which: for<'a> fn((ValueRef<'a>, ValueRef<'a>)) -> ValueRef<'a>,
    ) -> Option<ArrayRef> {
        let (field, spans) = self.spans(column)?;
        let unknown = ScalarValue::try_from(&column_type(field)).ok()?;
        let values = spans.map(|span| match span.and_then(|span| span.values) {
            Some(values) => scalar(field, which(values)),
            None => Some(unknown.clone()),
        });
        ScalarValue::iter_to_array(values.collect::<Option<Vec<_>>>()?).ok()
    }
}

impl<B: Bounds> PruningStatistics for Zones<'_, B> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |(least, _)| least)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |(_, greatest)| greatest)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let (_, spans) = self.spans(column)?;
        let counts = self.0.iter().zip(spans).map(|(bounds, span)| match span? {
            Span { absent: false, .. } => Some(0),
            Span { values: None, .. } => bounds.rows(),
            // How many, bounds do not tell.
            Span { .. } => None,
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(Bounds::rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
