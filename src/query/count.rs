//! How many flows match.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{
    budget::Spending,
    exec::{Predicate, Scan, Scanner},
};
use crate::{
    error::{Error, Result},
    filter::{Filter, Verdict},
    segment::{RowRanges, SegmentReader},
};

/// Blocks that are read in one go.
const ROUND: usize = 64;

/// The flows of a segment that match: known where the bounds decide, else counted by the filter's columns alone.
pub(super) async fn count(
    filter: &Filter,
    predicate: &Predicate,
    segment: &Arc<SegmentReader>,
    scanner: &Scanner,
    spending: &mut Spending,
) -> Result<u64> {
    match filter.verdict(&segment.whole()) {
        Verdict::Never => return Ok(0),
        Verdict::Always => return Ok(segment.whole().rows() as u64),
        Verdict::Maybe => {}
    }
    let mut total = 0;
    let mut open = Vec::new();
    for block in 0..segment.blocks().len() {
        let bounds = segment.blocks().block(block);
        match filter.verdict(&bounds) {
            Verdict::Never => {}
            Verdict::Always => total += bounds.rows() as u64,
            Verdict::Maybe => open.push(block),
        }
    }
    for round in open.chunks(ROUND) {
        if spending.is_spent() {
            let problem = "`count`: the matches are too many to count within the budget of one page; narrow the \
                           filter, or leave out `count=exact`";
            return Err(Error::invalid_query(vec![problem.to_owned()]));
        }
        let rows: RowRanges = round.iter().map(|block| segment.block_rows(*block)).collect();
        spending.spend(rows.len());
        let scan = Scan { segment, rows, columns: &[], predicate: Some(Predicate::clone(predicate)), limit: None };
        let batches = scanner.read(scan).await?;
        total += batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
    }
    Ok(total)
}
