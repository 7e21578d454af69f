//! The walk over a snapshot, newest first.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::JoinSet};

use super::{
    accumulator::{Accumulator, Part, Sums, Tally},
    buckets::Buckets,
    builder::SummaryQuery,
    covered::{Covered, Kept},
    frequent::{Frequent, candidates},
    listing::{FrequentPart, ListPart, Listing, LongLists},
    part_groups::PartGroups,
    plan::{Block, Plan, Planner},
    result::Summary,
    round::{ROUND_ROWS, Round, cut, edge, rows_of_pages},
    shared::SharedGroups,
    work::{Chosen, Work},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Set, Test, Verdict},
    flow::{Field, Timestamp, ValueRef},
    order::Order,
    query::{
        Explain, Pruning,
        budget::{LARGEST_ROUND, Spending},
        condition::{Conditions, Open},
        goal::Goal,
        scan::{LARGE_ROWS, Scanner},
        segments::Segments,
    },
    segment::{Effort, ReadCounters, RowRanges, RowReader, SegmentReader, grouped},
};

/// A group takes about so many bytes at most, where its values are short.
const GROUP_BYTES: u64 = 256;
/// How much longer than its budget a walk waits for memory that others hold: a round that is cut off there is lost.
const ROUND_TIME: Duration = Duration::from_secs(1);

/// Answers a query.
pub(super) async fn summary(query: &SummaryQuery) -> Result<Summary> {
    let started = Instant::now();
    let spending = match query.pruning {
        Pruning::On => Spending::new(query.budget, Arc::clone(&query.snapshot.archive().settings().clock)),
        Pruning::Off => Spending::unlimited(),
    };
    match walked(query, spending, LongLists::Frequent, started).await? {
        Walked::Done(summary) => Ok(*summary),
        // The values are about as frequent as one another.
        Walked::Undecided(spending) => match walked(query, spending, LongLists::Whole, started).await? {
            Walked::Done(summary) => Ok(*summary),
            Walked::Undecided(_) => Err(Error::internal("whole lists do not tell which values are frequent")),
        },
    }
}

/// What comes of a walk.
enum Walked {
    Done(Box<Summary>),
    /// What was kept of long lists does not tell which of their values are the most frequent. The budget that is left.
    Undecided(Spending),
}

async fn walked(query: &SummaryQuery, spending: Spending, long: LongLists, started: Instant) -> Result<Walked> {
    let mut walk = Walk::new(query, spending, long);
    walk.begin();
    let newest = walk.fronts.last().map(|(newest, _)| *newest);
    let mut is_begun = false;
    while !walk.fronts.is_empty() {
        // It gets a little further than its budget rather than nowhere.
        if is_begun && walk.is_spent() {
            break;
        }
        if is_begun {
            walk.keep().await?;
        }
        if let Err(error) = walk.round(is_begun).await {
            // What was counted before it is answered.
            let kept = if walk.spending.ends_at(&error) { walk.kept.take() } else { None };
            let kept = kept.ok_or(error)?;
            return Ok(Walked::Done(Box::new(walk.told(kept, newest, started))));
        }
        is_begun = true;
    }
    Ok(if walk.resolve().await? {
        let covered = walk.covered().await?;
        Walked::Done(Box::new(walk.told(covered, newest, started)))
    } else {
        Walked::Undecided(walk.spending)
    })
}

/// A summary in the making.
struct Walk<'a> {
    query: &'a SummaryQuery,
    goal: Goal,
    segments: Segments<'a>,
    spending: Spending,
    explain: Explain,
    accumulator: Accumulator,
    /// No flow that matches began later than this.
    latest: i64,
    /// The columns that are read, and of how many rows.
    touched: (Vec<Field>, u64),
    /// For each segment of which something is left, the newest start time of that.
    fronts: BTreeSet<(i64, usize)>,
    /// The segments that were opened.
    plans: HashMap<usize, Plan>,
    conditions: Option<Conditions>,
    /// The flows that began later are counted.
    cut: Option<i64>,
    sums: Sums,
    buckets: Option<Buckets>,
    kept: Kept,
}

