//! What a manifest knows of segments, as DataFusion asks for it to pass over some of them.

use std::{collections::HashSet, sync::Arc};

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::common::{Column, ScalarValue, pruning::PruningStatistics};

use crate::{
    archive::SegmentEntry,
    filter::Bounds,
    flow::{Field, Span, Timestamp, ValueRef},
    schema::column_type,
};

/// The bounds of segments, one row each. They may be wider than the values are, which is sound for passing over segments
/// and for nothing else: [`Statistics`](datafusion::common::Statistics), by which DataFusion also answers, must be exact.
pub(super) struct SegmentStatistics<'a>(pub(super) &'a [SegmentEntry]);

impl SegmentStatistics<'_> {
    fn spans<'a>(&'a self, column: &Column) -> Option<(Field, impl Iterator<Item = Option<Span<'a>>> + use<'a>)> {
        let field = Field::ALL.into_iter().find(|field| field.name() == column.name)?;
        Some((field, self.0.iter().map(move |entry| entry.field(field))))
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

impl PruningStatistics for SegmentStatistics<'_> {
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
        let counts = self.0.iter().zip(spans).map(|(entry, span)| match span? {
            Span { absent: false, .. } => Some(0),
            Span { values: None, .. } => Some(entry.rows),
            // How many, a zone map does not tell.
            Span { .. } => None,
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|entry| Some(entry.rows)).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A bound as a value of the column.
fn scalar(field: Field, value: ValueRef<'_>) -> Option<ScalarValue> {
    match (field, value) {
        (Field::StartTime | Field::EndTime, ValueRef::Number(time)) => {
            let millis = Timestamp::ordinal_millis(u64::try_from(time).ok()?);
            Some(ScalarValue::TimestampMillisecond(Some(millis), Some("UTC".into())))
        }
        (Field::SrcIp | Field::DstIp, ValueRef::Number(address)) => {
            Some(ScalarValue::FixedSizeBinary(16, Some(address.to_be_bytes().to_vec())))
        }
        (_, ValueRef::Number(number)) => {
            ScalarValue::UInt64(Some(u64::try_from(number).ok()?)).cast_to(&column_type(field)).ok()
        }
        (_, ValueRef::Text(text)) => Some(ScalarValue::Utf8(Some(text.to_owned()))),
    }
}
