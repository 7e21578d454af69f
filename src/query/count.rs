//! How many flows match.

use std::sync::Arc;

use super::{condition::Conditions, exec::Scan, search::Search};
use crate::{
    error::{Error, Result},
    segment::{Effort, Probes, RowRanges, SegmentReader},
};

/// Blocks that are read in one go.
const ROUND: usize = 64;

impl Search<'_> {
    /// All flows that match. What was counted of a segment before is remembered.
    pub(super) async fn count(&mut self) -> Result<u64> {
        let mut total = 0;
        let mut conditions = None;
        for (segment, entry) in self.snapshot.manifest().segments.iter().enumerate() {
            if let Some(known) = self.goal.filter.count(entry) {
                total += known;
                continue;
            }
            let counts = self.snapshot.archive().counts();
            if let Some(known) = counts.get(&entry.path, &self.goal.filter) {
                total += known;
                continue;
            }
            let reader = self.reader(segment).await?;
            let counted = self.count_segment(&reader, &mut conditions).await?;
            counts.insert(&entry.path, &self.goal.filter, counted);
            total += counted;
        }
        Ok(total)
    }

    /// The flows of a segment that match: known where bounds or lists decide, else counted by the filter's columns alone.
    /// `conditions` are made for the first segment of which a block must be read.
    async fn count_segment(
        &mut self,
        segment: &Arc<SegmentReader>,
        conditions: &mut Option<Conditions>,
    ) -> Result<u64> {
        let filter = Arc::clone(&self.goal.filter);
        if let Some(known) = filter.count(&segment.whole()) {
            return Ok(known);
        }
        let probes = Probes::ask(&filter, segment, &self.scanner.reader, Effort::Count).await?;
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
        let ready = conditions.take().map_or_else(|| Conditions::new(&self.goal), Ok)?;
        let conditions = conditions.insert(ready);
        conditions.order(&filter, segment, &probes);
        for round in open.chunks(ROUND) {
            if self.spending.is_spent() {
                let problem = "`count`: the matches are too many to count within the budget of one page; narrow the \
                               filter, or leave out `count=exact`";
                return Err(Error::exhausted(problem));
            }
            let rows: RowRanges = round.iter().map(|block| segment.block_rows(*block)).collect();
            self.spending.spend(rows.len());
            self.explain.rows_counted += rows.len() as u64;
            let segment = Arc::clone(segment);
            let scan = Scan { segment, rows, conditions: conditions.of_filter(), columns: Vec::new() };
            let hits = self.scanner.scan_all(vec![scan]).await?;
            total += hits.iter().map(|(_, hits)| hits.rows.len() as u64).sum::<u64>();
        }
        Ok(total)
    }
}
