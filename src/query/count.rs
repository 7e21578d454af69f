//! How many flows match.

use std::sync::Arc;

use super::{condition::Conditions, scan::Scan, search::Search};
use crate::{
    error::{Error, Result},
    segment::{Effort, Probes, RowRanges, SegmentReader},
};

/// Blocks that are read in one go.
const ROUND: usize = 64;

/// All flows that match. What was counted of a segment before is remembered.
pub(super) async fn count(search: &mut Search<'_>) -> Result<u64> {
    let mut total = 0;
    let mut conditions = None;
    for (segment, entry) in search.segments.entries().iter().enumerate() {
        if let Some(known) = search.goal.filter.count(entry) {
            total += known;
            continue;
        }
        let counts = search.segments.snapshot().archive().counts();
        if let Some(known) = counts.get(&entry.path, &search.goal.filter) {
            total += known;
            continue;
        }
        if search.spending.is_late() {
            return Err(too_many());
        }
        let reader = search.segments.open(segment).await?;
        let counted = count_segment(search, &reader, &mut conditions).await?;
        counts.insert(&entry.path, &search.goal.filter, counted);
        total += counted;
    }
    Ok(total)
}

/// The flows of a segment that match: known where bounds or lists decide, else counted by the filter's columns alone.
/// `conditions` are made for the first segment of which a block must be read.
async fn count_segment(
    search: &mut Search<'_>,
    segment: &Arc<SegmentReader>,
    conditions: &mut Option<Conditions>,
) -> Result<u64> {
    let filter = Arc::clone(&search.goal.filter);
    if let Some(known) = filter.count(&segment.whole()) {
        return Ok(known);
    }
    let probes = Probes::ask(&filter, segment, &search.scanner.reader, Effort::Count).await?;
    if let Some(known) = filter.count(&probes.whole(segment)) {
        return Ok(known);
    }
    let mut total = 0;
    let mut open = Vec::new();
    for block in 0..segment.blocks().len() {
        match filter.count(&probes.block(segment, block)) {
            Some(known) => total += known,
            None => open.push(block),
        }
    }
    if open.is_empty() {
        return Ok(total);
    }
    let conditions = conditions.get_or_insert_with(|| Conditions::new(&search.goal));
    conditions.order(&filter, segment, &probes);
    for round in open.chunks(ROUND) {
        if search.spending.is_spent() {
            return Err(too_many());
        }
        let rows: RowRanges = round.iter().map(|block| segment.block_rows(*block)).collect();
        search.spending.spend(rows.len() as u64);
        search.explain.rows_counted += rows.len() as u64;
        let segment = Arc::clone(segment);
        let scan = Scan { segment, rows, conditions: conditions.of_filter(), columns: Vec::new() };
        let (hits, _) = search.scanner.scan_all(vec![scan], || false).await?;
        total += hits.iter().map(|(_, hits)| hits.rows.len() as u64).sum::<u64>();
    }
    Ok(total)
}

fn too_many() -> Error {
    let problem = "`count`: the matches are too many to count within the budget of one page; narrow the filter, or leave \
                   out `count=exact`";
    Error::exhausted(problem)
}
