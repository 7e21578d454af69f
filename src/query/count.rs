//! How many flows match.

use std::sync::Arc;

use super::{
    budget::LARGEST_ROUND,
    condition::{Conditions, Open},
    scan::Scan,
    search::Search,
};
use crate::{
    archive::Counted,
    error::{Error, Result},
    segment::{Effort, Needles, Probes, RowRanges, SegmentReader, Selection},
};

/// Blocks that are read between two looks at the time.
const SCAN_BLOCKS: usize = 4;

/// Blocks of which the rows that lists tell are joined between two looks at the time.
const MOST_JOINED: usize = 256;

/// Of so many segments it is seen whether they are to be opened too.
const MOST_AHEAD: usize = 64;

/// All flows that match. What was counted of a segment before is remembered.
///
/// Where the budget does not reach, that is an error, and the same query asked again goes on from there: each time a
/// block is counted or a segment looked into, at least.
pub(super) async fn count(search: &mut Search<'_>) -> Result<u64> {
    let work = 1 + search.goal.filter.tests().count();
    let filter = Arc::clone(&search.goal.filter);
    let mut total = 0;
    let mut counter = Counter { search, needles: Needles::new(&filter), conditions: None, begun: false };
    for (segment, entry) in counter.search.segments.entries().iter().enumerate() {
        if counter.begun && counter.search.spending.is_late_after(work) {
            return Err(too_many());
        }
        if let Some(known) = filter.count(&counter.search.segments.known(segment)?) {
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
    needles: Needles,
    /// Made for the first segment of which a block must be read.
    conditions: Option<Conditions>,
    /// Whether anything was counted that was not known before. The budget ends the count from there on.
    begun: bool,
}

/// A block of which the index does not tell how many flows match.
struct OpenBlock {
    block: usize,
    /// The rows that can match, where lists tell them.
    selection: Option<Selection>,
    /// How many flows match in the blocks before, behind the last one that is not open.
    before: u64,
}

impl OpenBlock {
    /// What must be read of it.
    fn rows(&self, reader: &SegmentReader) -> RowRanges {
        let block = reader.block_rows(self.block);
        match &self.selection {
            Some(selection) => selection.rows_from(block.start),
            None => std::iter::once(block).collect(),
        }
    }

    /// What is not known of these.
    fn open(&self) -> Open<'_> {
        self.selection.as_ref().map_or(Open::All, |selection| Open::Parts(&selection.open))
    }
}

/// Blocks that were looked at.
#[derive(Default)]
struct Looked {
    /// How many.
    blocks: usize,
    /// How many flows match in those that are not open.
    known: u64,
    open: Vec<OpenBlock>,
}

impl Counter<'_, '_> {
    /// The flows of a segment that match, of which `flows` are in the blocks before `from`: known where bounds or lists
    /// decide, else counted by the filter's columns alone.
    async fn segment(&mut self, segment: usize, from: usize, flows: u64) -> Result<Counted> {
        let filter = Arc::clone(&self.search.goal.filter);
        let segments = &mut self.search.segments;
        let (entries, counts) = (segments.entries(), segments.snapshot().archive().counts());
        let is_open = |segment: &usize| {
            let entry = entries.get(*segment);
            entry.is_some_and(|entry| filter.count(entry).is_none() && counts.get(&entry.path, &filter).is_none())
        };
        let next = |most: usize| (segment + 1..).take(MOST_AHEAD).filter(is_open).take(most).collect();
        let counters = self.search.scanner.reader.counters();
        if segments.excluded(segment, &filter, counters, &next).await?.is_some() {
            return Ok(Counted::Whole(0));
        }
        let reader = segments.open_with(segment, next).await?;
        if let Some(known) = filter.count(&reader.whole()) {
            return Ok(Counted::Whole(known));
        }
        let rows = &self.search.scanner.reader;
        if let Some(known) = self.needles.total(&reader, rows)? {
            return Ok(Counted::Whole(known));
        }
        if self.needles.missing(&reader, rows)?.is_some() {
            return Ok(Counted::Whole(0));
        }
        let mut probes = Probes::ask(&filter, &reader, rows, Effort::Count).await?;
        if let Some(known) = filter.count(&probes.whole(&reader)) {
            return Ok(Counted::Whole(known));
        }
        let mut blocks: Vec<usize> = match probes.rarest() {
            Some((_, blocks)) => blocks.into_iter().filter(|block| *block >= from).collect(),
            None => (from..reader.blocks().len()).collect(),
        };
        let mut total = flows;
        while let Some(first) = blocks.first().copied() {
            let looked = self.look(&reader, &mut probes, &blocks).await?;
            let mut left = looked.open.as_slice();
            let mut read = 0;
            while let Some(open) = left.first() {
                let conditions = self.conditions.get_or_insert_with(|| Conditions::new(&self.search.goal));
                conditions.order(&filter, &reader, &probes);
                let counted = match self.begun && self.search.spending.is_spent() {
                    true => None,
                    false => {
                        let counted = self.read(&reader, left).await;
                        self.search.as_far(counted, self.begun)?
                    }
                };
                let Some((blocks, flows)) = counted else {
                    return Ok(Counted::Part { blocks: open.block, flows: total + open.before + read });
                };
                read += flows;
                left = left.get(blocks..).unwrap_or_default();
                self.begun = true;
            }
            total += looked.known + read;
            if looked.blocks == 0 {
                return Ok(Counted::Part { blocks: first, flows: total });
            }
            blocks.drain(..looked.blocks);
            self.begun = true;
        }
        Ok(Counted::Whole(total))
    }

    /// Looks at the first of `blocks`, until it has found as many open ones as make a round, or the time is over.
    async fn look(&mut self, reader: &Arc<SegmentReader>, probes: &mut Probes, blocks: &[usize]) -> Result<Looked> {
        let filter = Arc::clone(&self.search.goal.filter);
        let mut looked = Looked::default();
        if self.begun && self.search.spending.is_late() {
            return Ok(looked);
        }
        for blocks in blocks.chunks(MOST_JOINED) {
            let is_unknown = |block: &usize| filter.count(&probes.block(reader, *block)).is_none();
            let unknown: Vec<usize> = blocks.iter().copied().filter(is_unknown).collect();
            let none = probes.join(reader, &self.search.scanner.reader, &unknown).await?;
            for block in blocks {
                if looked.open.len() == LARGEST_ROUND || (self.begun && self.search.spending.is_late()) {
                    return Ok(looked);
                }
                looked.blocks += 1;
                if none.binary_search(block).is_ok() {
                    continue;
                }
                if let Some(known) = filter.count(&probes.block(reader, *block)) {
                    looked.known += known;
                    continue;
                }
                match probes.rows(reader, &self.search.scanner.reader, *block).await? {
                    Some(selection) if selection.open.is_empty() => looked.known += selection.rows.len() as u64,
                    selection => looked.open.push(OpenBlock { block: *block, selection, before: looked.known }),
                }
            }
        }
        Ok(looked)
    }

    /// Reads the first of `blocks`, as many as make a round. How many that were, and how many of their flows match.
    async fn read(&mut self, reader: &Arc<SegmentReader>, blocks: &[OpenBlock]) -> Result<(usize, u64)> {
        let round = self.search.spending.round(blocks.iter().map(|block| block.rows(reader).len()));
        let round = blocks.get(..round).unwrap_or_default();
        // Blocks of which the same is not known are read together.
        let alike = round.chunk_by(|left, right| left.open() == right.open()).flat_map(|run| run.chunks(SCAN_BLOCKS));
        let (mut scans, mut sizes) = (Vec::new(), Vec::new());
        for blocks in alike {
            let mut rows = RowRanges::default();
            blocks.iter().for_each(|block| rows.append(&block.rows(reader), 0));
            let open = blocks.first().map_or(Open::All, OpenBlock::open);
            let conditions = self.conditions.as_ref().map(|conditions| conditions.of_filter(open)).unwrap_or_default();
            sizes.push((blocks.len(), rows.len() as u64));
            scans.push(Scan { segment: Arc::clone(reader), rows, conditions, columns: Vec::new() });
        }
        let (hits, done) = self.search.scanner.scan_all(scans, self.search.spending).await?;
        let done = sizes.get(..done).unwrap_or_default();
        let read = done.iter().map(|(_, rows)| rows).sum();
        self.search.spending.spend(read);
        self.search.explain.rows_counted += read;
        let blocks = done.iter().map(|(blocks, _)| blocks).sum();
        Ok((blocks, hits.iter().map(|(_, hits)| hits.rows.len() as u64).sum()))
    }
}

fn too_many() -> Error {
    let problem = "`count`: the matches are too many to count within the budget of one page; ask again, and the count goes \
                   on, or narrow the filter, or leave out `count=exact`";
    Error::exhausted(problem)
}
