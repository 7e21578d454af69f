//! Best bound first.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, atomic::Ordering as Atomic},
    time::Instant,
};

use arrow::array::RecordBatch;

use super::{
    Count, Explain, Page, Pruning, Query, Start,
    budget::Spending,
    count::count,
    exec::{Expr, Predicate, Scan, Scanner, predicate},
    kept::{Found, Kept, interleave},
    plan::{Frontier, Goal, Outlook, Place, is_behind},
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::{Bounds as _, Verdict},
    flow::{Field, FlowId, Value, ValueRef},
    order::{Cursor, Direction, Key, Order, Position},
    schema::{Values, after_expr, before_expr, filter_expr, ids_expr, schema},
    segment::{ReadCounters, RowRanges, SegmentReader},
};

/// The largest number of blocks that are read in one go.
const LARGEST_ROUND: usize = 64;
/// The largest number of flows that are passed over in one go on the way to a page number.
const LARGEST_SKIP: u128 = 10_000;

/// Answers a query.
pub(super) async fn page(query: &Query) -> Result<Page> {
    let started = Instant::now();
    let fingerprint = query.fingerprint();
    let (position, mut skip) = match &query.start {
        Start::First => (None, 0),
        Start::Number(number) => (None, u128::from(number.saturating_sub(1)) * query.limit as u128),
        Start::At(cursor) => {
            let (position, skip) = cursor.resume(fingerprint, &query.order)?;
            (position.cloned(), skip)
        }
    };
    let mut search = Search::new(query, position, started);
    let mut stopped = false;
    while skip > 0 && !stopped {
        let step = skip.min(LARGEST_SKIP);
        let passed = search.find(usize::try_from(step).unwrap_or(usize::MAX), Depth::Keys).await?;
        stopped = passed.stopped_before.is_some();
        skip -= passed.found.len() as u128;
        let exhausted = passed.found.len() as u128 != step && !stopped;
        search.pass(passed);
        if exhausted {
            return search.answer(query, Vec::new(), Vec::new(), None).await;
        }
    }
    if stopped {
        let next = Cursor::new(fingerprint, search.goal.position.clone(), skip)?;
        return search.answer(query, Vec::new(), Vec::new(), Some(next)).await;
    }
    // One more than the page has tells whether there is another page.
    let mut results = search.find(query.limit.saturating_add(1), Depth::Rows).await?;
    let more = results.found.len() > query.limit;
    results.found.truncate(query.limit);
    let end = match (more, results.stopped_before.take()) {
        (true, _) => {
            results.found.last().map(|last| Position::after(last.key.clone())).or(search.goal.position.clone())
        }
        (false, Some(frontier)) => Some(Position::before(frontier)),
        (false, None) => return search.answer(query, results.found, results.batches, None).await,
    };
    let next = Cursor::new(fingerprint, end, 0)?;
    search.answer(query, results.found, results.batches, Some(next)).await
}

/// How much of a flow a search reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Its key.
    Keys,
    /// All of it, at once or afterwards.
    Rows,
}

/// What a search has found, best first.
struct Results {
    found: Vec<Found>,
    batches: Vec<RecordBatch>,
    /// Where the budget was spent: what comes from this key on was not searched.
    stopped_before: Option<Key>,
}

struct Search<'a> {
    snapshot: &'a Snapshot,
    goal: Goal,
    pruning: Pruning,
    spending: Spending,
    scanner: Scanner,
    readers: BTreeMap<usize, Arc<SegmentReader>>,
    explain: Explain,
    started: Instant,
}

impl<'a> Search<'a> {
    fn new(query: &'a Query, position: Option<Position>, now: Instant) -> Self {
        let snapshot = &query.snapshot;
        let scanner =
            Scanner { pages: Arc::clone(snapshot.archive().pages()), counters: Arc::new(ReadCounters::default()) };
        Self {
            snapshot,
            goal: Goal { filter: Arc::new(query.filter.clone()), order: Arc::new(query.order.clone()), position },
            pruning: query.pruning,
            spending: Spending::new(query.budget, now),
            scanner,
            readers: BTreeMap::new(),
            explain: Explain { segments: snapshot.manifest().segments.len() as u64, ..Explain::default() },
            started: now,
        }
    }