impl<'a> Walk<'a> {
    fn new(query: &'a SummaryQuery, spending: Spending, long: LongLists) -> Self {
        let archive = query.snapshot.archive();
        let filter = Arc::new(grouped(&query.filter));
        let latest = latest(&filter);
        let listing = Listing::of(query, &filter, long).filter(|_| query.pruning == Pruning::On);
        let deadline = spending.deadline().later(ROUND_TIME);
        let reader = RowReader::new(Arc::clone(archive.pages()), Arc::new(ReadCounters::default()));
        let reader = reader.until(deadline.clone());
        let manifest = query.snapshot.manifest();
        let mut columns: Vec<Field> = filter.tests().map(Test::field).chain(query.by.iter().copied()).collect();
        columns.extend([Field::SrcBytes, Field::DstBytes].iter().filter(|_| query.adds_bytes()));
        columns.extend(query.every.map(|_| Field::StartTime));
        columns.sort_unstable();
        columns.dedup();
        Self {
            query,
            goal: Goal { filter, order: Arc::new(Order::newest_first()), position: None },
            segments: Segments::new(&query.snapshot, deadline),
            spending,
            explain: Explain {
                segments: manifest.segments.len() as u64,
                bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
                ..Explain::default()
            },
            accumulator: Accumulator {
                scanner: Scanner { reader },
                by: query.by.clone(),
                adds_bytes: query.adds_bytes(),
                pruning: query.pruning,
                listing: listing.map(Arc::new),
                groups: Arc::new(SharedGroups::new(&query.by)),
                frequent: Arc::default(),
            },
            latest,
            touched: (columns, 0),
            fronts: BTreeSet::new(),
            plans: HashMap::new(),
            conditions: None,
            cut: None,
            sums: Sums::default(),
            buckets: query.every.map(Buckets::new),
            kept: Kept::default(),
        }
    }

    /// Chooses the segments in which flows may match.
    fn begin(&mut self) {
        for (segment, entry) in self.segments.entries().iter().enumerate() {
            match self.goal.filter.verdict(entry) {
                _ if self.query.pruning == Pruning::Off => {}
                Verdict::Never => {
                    self.explain.segments_never += 1;
                    continue;
                }
                Verdict::Always => self.buckets.iter_mut().for_each(|buckets| buckets.expect(entry.start_time)),
                Verdict::Maybe => {}
            }
            self.fronts.insert((entry.start_time.1.min(self.latest), segment));
        }
        let Accumulator { adds_bytes, by, listing, .. } = &self.accumulator;
        if self.goal.filter.is_all() && (*adds_bytes || !by.is_empty() && listing.is_none()) {
            // It is known from the beginning that every row is read.
            self.touch(self.query.snapshot.manifest().rows());
        }
    }

    /// Reads so many rows more. Once their pages would take more of the cache than they may, they are not kept: others would
    /// lose theirs.
    fn touch(&mut self, rows: u64) {
        let (columns, sum) = &mut self.touched;
        *sum = sum.saturating_add(rows);
        let Scanner { reader } = &mut self.accumulator.scanner;
        if reader.is_large(columns, *sum) {
            *reader = reader.clone().passing();
        }
    }

    /// Whether the budget is used up, or the memory.
    fn is_spent(&self) -> bool {
        self.spending.is_spent() || self.memory_left() == 0
    }

    /// Bytes that groups may still take.
    fn memory_left(&self) -> u64 {
        let most = self.query.group_bytes;
        if self.accumulator.group_bytes() > most / 2 {
            self.accumulator.groups.shrink();
        }
        most.saturating_sub(self.accumulator.group_bytes())
    }

