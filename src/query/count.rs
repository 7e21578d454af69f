//! How many flows match.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{
    budget::Spending,
    exec::{Scan, Scanner, predicate},
};
use crate::{
    error::{Error, Result},
    filter::Filter,
    schema::filter_expr,
    segment::{RowRanges, SegmentReader},
};

/// Blocks that are read in one go.
const ROUND: usize = 64;

/// The flows of a segment that match: known where bounds or lists decide, else counted by the filter's columns alone.
pub(super) async fn count(
    filter: &Filter,
    segment: &Arc<SegmentReader>,
    scanner: &Scanner,
    spending: &mut Spending,
) -> Result<u64> {
    if let Some(known) = filter.count(&segment.whole()) {
        return Ok(known);
    }
    let probes = scanner.probe(filter, segment).await?;
    if let Some(known) = filter.count(&probes.whole(segment)) {
        return Ok(known);
    }
    let mut total = 0;
    let mut open = Vec::new();
    for block in 0..segment.blocks().len() {
        match filter.count(&probes.block(segment.blocks(), block)) {
            Some(known) => total += known,
            None => open.push(block),
        }
    }
    if open.is_empty() {
        return Ok(total);
    }
    let predicate = predicate(filter_expr(filter))?;
    for round in open.chunks(ROUND) {
        if spending.is_spent() {
            let problem = "`count`: the matches are too many to count within the budget of one page; narrow the \
                           filter, or leave out `count=exact`";
            return Err(Error::invalid_query(vec![problem.to_owned()]));
        }
        let rows: RowRanges = round.iter().map(|block| segment.block_rows(*block)).collect();
        spending.spend(rows.len());
        let predicate = Some(Arc::clone(&predicate));
        let scan = Scan { segment: Arc::clone(segment), rows, columns: Vec::new(), predicate, limit: None };
        let batches = scanner.read_all(vec![scan]).await?;
        total += batches.iter().flatten().map(RecordBatch::num_rows).sum::<usize>() as u64;
    }
    Ok(total)
}
