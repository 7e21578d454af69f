//! What is counted, and what that may cost.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{runtime::Handle, task::JoinSet};

use super::{
    accumulator::{Accumulator, Tally},
    buckets::Buckets,
    builder::SummaryQuery,
    covered::Covered,
    listing::{Listing, LongLists},
    part_groups::PartGroups,
    shared::SharedGroups,
    sums::Sums,
    work::Work,
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Test},
    flow::Field,
    query::{
        Pruning,
        budget::Spending,
        scan::{LARGE_ROWS, Scanner},
    },
    resources::Deadline,
    segment::{ReadCounters, RowReader},
};

/// A group takes about so many bytes at most, where its values are short.
const GROUP_BYTES: u64 = 256;

/// The flows that a walk has counted.
pub(super) struct Counting<'a> {
    query: &'a SummaryQuery,
    pub(super) spending: Spending,
    pub(super) accumulator: Accumulator,
    settled: Tally,
    /// What the round has counted that is not through yet.
    open: Tally,
    /// The columns that are read, and of how many rows.
    touched: (Vec<Field>, u64),
}

impl<'a> Counting<'a> {
    /// None as yet. Memory is waited for until a deadline.
    pub(super) fn new(
        query: &'a SummaryQuery,
        filter: &Filter,
        spending: Spending,
        deadline: Deadline,
        long: LongLists,
    ) -> Self {
        let archive = query.snapshot.archive();
        let listing =
            Listing::of(&query.by, filter, long).filter(|_| !query.added().any() && query.pruning == Pruning::On);
        let reader = RowReader::new(Arc::clone(archive.pages()), Arc::new(ReadCounters::default()));
        let mut columns: Vec<Field> = filter.tests().flat_map(Test::fields).chain(query.by.iter().copied()).collect();
        columns.extend(query.added().fields());
        columns.extend(query.every.map(|_| Field::StartTime));
        columns.sort_unstable();
        columns.dedup();
        Self {
            query,
            spending,
            accumulator: Accumulator {
                scanner: Scanner { reader: reader.until(deadline) },
                by: query.by.clone(),
                added: query.added(),
                pruning: query.pruning,
                listing: listing.map(Arc::new),
                groups: Arc::new(SharedGroups::new(&query.by)),
                frequent: Arc::default(),
            },
            settled: Tally::new(query.every.map(Buckets::new)),
            open: Tally::new(query.every.map(Buckets::new)),
            touched: (columns, 0),
        }
    }

    /// Lets what was counted stay: a round is through.
    pub(super) fn settle(&mut self) -> Result<()> {
        let open = self.take_open();
        self.accumulator.settle();
        self.settled.add(open)
    }

    /// Forgets what was counted since: a round has failed.
    pub(super) fn take_back(&mut self) {
        let Tally { rows_read, .. } = self.take_open();
        self.settled.rows_read += rows_read;
        self.accumulator.take_back();
    }

    fn take_open(&mut self) -> Tally {
        let nothing = Tally::new(self.empty_buckets());
        std::mem::replace(&mut self.open, nothing)
    }

    /// There are flows that match and began at these times, the oldest and the newest of some.
    pub(super) fn expect(&mut self, times: (i64, i64)) {
        self.settled.buckets.iter_mut().for_each(|buckets| buckets.expect(times));
    }

    /// Takes note that so many rows more are read. Once their pages would take more of the cache than they may, they are not
    /// kept: others would lose theirs.
    pub(super) fn touch(&mut self, rows: u64) {
        let (columns, sum) = &mut self.touched;
        *sum = sum.saturating_add(rows);
        let Scanner { reader } = &mut self.accumulator.scanner;
        if reader.is_large(columns, *sum) {
            *reader = reader.clone().passing();
        }
    }

    /// Whether the budget is used up, or the memory.
    pub(super) fn is_spent(&self) -> bool {
        self.spending.is_spent() || self.memory_left() == 0
    }

    /// How many groups there may still be.
    pub(super) fn groups_left(&self) -> u64 {
        if self.query.by.is_empty() { u64::MAX } else { self.memory_left() / GROUP_BYTES }
    }

    /// How many groups come of lists at most, whatever their number: each thread has its own.
    pub(super) fn listed_groups(&self) -> u64 {
        let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        let groups = self.accumulator.listing.as_ref().map_or(0, |listing| listing.most_groups());
        groups.saturating_mul(threads as u64)
    }