    /// Whether flows are counted and nothing else, for all those in one bucket.
    fn is_counted(&self, times: (i64, i64)) -> bool {
        !self.accumulator.adds_bytes && self.accumulator.by.is_empty() && self.is_one_bucket(times)
    }

    fn is_one_bucket(&self, times: (i64, i64)) -> bool {
        self.buckets.as_ref().is_none_or(|buckets| buckets.are_one(times))
    }

    /// Counts what is newest of what is left.
    async fn round(&mut self, is_begun: bool) -> Result<()> {
        let mut round = self.choose(is_begun).await?;
        self.count_whole(&mut round).await?;
        let mut left: Vec<usize> = round.taken.keys().copied().collect();
        while !left.is_empty() {
            let open = self.segments.open_all(left.iter().copied()).await?;
            let mut read = Vec::new();
            for (segment, reader) in left.drain(..open.readers.len().min(left.len())).zip(&open.readers) {
                let taken = round.taken.get(&segment).copied().unwrap_or(0);
                self.take((segment, reader), taken, &round, &mut read).await?;
            }
            self.add(read).await?;
        }
        self.cut = round.cut;
        self.kept.advance(round.work);
        Ok(())
    }

    /// Keeps what is counted for the case that the next round fails. Of long lists that is not known yet.
    async fn keep(&mut self) -> Result<()> {
        let buckets = self.buckets.as_ref().map_or(0, Buckets::memory);
        if !self.accumulator.has_frequent() && self.kept.is_due(self.accumulator.group_bytes() + buckets) {
            self.kept.keep(self.covered().await?);
        }
        Ok(())
    }

    /// What is counted.
    async fn covered(&self) -> Result<Covered> {
        let Accumulator { groups, adds_bytes, .. } = &self.accumulator;
        Ok(Covered {
            cut: self.cut.filter(|_| !self.fronts.is_empty()),
            sums: self.sums,
            groups: groups.top(self.query.top, self.query.measure, *adds_bytes).await?,
            buckets: self.buckets.clone(),
        })
    }

    /// Chooses the blocks of a round, those with the newest flows of all that are left; and where it is cut: not before
    /// it counts some time, so that the walk gets on.
    async fn choose(&mut self, is_begun: bool) -> Result<Round> {
        let mut round = Round::default();
        let most = ROUND_ROWS.min(self.spending.rows());
        let most_groups = if self.accumulator.by.is_empty() { u64::MAX } else { self.memory_left() / GROUP_BYTES };
        let newest = self.fronts.last().map_or(i64::MAX, |(newest, _)| *newest);
        let mut is_begun = is_begun;
        while let Some((next, segment)) = self.fronts.last().copied() {
            let is_enough = round.work >= ROUND_ROWS
                || round.rows >= most.max(1)
                || round.rows.saturating_add(round.groups) >= most_groups.max(1)
                || round.reads >= LARGEST_ROUND
                || (is_begun && self.spending.is_late());
            if is_enough && next < newest {
                round.cut = Some(cut(next, newest));
                break;
            }
            self.fronts.pop_last();
            is_begun = true;
            if self.plans.contains_key(&segment) {
                self.take_block(segment, most_groups, &mut round);
            } else if let Some(count) = self.decided(segment) {
                round.whole.push((segment, count));
            } else {
                self.open(segment).await?;
                self.put_front(segment, 0);
            }
        }
        Ok(round)
    }

    fn take_block(&mut self, segment: usize, most_groups: u64, round: &mut Round) {
        let taken = round.taken.get(&segment).copied().unwrap_or(0);
        let Some(plan) = self.plans.get(&segment) else { return };
        if let Some(block) = plan.blocks.get(taken) {
            if block.listed && !round.listed.contains(&segment) {
                let left = plan.blocks.iter().skip(taken).map(|block| block.rows.len() as u64).sum();
                if let Some(groups) = plan.list.and_then(|list| list.groups(left))
                    && let groups = round.groups.saturating_add(groups).min(self.listed_groups())
                    && round.rows.saturating_add(groups) <= most_groups
                {
                    round.listed.insert(segment);
                    round.groups = groups;
                }
            }
            let is_listed = block.listed && round.listed.contains(&segment) && self.is_one_bucket(block.times);
            let is_read = !is_listed && (block.count.is_none() || !self.is_counted(block.times));
            let next = round.take(segment, block, is_read);
            self.put_front(segment, next);
        }
    }

