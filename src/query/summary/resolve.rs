//! The groups of long lists.

use std::sync::Arc;

use super::{
    accumulator::Accumulator,
    frequent::{Frequent, candidates},
    listing::FrequentPart,
    part_groups::PartGroups,
    shared::SharedGroups,
};
use crate::{
    error::{Error, Result},
    flow::ValueRef,
    query::segments::Segments,
};

/// Puts all groups together: of long lists those that may be among the first `top`, for which the lists are asked where they
/// were not kept. False where it is not known which these are.
pub(super) async fn resolve(accumulator: &mut Accumulator, segments: &mut Segments<'_>, top: usize) -> Result<bool> {
    let parts = accumulator.take_frequent();
    let Some(listing) = accumulator.listing.clone().filter(|_| !parts.is_empty()) else { return Ok(true) };
    let (parts, lists): (Vec<(usize, Vec<bool>)>, Vec<Frequent>) =
        parts.into_iter().map(|FrequentPart { segment, chosen, frequent, .. }| ((segment, chosen), frequent)).unzip();
    let counted = accumulator.groups.flows();
    let Some(mut found) = candidates(&lists, &counted, top) else { return Ok(false) };
    for (place, (segment, chosen)) in parts.iter().enumerate() {
        let open = found.iter_mut().filter(|(key, _, lists)| key.is_some() && lists.binary_search(&place).is_ok());
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            continue;
        }
        let reader = segments.open(*segment).await?;
        let list = reader.value_list(listing.columns);
        let list = list.ok_or_else(|| Error::internal("a segment lacks a list that it had"))?;
        for (key, flows, _) in open {
            let number = key.unwrap_or_default();
            *flows += list.count_value(&accumulator.scanner.reader, number, chosen).await?;
        }
    }
    let shared = Arc::new(SharedGroups::new(&accumulator.by));
    let mut groups = PartGroups::new(&shared);
    found.iter().for_each(|(key, flows, _)| groups.count(|_| key.map(ValueRef::Number), *flows));
    groups.finish()?;
    shared.settle();
    accumulator.groups = shared;
    Ok(true)
}