    /// Goes on behind what was found.
    fn pass(&mut self, results: Results) {
        let end = match results.stopped_before {
            Some(frontier) => Some(Position::before(frontier)),
            None => results.found.last().map(|last| Position::after(last.key.clone())),
        };
        self.goal.position = end.or(self.goal.position.take());
    }

    async fn reader(&mut self, segment: usize) -> Result<Arc<SegmentReader>> {
        if let Some(reader) = self.readers.get(&segment) {
            return Ok(Arc::clone(reader));
        }
        let entry = self.snapshot.manifest().segments.get(segment);
        let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
        let reader = self.snapshot.reader(entry).await?;
        self.explain.segments_opened += 1;
        self.readers.insert(segment, Arc::clone(&reader));
        Ok(reader)
    }

    /// The first `want` flows behind the position.
    async fn find(&mut self, want: usize, depth: Depth) -> Result<Results> {
        let order = Arc::clone(&self.goal.order);
        let mut kept = Kept::new(Arc::clone(&order), want);
        let mut frontier = self.frontier().await?;
        let matching = Matching::new(&self.goal)?;
        let mut read = Vec::new();
        let mut round_size = 1;
        let mut stopped_before = None;
        loop {
            let round = self.round(&mut frontier, &kept, round_size).await?;
            if round.is_empty() {
                break;
            }
            self.read(&round, &matching, depth, &mut kept).await?;
            read.extend(round);
            round_size = (round_size * 2).min(LARGEST_ROUND);
            if self.pruning == Pruning::On && self.spending.is_spent() {
                stopped_before = frontier.best().filter(|best| self.is_progress(best, &kept, &read)).cloned();
                if stopped_before.is_some() {
                    self.explain.budget_spent = true;
                    break;
                }
            }
        }
        let (mut found, batches) = kept.into_sorted();
        if let Some(frontier) = &stopped_before {
            found.retain(|found| order.compare(&found.key, frontier).is_lt());
        }
        Ok(Results { found, batches, stopped_before })
    }

    /// Whether a page may end before `frontier`, the best key of what was not read: it must answer a flow, or be done
    /// with a block for good. A cursor that only moves on in the order could lead through the same blocks for ever.
    fn is_progress(&self, frontier: &Key, kept: &Kept, read: &[Block]) -> bool {
        let order = &self.goal.order;
        if kept.worst().is_some_and(|worst| order.compare(worst, frontier).is_lt()) {
            // The page is full and nothing better is left: the search ends by itself.
            return false;
        }
        let position = Position::before(frontier.clone());
        let is_done = |block: &Block| {
            let reader = self.readers.get(&block.segment);
            reader.is_some_and(|reader| is_behind(order, &position, &reader.blocks().block(block.block)))
        };
        kept.any_before(frontier) || read.iter().any(is_done)
    }

    /// The segments of the snapshot that may hold something of the page.
    async fn frontier(&mut self) -> Result<Frontier> {
        let mut frontier = Frontier::new(Arc::clone(&self.goal.order));
        let snapshot = self.snapshot;
        for (segment, entry) in snapshot.manifest().segments.iter().enumerate() {
            if self.pruning == Pruning::Off {
                frontier.push(Key::new(), Place::Segment(segment));
                continue;
            }
            let mut outlook = self.goal.outlook(entry);
            if outlook == Outlook::Unknown {
                let reader = self.reader(segment).await?;
                outlook = self.goal.outlook(&reader.whole());
            }
            match outlook {
                Outlook::Never => self.explain.segments_never += 1,
                Outlook::Done => self.explain.segments_done += 1,
                Outlook::Ahead { key, .. } => frontier.push(key, Place::Segment(segment)),
                Outlook::Unknown => return Err(unbounded()),
            }
        }
        Ok(frontier)
    }