    /// Rows of which something was read.
    pub(super) fn rows_read(&self) -> u64 {
        self.settled.rows_read
    }

    /// Whether every row is read where all flows match.
    pub(super) fn reads_every_row(&self) -> bool {
        let Accumulator { added, by, listing, .. } = &self.accumulator;
        added.any() || !by.is_empty() && listing.is_none()
    }

    /// Whether flows are counted and nothing else, but for buckets.
    pub(super) fn only_counts(&self) -> bool {
        !self.accumulator.added.any() && self.query.by.is_empty()
    }

    /// Whether flows are counted and nothing else, for all those in one bucket.
    pub(super) fn is_counted(&self, times: (i64, i64)) -> bool {
        self.only_counts() && self.is_one_bucket(times)
    }

    pub(super) fn is_one_bucket(&self, times: (i64, i64)) -> bool {
        self.settled.buckets.as_ref().is_none_or(|buckets| buckets.are_one(times))
    }

    /// Counts flows that began in the bucket of a time.
    pub(super) fn count(&mut self, millis: i64, flows: u64) {
        let sums = Sums { flows, ..Sums::default() };
        self.open.sums.add(&sums);
        if let Some(buckets) = &mut self.open.buckets {
            buckets.add(millis, &sums);
        }
    }

    /// Adds up parts, on all threads of the host's runtime where there is much to read.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where a deadline is over before the last of them is begun.
    pub(super) async fn add(&mut self, parts: Vec<Work>, until: &Deadline) -> Result<()> {
        self.touch(parts.iter().map(Work::rows_read).sum());
        let rows: usize = parts.iter().map(Work::rows).sum();
        let parts = parts.into_iter().flat_map(Work::split);
        let Some(runtime) = Handle::try_current().ok().filter(|_| rows >= LARGE_ROWS) else {
            let accumulator = self.accumulator.clone();
            let mut groups = PartGroups::new(&accumulator.groups);
            for part in parts {
                in_time(until)?;
                let tally = part.tally(&accumulator, self.empty_buckets(), &mut groups).await?;
                self.merge(tally)?;
            }
            return groups.finish();
        };
        let parts = Arc::new(Mutex::new(parts.collect::<Vec<_>>().into_iter()));
        let mut tasks = JoinSet::new();
        // Each thread takes the next part as soon as it is through with one. Dropping the set, be it with this future, ends
        // the tasks.
        for _ in 0..runtime.metrics().num_workers() {
            let (accumulator, buckets, parts) = (self.accumulator.clone(), self.empty_buckets(), Arc::clone(&parts));
            let until = until.clone();
            tasks.spawn(async move {
                let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
                let mut tally = Tally::new(buckets.clone());
                // A row group may be in several parts: what these add up to is handed over together.
                let mut groups = PartGroups::new(&accumulator.groups);
                while let Some(part) = next() {
                    in_time(&until)?;
                    tally.add(part.tally(&accumulator, buckets.clone(), &mut groups).await?)?;
                }
                groups.finish()?;
                Ok::<_, Error>(tally)
            });
        }
        while let Some(joined) = tasks.join_next().await {
            self.merge(joined.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"))??)?;
        }
        Ok(())
    }

    /// What is counted: all flows that match, or those that began after `cut`.
    pub(super) async fn covered(&self, cut: Option<i64>) -> Result<Covered> {
        let Accumulator { groups, added, .. } = &self.accumulator;
        Ok(Covered {
            cut,
            sums: self.settled.sums,
            groups: groups.top(self.query.top, self.query.measure, *added).await?,
            buckets: self.settled.buckets.clone(),
        })
    }

    /// Bytes that groups may still take.
    fn memory_left(&self) -> u64 {
        let most = self.query.group_bytes;
        if self.accumulator.group_bytes() > most / 2 {
            self.accumulator.groups.shrink();
        }
        most.saturating_sub(self.accumulator.group_bytes())
    }

    fn empty_buckets(&self) -> Option<Buckets> {
        self.settled.buckets.as_ref().map(Buckets::empty)
    }

    fn merge(&mut self, tally: Tally) -> Result<()> {
        self.spending.spend(tally.rows_read);
        self.open.add(tally)
    }
}

fn in_time(until: &Deadline) -> Result<()> {
    match until.is_over() {
        true => Err(Error::new(ErrorKind::Busy, "the time of a summary is over in the middle of a round")),
        false => Ok(()),
    }
}