    /// How many groups come of lists at most, whatever their number: each thread has its own.
    fn listed_groups(&self) -> u64 {
        let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        let groups = self.accumulator.listing.as_ref().map_or(0, |listing| listing.most_groups());
        groups.saturating_mul(threads as u64)
    }

    /// How many flows of a segment match, where that is all that is asked, and the manifest tells.
    fn decided(&self, segment: usize) -> Option<u64> {
        let entry = self.segments.entries().get(segment).filter(|_| self.query.pruning == Pruning::On)?;
        self.goal.filter.count(entry).filter(|_| self.is_counted(entry.start_time))
    }

    /// Makes the plan of a segment.
    async fn open(&mut self, segment: usize) -> Result<()> {
        let only_counts = !self.accumulator.adds_bytes && self.accumulator.by.is_empty();
        let effort = if only_counts { Effort::Count } else { Effort::Page };
        let reader = self.segments.open(segment).await?;
        let Accumulator { scanner, listing, pruning, .. } = &self.accumulator;
        let listing = listing.as_deref();
        let planner = Planner { goal: &self.goal, rows: &scanner.reader, effort, listing, pruning: *pruning };
        let plan = planner.plan(&reader, &mut self.conditions, &mut self.explain).await?;
        self.plans.insert(segment, plan);
        Ok(())
    }

    /// Lets a segment be as new as one of its blocks. One that has no such block is done with.
    fn put_front(&mut self, segment: usize, block: usize) {
        if let Some(block) = self.plans.get(&segment).and_then(|plan| plan.blocks.get(block)) {
            self.fronts.insert((block.times.1.min(self.latest), segment));
        }
    }

    /// Counts segments that the manifest decides; opens those that the cut goes through.
    async fn count_whole(&mut self, round: &mut Round) -> Result<()> {
        for (segment, count) in std::mem::take(&mut round.whole) {
            let entry = self.segments.entries().get(segment);
            let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
            let Some(cut) = round.cut.filter(|cut| entry.start_time.0 <= *cut) else {
                self.count(entry.start_time.1, count);
                continue;
            };
            if entry.start_time.1 <= cut {
                self.fronts.insert((entry.start_time.1.min(self.latest), segment));
                continue;
            }
            self.open(segment).await?;
            let blocks = self.plans.get(&segment).map(|plan| plan.blocks.iter());
            let taken = blocks.into_iter().flatten().take_while(|block| block.times.1 > cut).count();
            round.taken.insert(segment, taken);
            self.put_front(segment, taken);
        }
        Ok(())
    }

    /// Adds flows that began in the bucket of a time.
    fn count(&mut self, millis: i64, flows: u64) {
        let sums = Sums { flows, ..Sums::default() };
        self.sums.add(&sums);
        if let Some(buckets) = &mut self.buckets {
            buckets.add(millis, &sums);
        }
    }

