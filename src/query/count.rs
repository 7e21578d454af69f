//! How many flows match.

use std::sync::Arc;

use super::{condition::Conditions, scan::Scan, search::Search};
use crate::{
    archive::Counted,
    error::{Error, Result},
    segment::{Effort, Probes, SegmentReader},
};

/// Blocks that are read between two looks at the time.
const SCAN_BLOCKS: usize = 4;

/// All flows that match. What was counted of a segment before is remembered.
///
/// Where the budget does not reach, that is an error, and the same query asked again goes on from there: each time a
/// block is counted or a segment looked into, at least.
pub(super) async fn count(search: &mut Search<'_>) -> Result<u64> {
    let work = 1 + search.goal.filter.tests().count();
    let filter = Arc::clone(&search.goal.filter);
    let mut total = 0;
    let mut counter = Counter { search, conditions: None, begun: false };
    for (segment, entry) in counter.search.segments.entries().iter().enumerate() {
        if counter.begun && counter.search.spending.is_late_after(work) {
            return Err(too_many());
        }
        if let Some(known) = filter.count(entry) {
            total += known;
            continue;
        }
        let counts = counter.search.segments.snapshot().archive().counts();
        let (from, flows) = match counts.get(&entry.path, &filter) {
            Some(Counted::Whole(known)) => {
                total += known;
                continue;
            }
            Some(Counted::Part { blocks, flows }) => (blocks, flows),
            None => (0, 0),
        };
        if counter.begun && counter.search.spending.is_late() {
            return Err(too_many());
        }
        let counted = counter.segment(segment, from, flows).await?;
        counter.begun = true;
        counts.insert(&entry.path, &filter, counted);
        match counted {
            Counted::Whole(flows) => total += flows,
            Counted::Part { .. } => return Err(too_many()),
        }
    }
    Ok(total)
}

/// A count, between two segments.
struct Counter<'a, 's> {
    search: &'a mut Search<'s>,
    /// Made for the first segment of which a block must be read.
    conditions: Option<Conditions>,
    /// Whether anything was counted that was not known before. The budget ends the count from there on.
    begun: bool,
}

impl Counter<'_, '_> {
    /// The flows of a segment that match, of which `flows` are in the blocks before `from`: known where bounds or lists
    /// decide, else counted by the filter's columns alone.
    async fn segment(&mut self, segment: usize, from: usize, flows: u64) -> Result<Counted> {
        let filter = Arc::clone(&self.search.goal.filter);
        let reader = self.search.segments.open(segment).await?;
        if let Some(known) = filter.count(&reader.whole()) {
            return Ok(Counted::Whole(known));
        }
        let probes = Probes::ask(&filter, &reader, &self.search.scanner.reader, Effort::Count).await?;
        if let Some(known) = filter.count(&probes.whole(&reader)) {
            return Ok(Counted::Whole(known));
        }
        let blocks = from..reader.blocks().len();
        let known: Vec<_> = blocks.clone().map(|block| filter.count(&probes.block(&reader, block))).collect();
        let open: Vec<_> = blocks.zip(&known).filter(|(_, known)| known.is_none()).map(|(block, _)| block).collect();
        let mut total = flows + known.iter().flatten().sum::<u64>();
        let mut left = open.as_slice();
        if !left.is_empty() {
            let conditions = self.conditions.get_or_insert_with(|| Conditions::new(&self.search.goal));
            conditions.order(&filter, &reader, &probes);
        }
        while let Some(first) = left.first() {
            let read = match self.begun && self.search.spending.is_spent() {
                true => None,
                false => {
                    let read = self.read(&reader, left).await;
                    self.search.as_far(read, self.begun)?
                }
            };
            let Some((blocks, flows)) = read else {
                let behind: u64 = known.iter().skip(first - from).flatten().sum();
                return Ok(Counted::Part { blocks: *first, flows: total - behind });
            };
            total += flows;
            left = left.get(blocks..).unwrap_or_default();
            self.begun = true;
        }
        Ok(Counted::Whole(total))
    }

    /// Reads the first of `blocks`, as many as make a round. How many that were, and how many of their flows match.
    async fn read(&mut self, reader: &Arc<SegmentReader>, blocks: &[usize]) -> Result<(usize, u64)> {
        let rows = |block: &usize| reader.block_rows(*block);
        let round = self.search.spending.round(blocks.iter().map(|block| rows(block).len()));
        let round: Vec<_> = blocks.iter().take(round).collect();
        let conditions = self.conditions.iter().flat_map(Conditions::of_filter);
        let conditions: Vec<_> = conditions.collect();
        let scans = round.chunks(SCAN_BLOCKS).map(|blocks| Scan {
            segment: Arc::clone(reader),
            rows: blocks.iter().map(|block| rows(block)).collect(),
            conditions: conditions.clone(),
            columns: Vec::new(),
        });
        let (hits, done) = self.search.scanner.scan_all(scans.collect(), self.search.spending).await?;
        let done = round.len().min(done * SCAN_BLOCKS);
        let read = round.iter().take(done).map(|block| rows(block).len() as u64).sum();
        self.search.spending.spend(read);
        self.search.explain.rows_counted += read;
        Ok((done, hits.iter().map(|(_, hits)| hits.rows.len() as u64).sum()))
    }
}

fn too_many() -> Error {
    let problem = "`count`: the matches are too many to count within the budget of one page; ask again, and the count goes \
                   on, or narrow the filter, or leave out `count=exact`";
    Error::exhausted(problem)
}
