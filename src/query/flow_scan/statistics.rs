//! What is known of the rows of a scan before it runs.

use std::sync::Arc;

use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision};

use super::{estimate::selectivity, survey::Survey};
use crate::{
    archive::SegmentEntry,
    filter::{Bounds, Verdict},
    flow::{Field, Kind, Span, Timestamp, ValueRef},
    query::Pruning,
    schema::column_type,
};

impl Survey {
    /// What is known of the rows before they are read.
    pub(super) fn statistics(&self) -> &Arc<Statistics> {
        self.statistics.get_or_init(|| Arc::new(statistics(self)))
    }
}

/// What the zone maps of the segments tell, and the counts that are remembered: exact where they decide.
fn statistics(survey: &Survey) -> Statistics {
    let known: Vec<Option<u64>> = (0..survey.segments.len()).map(|place| survey.known(place)).collect();
    let filter = &survey.target.goal.filter;
    let about = |entry: &SegmentEntry| (entry.rows as f64 * selectivity(filter, entry)).ceil() as u64;
    let rows = survey.entries().zip(&known).map(|(entry, known)| known.unwrap_or_else(|| about(entry)));
    let rows = usize::try_from(rows.sum::<u64>()).unwrap_or(usize::MAX);
    let num_rows = if known.iter().all(Option::is_some) { Precision::Exact(rows) } else { Precision::Inexact(rows) };
    let is_whole = survey.source.query.pruning == Pruning::On
        && survey.source.position.is_none()
        && survey.entries().all(|entry| filter.verdict(entry) == Verdict::Always);
    let columns = survey.source.fields.iter().map(|field| {
        let column = column(survey, *field);
        if is_whole && field.kind() != Kind::Text { column } else { column.to_inexact() }
    });
    Statistics { num_rows, total_byte_size: Precision::Absent, column_statistics: columns.collect() }
}

/// What is left of it for the first rows, or for one of several partitions.
pub(super) fn of_some(all: &Statistics, fetch: Option<usize>, is_part: bool, partitions: usize) -> Statistics {
    let mut some = all.clone().to_inexact();
    let rows = all.num_rows.get_value().copied().unwrap_or(usize::MAX);
    let rows = if is_part { rows.div_ceil(partitions.max(1)) } else { rows };
    // Each partition has its first rows.
    let most = fetch.map_or(usize::MAX, |fetch| if is_part { fetch } else { fetch.saturating_mul(partitions.max(1)) });
    let is_exact = all.num_rows.is_exact() == Some(true) && partitions == 1;
    let rows = rows.min(most);
    some.num_rows = if is_exact { Precision::Exact(rows) } else { Precision::Inexact(rows) };
    some
}

/// The bounds of a column over all segments.
fn column(survey: &Survey, field: Field) -> ColumnStatistics {
    let spans: Option<Vec<Span<'_>>> = survey.entries().map(|entry| entry.field(field)).collect();
    let Some(spans) = spans else { return ColumnStatistics::new_unknown() };
    let values = || spans.iter().filter_map(|span| span.values);
    let exactly = |value: Option<ValueRef<'_>>| {
        value.and_then(|value| scalar(field, value)).map_or(Precision::Absent, Precision::Exact)
    };
    let null_count = match spans.iter().any(|span| span.absent) {
        false => Precision::Exact(0),
        true => Precision::Absent,
    };
    ColumnStatistics {
        null_count,
        min_value: exactly(values().map(|(least, _)| least).min()),
        max_value: exactly(values().map(|(_, greatest)| greatest).max()),
        ..ColumnStatistics::new_unknown()
    }
}

/// A bound as a value of the column.
pub(super) fn scalar(field: Field, value: ValueRef<'_>) -> Option<ScalarValue> {
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