    /// The next blocks to read, the best first, and none that cannot matter any more: as many as hold what is wanted
    /// where that is known, else at most `size`.
    async fn round(&mut self, frontier: &mut Frontier, kept: &Kept, size: usize) -> Result<Vec<Block>> {
        let mut round = Vec::with_capacity(size);
        let missing = (kept.want() - kept.len()) as u64;
        let mut expected = Some(0);
        while round.len() < LARGEST_ROUND
            && match expected {
                Some(expected) if expected > 0 => expected < missing,
                _ => round.len() < size,
            }
        {
            let order = &self.goal.order;
            let beaten = |best: &Key| kept.worst().is_some_and(|worst| order.compare(best, worst).is_gt());
            if self.pruning == Pruning::On && frontier.best().is_some_and(beaten) {
                break;
            }
            let Some(candidate) = frontier.pop() else { break };
            match candidate.place {
                Place::Block { segment, block, whole, matches } => {
                    expected = expected.zip(matches).map(|(expected, matches)| expected + matches);
                    round.push(Block { segment, block, whole });
                }
                Place::Segment(segment) => self.look_into(segment, frontier).await?,
            }
        }
        Ok(round)
    }

    async fn look_into(&mut self, segment: usize, frontier: &mut Frontier) -> Result<()> {
        let reader = self.reader(segment).await?;
        let blocks = reader.blocks();
        if self.pruning == Pruning::Off {
            self.explain.blocks += blocks.len() as u64;
            for block in 0..blocks.len() {
                frontier.push(Key::new(), Place::Block { segment, block, whole: false, matches: None });
            }
            return Ok(());
        }
        let filter = Arc::clone(&self.goal.filter);
        let never = filter.verdict(&reader.whole()) == Verdict::Never;
        let probes = if never { None } else { Some(self.scanner.probe(&filter, &reader).await?) };
        match probes.filter(|probes| filter.verdict(&probes.whole(&reader)) != Verdict::Never) {
            None => self.explain.segments_never += 1,
            Some(probes) => {
                let bounds = (0..blocks.len()).map(|block| probes.block(blocks, block));
                frontier.extend(&self.goal, segment, bounds, &mut self.explain)?;
            }
        }
        Ok(())
    }

