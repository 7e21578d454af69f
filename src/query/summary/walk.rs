//! The walk over a snapshot, newest first.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    accumulator::{Accumulator, Part},
    builder::SummaryQuery,
    counting::Counting,
    covered::Covered,
    fronts::Fronts,
    listing::{ListPart, LongLists},
    pace::Pace,
    plan::{Block, Plan, Planner},
    result::Summary,
    round::{Round, cut, edge, rows_of_pages},
    work::{Chosen, Work},
};
use crate::{
    archive::Known,
    error::{Error, Result},
    filter::Verdict,
    order::Order,
    query::{Explain, Pruning, budget::Spending, condition::Conditions, goal::Goal, segments::Segments},
    segment::{Effort, RowRanges, SegmentReader, grouped},
};

/// How much longer than its budget a walk waits for memory that others hold: a round that is cut off there is lost.
const ROUND_TIME: Duration = Duration::from_secs(1);

/// A summary in the making.
pub(super) struct Walk<'a> {
    query: &'a SummaryQuery,
    goal: Goal,
    pub(super) segments: Segments<'a>,
    explain: Explain,
    pub(super) counting: Counting<'a>,
    /// What is left.
    pub(super) fronts: Fronts,
    conditions: Option<Conditions>,
    /// The flows that began later are counted.
    cut: Option<i64>,
    pace: Pace,
    /// Whether a round has failed, for whose flows there was no memory in time.
    is_cut_off: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(query: &'a SummaryQuery, spending: Spending, long: LongLists) -> Self {
        let filter = Arc::new(grouped(&query.filter));
        let deadline = spending.deadline().later(ROUND_TIME);
        let manifest = query.snapshot.manifest();
        Self {
            query,
            segments: Segments::new(&query.snapshot, deadline.clone()),
            explain: Explain {
                segments: manifest.segments.len() as u64,
                bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
                ..Explain::default()
            },
            counting: Counting::new(query, &filter, spending, deadline, long),
            fronts: Fronts::new(&filter),
            goal: Goal { filter, order: Arc::new(Order::newest_first()), position: None },
            conditions: None,
            cut: None,
            pace: Pace::new(),
            is_cut_off: false,
        }
    }

    /// Chooses the segments in which flows may match.
    pub(super) fn begin(&mut self) {
        for (segment, entry) in self.segments.entries().iter().enumerate() {
            match self.goal.filter.verdict(&Known::of(entry, &self.query.snapshot)) {
                _ if self.query.pruning == Pruning::Off => {}
                Verdict::Never => {
                    self.explain.segments_never += 1;
                    continue;
                }
                Verdict::Always => self.counting.expect(entry.start_time),
                Verdict::Maybe => {}
            }
            self.fronts.put(segment, entry.start_time.1);
        }
        if self.goal.filter.is_all() && self.counting.reads_every_row() {
            self.counting.touch(self.query.snapshot.manifest().rows());
        }
    }

    /// Counts what is newest of what is left. A round that fails must be [cut off](Self::cut_off).
    pub(super) async fn round(&mut self, is_begun: bool) -> Result<()> {
        self.pace.begin(self.counting.spending.deadline());
        let mut round = self.choose(is_begun).await?;
        self.count_whole(&mut round).await?;
        let until = self.pace.until(self.counting.spending.deadline());
        let mut left: Vec<usize> = round.taken.keys().copied().collect();
        while !left.is_empty() {
            let open = self.segments.open_all(left.iter().copied()).await?;
            let mut read = Vec::new();
            for (segment, reader) in left.drain(..open.readers.len().min(left.len())).zip(&open.readers) {
                let taken = round.taken.get(&segment).copied().unwrap_or(0);
                self.take((segment, reader), taken, &round, &mut read).await?;
            }
            self.counting.add(read, &until).await?;
        }
        self.cut = round.cut;
        self.pace.end(self.counting.spending.deadline());
        self.counting.settle()
    }

    /// Forgets what a round has counted that has failed, and lets the walk end before it.
    pub(super) fn cut_off(&mut self) {
        self.counting.take_back();
        self.is_cut_off = true;
    }

    /// What is counted.
    pub(super) async fn covered(&self) -> Result<Covered> {
        self.counting.covered(self.cut.filter(|_| self.is_cut_off || !self.fronts.is_empty())).await
    }

    /// Chooses the blocks of a round, those with the newest flows of all that are left; and where it is cut: not before
    /// it counts some time, so that the walk gets on.
    async fn choose(&mut self, is_begun: bool) -> Result<Round> {
        let mut round = Round::default();
        let most = self.pace.rows().min(self.counting.spending.rows());
        let most_groups = self.counting.groups_left();
        let newest = self.fronts.newest().map_or(i64::MAX, |(newest, _)| newest);
        let mut is_begun = is_begun;
        while let Some((next, segment)) = self.fronts.newest() {
            let is_enough = round.work >= self.pace.rows()
                || round.rows >= most.max(1)
                || round.rows.saturating_add(round.groups) >= most_groups.max(1)
                || round.reads >= self.pace.blocks()
                || (is_begun && self.counting.spending.is_late());
            if is_enough && next < newest {
                round.cut = Some(cut(next, newest));
                break;
            }
            self.fronts.pop_newest();
            is_begun = true;
            if self.fronts.plan(segment).is_some() {
                self.take_block(segment, most_groups, &mut round);
            } else if let Some(count) = self.decided(segment) {
                round.whole.push((segment, count));
            } else {
                self.open(segment).await?;
                self.fronts.put_block(segment, 0);
            }
        }
        Ok(round)
    }

    fn take_block(&mut self, segment: usize, most_groups: u64, round: &mut Round) {
        let taken = round.taken.get(&segment).copied().unwrap_or(0);
        let Some(plan) = self.fronts.plan(segment) else { return };
        if let Some(block) = plan.blocks.get(taken) {
            if block.listed && !round.listed.contains(&segment) {
                let left = plan.blocks.iter().skip(taken).map(|block| block.rows.len() as u64).sum();
                if let Some(groups) = plan.list.and_then(|list| list.groups(left))
                    && let groups = round.groups.saturating_add(groups).min(self.counting.listed_groups())
                    && round.rows.saturating_add(groups) <= most_groups
                {
                    round.listed.insert(segment);
                    round.groups = groups;
                }
            }
            let is_listed = block.listed && round.listed.contains(&segment) && self.counting.is_one_bucket(block.times);
            let is_read = !is_listed && (block.count.is_none() || !self.counting.is_counted(block.times));
            let next = round.take(segment, block, is_read);
            self.fronts.put_block(segment, next);
        }
    }

    /// How many flows of a segment match, where that is all that is asked, and the manifest tells.
    fn decided(&self, segment: usize) -> Option<u64> {
        let entry = self.segments.entries().get(segment).filter(|_| self.query.pruning == Pruning::On)?;
        self.goal.filter.count(entry).filter(|_| self.counting.is_counted(entry.start_time))
    }

    /// Makes the plan of a segment.
    async fn open(&mut self, segment: usize) -> Result<()> {
        let effort = if self.counting.only_counts() { Effort::Count } else { Effort::Page };
        let Accumulator { scanner, listing, pruning, .. } = &self.counting.accumulator;
        if *pruning == Pruning::On {
            let next = |most: usize| self.fronts.next_segments(most);
            let counters = scanner.reader.counters();
            if self.segments.excluded(segment, &self.goal.filter, counters, next).await?.is_some() {
                self.explain.segments_never += 1;
                self.fronts.set_plan(segment, Plan::default());
                return Ok(());
            }
        }
        let reader = self.segments.open(segment).await?;
        let listing = listing.as_deref();
        let planner = Planner { goal: &self.goal, rows: &scanner.reader, effort, listing, pruning: *pruning };
        let plan = planner.plan(&reader, &mut self.conditions, &mut self.explain).await?;
        self.fronts.set_plan(segment, plan);
        Ok(())
    }

    /// Counts segments that the manifest decides; opens those that the cut goes through.
    async fn count_whole(&mut self, round: &mut Round) -> Result<()> {
        for (segment, count) in std::mem::take(&mut round.whole) {
            let entry = self.segments.entries().get(segment);
            let entry = entry.ok_or_else(|| Error::internal("a segment is not in its manifest"))?;
            let Some(cut) = round.cut.filter(|cut| entry.start_time.0 <= *cut) else {
                self.counting.count(entry.start_time.1, count);
                continue;
            };
            if entry.start_time.1 <= cut {
                self.fronts.put(segment, entry.start_time.1);
                continue;
            }
            self.open(segment).await?;
            let blocks = self.fronts.plan(segment).map(|plan| plan.blocks.iter());
            let taken = blocks.into_iter().flatten().take_while(|block| block.times.1 > cut).count();
            round.taken.insert(segment, taken);
            self.fronts.put_block(segment, taken);
        }
        Ok(())
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
        let Some(mut plan) = self.fronts.take_plan(segment, taken) else { return Ok(()) };
        let mut chosen = Chosen { is_listed: round.listed.contains(&segment), ..Chosen::default() };
        for _ in 0..taken {
            let Some(mut block) = plan.blocks.pop_front() else { break };
            let start = plan.row.max(block.rows.start);
            let cut = round.cut.filter(|cut| block.times.0 <= *cut);
            let end = match cut {
                None => block.rows.end,
                Some(cut) => {
                    edge(reader, start..block.rows.end, cut, &self.counting.accumulator.scanner.reader).await?
                }
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
        let matching = plan.matching.clone();
        self.fronts.set_plan(segment, plan);
        self.fronts.put_block(segment, 0);
        for (rows, matching) in [(chosen.always, None), (chosen.maybe, matching)] {
            let rows: RowRanges = rows.into_iter().collect();
            if !rows.is_empty() {
                read.push(Work::Rows(Part { segment: Arc::clone(reader), rows, matching }));
            }
        }
        Ok(())
    }

    /// Counts some rows of a block where bounds and lists decide them, and else lets them be read.
    fn count_or_read(&mut self, reader: &SegmentReader, block: &Block, rows: Range<usize>, chosen: &mut Chosen) {
        if rows.is_empty() {
            return;
        }
        if chosen.is_listed && block.listed && rows == block.rows && self.counting.is_one_bucket(block.times) {
            chosen.listed.push((rows.start / reader.shape().block_rows, block.times.1));
            return;
        }
        let known = match block.count {
            _ if block.always => Some(rows.len() as u64),
            count => count.filter(|_| rows == block.rows),
        };
        if let Some(count) = known.filter(|_| self.counting.is_counted(block.times)) {
            self.counting.count(block.times.1, count);
            return;
        }
        self.explain.blocks_read += 1;
        if block.always {
            chosen.always.push(rows);
        } else {
            chosen.maybe.extend(rows_of_pages(reader, block, &rows).as_slice().iter().cloned());
        }
    }

    /// The summary of the flows that are covered. `newest` is the newest start time that a flow may have that matches.
    pub(super) fn told(self, covered: Covered, newest: Option<i64>, started: Instant) -> Summary {
        let counters = self.counting.accumulator.scanner.reader.counters();
        let (read, cached) = (counters.read.load(Ordering::Relaxed), counters.cached.load(Ordering::Relaxed));
        let explain = Explain {
            segments_opened: self.segments.opened(),
            rows_scanned: self.counting.rows_read(),
            bytes_read: read,
            bytes_cached: cached,
            budget_spent: covered.cut.is_some(),
            search_time: started.elapsed(),
            ..self.explain
        };
        covered.summary(self.query, newest, explain)
    }
}