    /// Takes the first blocks of a segment out of its plan, as far as their flows began after the cut: counts those that are
    /// decided, and adds the others to `read`.
    async fn take(
        &mut self,
        (segment, reader): (usize, &Arc<SegmentReader>),
        taken: usize,
        round: &Round,
        read: &mut Vec<Work>,
    ) -> Result<()> {
        let Some(mut plan) = self.plans.remove(&segment) else { return Ok(()) };
        if let Some(next) = plan.blocks.get(taken) {
            self.fronts.remove(&(next.times.1.min(self.latest), segment));
        }
        let mut chosen = Chosen { is_listed: round.listed.contains(&segment), ..Chosen::default() };
        for _ in 0..taken {
            let Some(mut block) = plan.blocks.pop_front() else { break };
            let start = plan.row.max(block.rows.start);
            let cut = round.cut.filter(|cut| block.times.0 <= *cut);
            let end = match cut {
                None => block.rows.end,
                Some(cut) => edge(reader, start..block.rows.end, cut, &self.accumulator.scanner.reader).await?,
            };
            plan.row = end;
            self.count_or_read(reader, &block, start..end, &mut chosen);
            if let Some(cut) = cut {
                // The blocks behind it have no later flows either.
                block.times.1 = block.times.1.min(cut);
                plan.blocks.push_front(block);
                break;
            }
        }
        if let Some(list) = plan.list.as_mut().filter(|_| !chosen.listed.is_empty()) {
            let work = list.walk();
            read.push(Work::List(ListPart {
                number: segment,
                segment: Arc::clone(reader),
                blocks: chosen.listed,
                work,
            }));
        }
        self.plans.insert(segment, plan);
        self.put_front(segment, 0);
        let conditions = self.conditions.as_ref().map(|conditions| conditions.of_filter(Open::All)).unwrap_or_default();
        for (rows, conditions) in [(chosen.always, Vec::new()), (chosen.maybe, conditions)] {
            let rows: RowRanges = rows.into_iter().collect();
            if !rows.is_empty() {
                read.push(Work::Rows(Part { segment: Arc::clone(reader), rows, conditions }));
            }
        }
        Ok(())
    }

    /// Counts some rows of a block where bounds and lists decide them, and else lets them be read.
    fn count_or_read(&mut self, reader: &SegmentReader, block: &Block, rows: Range<usize>, chosen: &mut Chosen) {
        if rows.is_empty() {
            return;
        }
        if chosen.is_listed && block.listed && rows == block.rows && self.is_one_bucket(block.times) {
            chosen.listed.push((rows.start / reader.shape().block_rows, block.times.1));
            return;
        }
        let known = match block.count {
            _ if block.always => Some(rows.len() as u64),
            count => count.filter(|_| rows == block.rows),
        };
        if let Some(count) = known.filter(|_| self.is_counted(block.times)) {
            self.count(block.times.1, count);
            return;
        }
        self.explain.blocks_read += 1;
        if block.always {
            chosen.always.push(rows);
        } else {
            chosen.maybe.extend(rows_of_pages(reader, block, &rows).as_slice().iter().cloned());
        }
    }

