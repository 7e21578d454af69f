//! A search in a fixed sequence of blocks, which one page begins and later pages go on with.
//!
//! Best bound first needs few blocks where bounds tell blocks apart. Where they do not, as when every block has flows of
//! few bytes and of many, all blocks must be read before the first flow of an order is known. A page whose budget does
//! not reach that far ends with a [`Checkpoint`], and the next page goes on behind its [`Mark`].
//!
//! # Why the walk ends
//! Let the archive stay as it is, with B candidates (segments and blocks). Each page either answers a flow, or is done
//! with half of the candidates that it has visited (see [`stop`](super::stop)), or begins a sweep, or moves the mark of a
//! sweep by at least one candidate, and by its budget where that is more. A sweep that reaches the end answers a flow or
//! shows that none is left, so of a walk to n flows at most n + 1 sweeps are begun. The walk has at most (n + 2) * (B + 2)
//! pages, whatever the budget; where each page may visit k candidates about (n + 2) * (2 * B / k + 3). Usually it has far
//! fewer: the best flows that a checkpoint carries, some 20 to 60, come from one sweep together.
//!
//! Whatever is appended, merged or removed between two pages: what was added later lies behind the mark, so no flow is
//! passed over. Only what was merged since is read again, and an archive merges a flow a few times only. What is best of
//! a segment that is gone is found again where it lies now.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    block_reader::BlockReader,
    checkpoint::{Checkpoint, Mark, SegmentKey},
    condition::{Conditions, Open},
    frontier::Block,
    goal::{Candidacy, Goal},
    scan::Scan,
    search::{Results, Search, Stopped},
    segments::OpenSegment,
    top_k::{Found, TopK},
};
use crate::{error::Result, segment::SegmentReader};

/// A sweep of a snapshot, between two candidates.
struct Sweep<'a, 's> {
    search: &'a mut Search<'s>,
    conditions: Conditions,
    top: TopK,
    /// Candidates that were visited in this page. The budget ends it from the first on.
    visited: usize,
}

/// Goes on with a sweep: to the first `want` flows behind the position, as far as the budget reaches.
pub(super) async fn sweep(search: &mut Search<'_>, want: usize, from: Checkpoint) -> Result<Results> {
    let entries = search.segments.entries();
    let mut sequence: Vec<_> = entries.iter().map(SegmentKey::of).zip(0..).collect();
    sequence.sort_unstable();
    let conditions = Conditions::new(&search.goal);
    let top = TopK::new(Arc::clone(&search.goal.order), want);
    let mut sweep = Sweep { search, conditions, top, visited: 0 };
    let mut mark = sweep.resume(&from, &sequence).await?;
    let work = 1 + sweep.search.goal.filter.tests().count();
    let begin = sequence.partition_point(|(key, _)| *key < mark.segment);
    for (place, (key, segment)) in sequence.iter().enumerate().skip(begin) {
        if *key > mark.segment {
            mark = Mark { segment: *key, block: 0 };
        }
        // Many segments may be passed over by their bounds alone.
        if place > begin && sweep.search.spending.is_late_after(work) {
            return Ok(sweep.interrupted(mark, &sequence));
        }
        let next = |most| sequence.iter().skip(place + 1).take(most).map(|(_, segment)| *segment).collect();
        if let Some(stopped) = sweep.segment(*segment, mark, next).await? {
            return Ok(sweep.interrupted(stopped, &sequence));
        }
    }
    Ok(sweep.finished())
}

impl Sweep<'_, '_> {
    /// Takes in the flows that were found before. Where to go on: at the mark, or at the start where nothing is left that
    /// says from where on flows are missing.
    async fn resume(&mut self, from: &Checkpoint, sequence: &[(SegmentKey, usize)]) -> Result<Mark> {
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (key, row) in &from.best {
            let found = sequence.binary_search_by_key(key, |(key, _)| *key).ok().and_then(|at| sequence.get(at));
            if let Some((_, segment)) = found.filter(|(_, segment)| !self.search.left_out.contains(segment)) {
                rows.entry(*segment).or_default().push(usize::try_from(*row).unwrap_or(usize::MAX));
            }
        }
        for (segment, rows) in rows {
            let reader = self.search.segments.open(segment).await?;
            let rows = rows.into_iter().filter(|row| *row < reader.shape().rows).map(|row| row..row + 1).collect();
            let scan = Scan {
                segment: Arc::clone(&reader),
                rows,
                conditions: self.conditions.of(Open::All, None),
                columns: self.search.goal.order.keys().iter().map(|key| key.field).collect(),
            };
            let hits = self.search.scanner.scan(&scan).await?;
            self.top.offer(segment, &hits)?;
        }
        Ok(if self.top.resume(from.more) { from.mark } else { Mark::default() })
    }