    /// Reads blocks.
    async fn read(&mut self, blocks: &[Block], matching: &Matching, depth: Depth, kept: &mut Kept) -> Result<()> {
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

    /// The page: the found flows with all their columns.
    async fn answer(
        mut self,
        query: &Query,
        found: Vec<Found>,
        batches: Vec<RecordBatch>,
        next: Option<Cursor>,
    ) -> Result<Page> {
        self.explain.search_time = self.started.elapsed();
        let started = Instant::now();
        let batch = self.fetch(&found, batches).await?;
        self.explain.fetch_time = started.elapsed();
        self.explain.rows_returned = batch.num_rows() as u64;
        let started = Instant::now();
        let complete = query.start == Start::First && next.is_none() && query.limit > 0;
        let total = match query.count {
            Count::None => None,
            _ if complete => Some(batch.num_rows() as u64),
            Count::Auto => self.goal.filter.is_all().then(|| self.snapshot.manifest().rows()),
            Count::Exact => Some(self.count().await?),
        };
        self.explain.count_time = started.elapsed();
        self.explain.bytes_read = self.scanner.counters.read.load(Atomic::Relaxed);
        self.explain.bytes_cached = self.scanner.counters.cached.load(Atomic::Relaxed);
        Ok(Page { batch, next, total, explain: self.explain })
    }

    async fn count(&mut self) -> Result<u64> {
        let mut total = 0;
        let predicate = predicate(filter_expr(&self.goal.filter))?;
        for (segment, entry) in self.snapshot.manifest().segments.iter().enumerate() {
            if let Some(known) = self.goal.filter.count(entry) {
                total += known;
                continue;
            }
            let reader = self.reader(segment).await?;
            total += count(&self.goal.filter, &predicate, &reader, &self.scanner, &mut self.spending).await?;
        }
        Ok(total)
    }

    /// The found flows as one batch, in their order.
    async fn fetch(&mut self, found: &[Found], mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
        let is_whole =
            |row: &(usize, usize)| batches.get(row.0).is_some_and(|batch| batch.num_columns() == Field::ALL.len());
        // Where each flow is, once all its columns are read; at first under its place among the found.
        let mut places: Vec<(usize, usize)> = found.iter().map(|found| found.row).collect();
        let mut missing: BTreeMap<usize, BTreeMap<FlowId, usize>> = BTreeMap::new();
        let mut rows: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for (place, found) in found.iter().enumerate().filter(|(_, found)| !is_whole(&found.row)) {
            let reader = self.readers.get(&found.segment).ok_or_else(|| Error::internal("a segment was let go"))?;
            let (id, blocks) = locate(reader, &self.goal.order, &found.key);
            missing.entry(found.segment).or_default().insert(id, place);
            rows.entry(found.segment).or_default().extend(blocks);
        }
        // A batch of keys alone cannot be put together with whole ones.
        batches.iter_mut().filter(|batch| batch.num_columns() != Field::ALL.len()).for_each(|batch| {
            *batch = RecordBatch::new_empty(schema());
        });
        for (segment, ids) in missing {
            let reader = self.reader(segment).await?;
            let scan = Scan {
                segment: reader,
                rows: rows.remove(&segment).unwrap_or_default().into_iter().collect(),
                columns: Field::ALL.to_vec(),
                predicate: Some(predicate(ids_expr(ids.keys().copied()))?),
                limit: None,
            };
            for batch in self.scanner.read(scan).await? {
                let column = Values::of(&batch, Field::FlowId)?;
                for row in 0..batch.num_rows() {
                    let place = flow_id(column.get(row)).and_then(|id| ids.get(&id));
                    if let Some(at) = place.and_then(|place| places.get_mut(*place)) {
                        *at = (batches.len(), row);
                    }
                }
                batches.push(batch);
            }
        }
        let batch = interleave(&batches, places.into_iter())?;
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema())))
    }
}

/// A block that is to be read.
struct Block {
    segment: usize,
    block: usize,
    whole: bool,
}

/// How the flows of a goal are told from others.
struct Matching {
    expr: Option<Expr>,
    predicate: Option<Predicate>,
    key_columns: Vec<Field>,
}

impl Matching {
    fn new(goal: &Goal) -> Result<Self> {
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

/// The blocks of each segment, those that are wanted whole apart.
fn by_segment(round: &[Block]) -> BTreeMap<(usize, bool), Vec<usize>> {
    let mut segments: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for block in round {
        segments.entry((block.segment, block.whole)).or_default().push(block.block);
    }
    segments
}

/// The ID of the flow with this key, and the rows of the blocks that it can be in.
fn locate(reader: &SegmentReader, order: &Order, key: &Key) -> (FlowId, Vec<Range<usize>>) {
    let value = |field: Field| {
        let place = order.keys().iter().position(|key| key.field == field)?;
        key.get(place)?.as_ref().map(Value::as_ref)
    };
    let holds = |block: usize, field: Field| {
        let bounds = reader.blocks().block(block);
        let span = bounds.field(field).and_then(|span| span.values);
        match (value(field), span) {
            (Some(value), Some((least, greatest))) => least <= value && value <= greatest,
            _ => true,
        }
    };
    let blocks = 0..reader.blocks().len();
    let blocks = blocks.filter(|block| holds(*block, Field::StartTime) && holds(*block, Field::FlowId));
    let rows = blocks.map(|block| reader.block_rows(block)).collect();
    (flow_id(value(Field::FlowId)).unwrap_or(FlowId::new(0)), rows)
}

fn flow_id(value: Option<ValueRef<'_>>) -> Option<FlowId> {
    match value {
        Some(ValueRef::Number(number)) => u64::try_from(number).ok().map(FlowId::new),
        _ => None,
    }
}

pub(super) fn unbounded() -> Error {
    Error::internal("the bounds of a segment say nothing of a sort key")
}