    /// Adds up parts, on all threads of the host's runtime where there is much to read.
    async fn add(&mut self, parts: Vec<Work>) -> Result<()> {
        let rows: usize = parts.iter().map(Work::rows).sum();
        let parts = parts.into_iter().flat_map(Work::split);
        let Some(runtime) = Handle::try_current().ok().filter(|_| rows >= LARGE_ROWS) else {
            for part in parts {
                let tally = part.tally(&self.accumulator, self.empty_buckets()).await?;
                self.merge(tally)?;
            }
            return Ok(());
        };
        let mut parts = parts.collect::<Vec<_>>().into_iter();
        let mut tasks = JoinSet::new();
        // Dropping the set, be it with this future, ends the tasks.
        loop {
            while tasks.len() < runtime.metrics().num_workers()
                && let Some(part) = parts.next()
            {
                let (accumulator, buckets) = (self.accumulator.clone(), self.empty_buckets());
                tasks.spawn(async move { part.tally(&accumulator, buckets).await });
            }
            let Some(joined) = tasks.join_next().await else { return Ok(()) };
            self.merge(joined.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"))??)?;
        }
    }

    fn empty_buckets(&self) -> Option<Buckets> {
        self.buckets.as_ref().map(Buckets::empty)
    }

    fn merge(&mut self, tally: Tally) -> Result<()> {
        self.sums.add(&tally.sums);
        self.explain.rows_scanned += tally.rows_read;
        self.spending.spend(tally.rows_read);
        self.touch(tally.rows_read);
        if let (Some(buckets), Some(added)) = (&mut self.buckets, tally.buckets) {
            buckets.merge(added);
        }
        self.buckets.as_ref().map_or(Ok(()), Buckets::check)
    }

    /// Puts all groups together: of long lists those that may be among the most frequent, for which the lists are asked where
    /// they were not kept. False where it is not known which these are.
    async fn resolve(&mut self) -> Result<bool> {
        let parts = self.accumulator.take_frequent();
        let Some(listing) = self.accumulator.listing.clone().filter(|_| !parts.is_empty()) else { return Ok(true) };
        let (parts, lists): (Vec<(usize, Vec<bool>)>, Vec<Frequent>) =
            parts.into_iter().map(|FrequentPart { segment, chosen, frequent }| ((segment, chosen), frequent)).unzip();
        let counted = self.accumulator.groups.flows();
        let Some(mut found) = candidates(&lists, &counted, self.query.top) else { return Ok(false) };
        for (place, (segment, chosen)) in parts.iter().enumerate() {
            let open = found.iter_mut().filter(|(key, _, lists)| key.is_some() && lists.binary_search(&place).is_ok());
            let open: Vec<_> = open.collect();
            if open.is_empty() {
                continue;
            }
            let reader = self.segments.open(*segment).await?;
            let list = reader.value_list(listing.columns);
            let list = list.ok_or_else(|| Error::internal("a segment lacks a list that it had"))?;
            for (key, flows, _) in open {
                let number = key.unwrap_or_default();
                *flows += list.count_value(&self.accumulator.scanner.reader, number, chosen).await?;
            }
        }
        let shared = Arc::new(SharedGroups::new(&self.accumulator.by));
        let mut groups = PartGroups::new(&shared, 0);
        found.iter().for_each(|(key, flows, _)| groups.count(|_| key.map(ValueRef::Number), *flows));
        groups.finish()?;
        self.accumulator.groups = shared;
        Ok(true)
    }

    /// The summary of the flows that are covered. `newest` is the newest start time that a flow may have that matches.
    fn told(self, covered: Covered, newest: Option<i64>, started: Instant) -> Summary {
        let adds_bytes = self.accumulator.adds_bytes;
        let searched = covered.cut.zip(newest).map(|(cut, newest)| {
            let time = |millis: i64| Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX);
            (time(cut.saturating_add(1)), time(newest))
        });
        let counters = self.accumulator.scanner.reader.counters();
        let (read, cached) = (counters.read.load(Ordering::Relaxed), counters.cached.load(Ordering::Relaxed));
        let explain = Explain {
            segments_opened: self.segments.opened(),
            bytes_read: read,
            bytes_cached: cached,
            budget_spent: searched.is_some(),
            search_time: started.elapsed(),
            ..self.explain
        };
        Summary {
            totals: covered.sums.totals(adds_bytes),
            by: self.query.by.clone(),
            groups: covered.groups,
            every: covered.buckets.as_ref().map(Buckets::length),
            buckets: covered.buckets.map(|buckets| buckets.finish(adds_bytes)).unwrap_or_default(),
            searched,
            explain,
        }
    }
}

/// The newest start time that passes a filter, in milliseconds, as far as the filter tells by itself.
fn latest(filter: &Filter) -> i64 {
    let last = |part: &Filter| match part {
        Filter::Test(test) if test.field == Field::StartTime => match &test.set {
            Set::Numbers(ranges) => {
                let last = ranges.as_slice().last().map_or(0, |(_, last)| *last);
                Some(Timestamp::ordinal_millis(u64::try_from(last).unwrap_or(u64::MAX)))
            }
            Set::Texts { .. } | Set::Flags { .. } => None,
        },
        _ => None,
    };
    filter.conjuncts().iter().filter_map(last).min().unwrap_or(i64::MAX)
}