    /// Sweeps a segment from a mark on. Where the budget ends it, if it does. `next` names segments behind it, so many at
    /// most.
    async fn segment(
        &mut self,
        segment: usize,
        mut mark: Mark,
        next: impl FnOnce(usize) -> Vec<usize>,
    ) -> Result<Option<Mark>> {
        if self.search.left_out.contains(&segment) {
            self.visited += 1;
            return Ok(None);
        }
        let Search { goal, pruner, explain, segments, .. } = &mut *self.search;
        let known = segments.known(segment)?;
        match goal.candidacy(&known) {
            Candidacy::Never => {
                pruner.drop_segment(goal, &known, explain);
                return Ok(None);
            }
            Candidacy::Passed => {
                explain.segments_done += 1;
                return Ok(None);
            }
            Candidacy::Candidate { key, .. } if self.top.rejects(&key) => return Ok(None),
            Candidacy::Candidate { .. } | Candidacy::Unknown => {}
        }
        if self.is_spent() {
            return Ok(Some(mark));
        }
        let Search { goal, pruner, explain, segments, scanner, .. } = &mut *self.search;
        let counters = scanner.reader.counters();
        if let Some(known) = segments.excluded(segment, &goal.filter, counters, next).await? {
            pruner.drop_segment(goal, &known, explain);
            self.visited += 1;
            return Ok(None);
        }
        let begun = self.visited > 0;
        let looked = self.look_into(segment, mark.block).await;
        let Some((reader, mut blocks)) = self.search.as_far(looked, begun)? else { return Ok(Some(mark)) };
        if blocks.is_empty() {
            self.visited += 1;
        }
        while let Some(first) = blocks.first() {
            mark.block = first.block as u64;
            if self.is_spent() {
                return Ok(Some(mark));
            }
            let begun = self.visited > 0;
            let read = self.read(&reader, &blocks).await;
            let Some(read) = self.search.as_far(read, begun)? else { return Ok(Some(mark)) };
            blocks.drain(..read);
        }
        Ok(None)
    }

    /// The candidates of a segment from a block on, in their order.
    async fn look_into(&mut self, segment: usize, from: u64) -> Result<(OpenSegment, Vec<Block>)> {
        let reader = self.search.segments.open(segment).await?;
        let Search { goal, pruner, explain, scanner, .. } = &mut *self.search;
        let rows = &scanner.reader;
        let candidates = pruner.blocks(goal, (segment, &*reader), rows, &mut self.conditions, explain).await?;
        let is_left = |block: &Block| block.block as u64 >= from;
        let kept = candidates.into_iter().filter(|(key, block)| is_left(block) && !self.top.rejects(key));
        let blocks = kept.map(|(_, block)| block).collect();
        Ok((reader, blocks))
    }

    /// Reads the first of `blocks`, as many as make a round. How many that were.
    async fn read(&mut self, reader: &Arc<SegmentReader>, blocks: &[Block]) -> Result<usize> {
        let Search { goal, scanner, pruner, spending, explain, .. } = &mut *self.search;
        let round = spending.round(blocks.iter().map(|block| block.rows));
        let round: Vec<_> = blocks.iter().take(round).map(|block| (*block, Arc::clone(reader))).collect();
        let goal: &Goal = goal;
        let block_reader = BlockReader { goal, conditions: &self.conditions, scanner, pruner, spending };
        let read = block_reader.read_at_once(&round, &mut self.top).await?;
        explain.blocks_read += read.blocks as u64;
        explain.rows_scanned += read.rows;
        spending.spend(read.rows);
        self.visited += read.blocks;
        Ok(read.blocks)
    }

    fn is_spent(&self) -> bool {
        self.visited > 0 && self.search.spending.is_spent()
    }

    /// The state of the sweep at a mark.
    fn interrupted(self, mark: Mark, sequence: &[(SegmentKey, usize)]) -> Results {
        let more = self.top.may_lack();
        let keys: BTreeMap<usize, SegmentKey> = sequence.iter().map(|(key, segment)| (*segment, *key)).collect();
        let best = best(&self.top.into_sorted(), &keys);
        Results { found: Vec::new(), stopped: Some(Stopped::Sweeping(Checkpoint { mark, more, best })) }
    }

    /// All blocks are swept: what was found are the first flows of the order, as far as none is missing among them.
    fn finished(self) -> Results {
        let stopped = (self.top.missing() > 0 && self.top.may_lack()).then_some(Stopped::BehindFound);
        Results { found: self.top.into_sorted(), stopped }
    }
}

/// The checkpoint at which a sweep begins, after a search that has found some flows.
pub(super) fn begin(found: &[Found], search: &Search<'_>) -> Checkpoint {
    let keys: BTreeMap<usize, SegmentKey> = (0..).zip(search.segments.entries().iter().map(SegmentKey::of)).collect();
    Checkpoint { best: best(found, &keys), ..Checkpoint::default() }
}

/// The places of found flows, in every version that has them.
fn best(found: &[Found], keys: &BTreeMap<usize, SegmentKey>) -> Vec<(SegmentKey, u64)> {
    found.iter().filter_map(|found| Some((*keys.get(&found.item.segment)?, found.item.row as u64))).collect()
}
