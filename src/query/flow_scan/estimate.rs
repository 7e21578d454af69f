//! About how many flows match, where nothing tells exactly: which side of a join is kept in memory depends on it.

use crate::{
    filter::{Bounds, Filter, Set, Test, Verdict},
    flow::{Field, Kind, ValueRef},
};

/// About which part of the flows within some bounds match a filter. Nothing is known of how values are distributed, so what
/// is typical of flows is assumed: one address is rare, a port or a name less so, and times lie evenly.
pub(super) fn selectivity(filter: &Filter, bounds: &impl Bounds) -> f64 {
    filter.fold(|part, parts: Vec<f64>| match part {
        Filter::Test(test) => match part.verdict(bounds) {
            Verdict::Never => 0.0,
            Verdict::Maybe => passing(test, bounds),
            Verdict::Always => 1.0,
        },
        Filter::And(_) => parts.into_iter().product(),
        Filter::Or(_) => 1.0 - parts.into_iter().map(|part| 1.0 - part).product::<f64>(),
        Filter::Not(_) => 1.0 - parts.into_iter().product::<f64>(),
    })
}

/// About which part of the flows pass a test.
fn passing(test: &Test, bounds: &impl Bounds) -> f64 {
    match &test.set {
        Set::Numbers(ranges) => {
            let typical = test.field().map_or(0.005, typical);
            let values = test.field().and_then(|field| bounds.field(field)).and_then(|span| span.values);
            let Some((ValueRef::Number(least), ValueRef::Number(greatest))) = values else {
                return typical;
            };
            let width = |first: u128, last: u128| last.saturating_sub(first) as f64 + 1.0;
            let overlaps = ranges.as_slice().iter().map(|(first, last)| (*first.max(&least), *last.min(&greatest)));
            let (mut covered, mut values) = (0.0, 0.0);
            for (first, last) in overlaps.filter(|(first, last)| first <= last) {
                covered += width(first, last) / width(least, greatest);
                values += 1.0;
            }
            f64::max(covered, f64::min(values * typical, 0.5))
        }
        Set::Texts { texts, listed } => {
            let typical = test.field().map_or(0.02, typical);
            let named = f64::min(texts.len() as f64 * typical, 0.5);
            if *listed { named } else { 1.0 - named }
        }
        Set::Flags { .. } | Set::Patterns { .. } => 0.3,
    }
}

/// About which part of the flows have one certain value of a field.
fn typical(field: Field) -> f64 {
    match (field, field.kind()) {
        (Field::Protocol | Field::TcpFlags | Field::FlowFlags, _) => 0.2,
        (_, Kind::Address) => 1e-5,
        (_, Kind::Number) => 0.005,
        (_, Kind::Text) => 0.02,
        (_, Kind::Time) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        filter::{dst_ip, dst_port, protocol, src_node, src_port, start_time},
        flow::{AddressRange, Protocol, Span, Timestamp},
    };

    /// A thousand seconds of flows to all ports.
    struct Day;

    impl Bounds for Day {
        fn field(&self, field: Field) -> Option<Span<'_>> {
            let (least, greatest) = match field {
                Field::StartTime => (Timestamp::MIN.ordinal(), Timestamp::MIN.ordinal() + 999_999),
                Field::DstPort => (0, 65_535),
                _ => return None,
            };
            let number = |number: u64| ValueRef::Number(number.into());
            Some(Span { values: Some((number(least), number(greatest))), absent: false })
        }

        fn flag_masks(&self) -> (u8, u8) {
            (u8::MAX, 0)
        }
    }

    #[test]
    fn rare_values_are_thought_rarer_and_half_of_the_time_half() {
        let estimate = |filter: Filter| selectivity(&filter.normal(), &Day);
        let address = dst_ip().within("10.0.0.1".parse::<AddressRange>().unwrap());
        let half = start_time().lt(Timestamp::from_millis(Timestamp::MIN.as_millis() + 500_000).unwrap());
        assert!((estimate(half.clone()) - 0.5).abs() < 1e-6);
        assert!((estimate(dst_port().within(1024..)) - 0.984).abs() < 1e-3);
        let rising = [
            estimate(Filter::nothing()),
            estimate(address.clone().and(dst_port().eq(443))),
            estimate(address),
            estimate(dst_port().eq(443)),
            estimate(dst_port().eq(443).or(src_port().eq(443))),
            estimate(src_node().eq("a")),
            estimate(protocol().eq(Protocol::TCP)),
            estimate(half),
            estimate(!dst_port().eq(443)),
            estimate(Filter::all()),
        ];
        assert!(rising.is_sorted_by(|left, right| left < right), "{rising:?}");
        assert!(rising.iter().all(|part| (0.0..=1.0).contains(part)), "{rising:?}");
    }
}
