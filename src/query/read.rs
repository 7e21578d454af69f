//! Blocks to flows that may be of the page.

use std::collections::BTreeMap;

use super::{
    exec::{Expr, Predicate, Scan, predicate},
    kept::Kept,
    plan::Goal,
    search::Search,
};
use crate::{
    error::Result,
    flow::Field,
    order::Direction,
    schema::{after_expr, before_expr, filter_expr},
    segment::RowRanges,
};

/// How much of a flow a search reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Its key.
    Keys,
    /// All of it, at once or afterwards.
    Rows,
}

/// A block that is to be read.
pub(super) struct Block {
    pub(super) segment: usize,
    pub(super) block: usize,
    pub(super) whole: bool,
}

/// How the flows of a goal are told from others.
pub(super) struct Matching {
    expr: Option<Expr>,
    predicate: Option<Predicate>,
    key_columns: Vec<Field>,
}

impl Matching {
    pub(super) fn new(goal: &Goal) -> Result<Self> {
        let filter = (!goal.filter.is_all()).then(|| filter_expr(&goal.filter));
        let after = goal.position.as_ref().map(|position| after_expr(&goal.order, position));
        let expr = match (filter, after) {
            (Some(filter), Some(after)) => Some(filter.and(after)),
            (filter, after) => filter.or(after),
        };
        Ok(Self {
            predicate: expr.clone().map(predicate).transpose()?,
            expr,
            key_columns: goal.order.keys().iter().map(|key| key.field).collect(),
        })
    }
}

impl Search<'_> {
    /// Reads blocks.
    pub(super) async fn read(
        &mut self,
        blocks: &[Block],
        matching: &Matching,
        depth: Depth,
        kept: &mut Kept,
    ) -> Result<()> {
        let by_time = self.goal.order.by_time();
        let predicates = [None, matching.predicate.clone()];
        // Only what comes before the worst of a full page matters. Where time is the order that needs no look: the
        // blocks are then in order themselves.
        let better = kept.worst().filter(|_| by_time.is_none()).map(|worst| before_expr(&self.goal.order, worst));
        let predicates = match better {
            None => predicates,
            Some(better) => [
                Some(predicate(better.clone())?),
                Some(predicate(matching.expr.clone().map_or(better.clone(), |expr| better.and(expr)))?),
            ],
        };
        let mut segments = Vec::new();
        let mut scans = Vec::new();
        for ((segment, whole), blocks) in by_segment(blocks) {
            let reader = self.reader(segment).await?;
            self.explain.blocks_read += blocks.len() as u64;
            let rows: RowRanges = blocks
                .into_iter()
                .map(|block| {
                    let rows = reader.block_rows(block);
                    // Of a block whose flows are all wanted, the first of the order are known without a look.
                    match by_time.filter(|_| whole) {
                        Some(Direction::Ascending) => rows.end.saturating_sub(kept.want()).max(rows.start)..rows.end,
                        Some(Direction::Descending) => rows.start..rows.start.saturating_add(kept.want()).min(rows.end),
                        None => rows,
                    }
                })
                .collect();
            self.explain.rows_scanned += rows.len() as u64;
            self.spending.spend(rows.len());
            // The rows lie newest first. For that order the reader itself stops after the last one that is wanted,
            // and of rows that are known not one is read in vain: else the keys come first, the rest of the best later.
            let in_order = by_time == Some(Direction::Descending);
            let all_columns = depth == Depth::Rows && by_time.is_some() && (whole || in_order);
            let [whole_predicate, part_predicate] = &predicates;
            scans.push(Scan {
                segment: reader,
                rows,
                columns: if all_columns { Field::ALL.to_vec() } else { matching.key_columns.clone() },
                predicate: if whole { whole_predicate.clone() } else { part_predicate.clone() },
                limit: in_order.then_some(kept.want()),
            });
            segments.push(segment);
        }
        for (segment, batches) in segments.into_iter().zip(self.scanner.read_all(scans).await?) {
            for batch in batches {
                kept.offer(segment, batch)?;
            }
        }
        Ok(())
    }
}

/// The blocks of each segment, those that are wanted whole apart.
fn by_segment(round: &[Block]) -> BTreeMap<(usize, bool), Vec<usize>> {
    let mut segments: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for block in round {
        segments.entry((block.segment, block.whole)).or_default().push(block.block);
    }
    segments
}
