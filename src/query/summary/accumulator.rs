//! Flows, added up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::ArrayRef;

use super::{
    buckets::Buckets,
    listing::{FrequentPart, ListPart, Listing},
    matching::Matching,
    part_groups::PartGroups,
    runs::{Runs, page_times},
    shared::SharedGroups,
    sums::{Added, Numbers, Sums, bytes},
};
use crate::{
    error::{Error, Result},
    flow::{Field, ValueRef},
    query::{Pruning, scan::Scanner},
    segment::{Columns, PagedRows, RowRanges, SegmentReader},
};

/// Rows of a segment that are to be added up.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) segment: Arc<SegmentReader>,
    pub(super) rows: RowRanges,
    /// What flows of them must pass; `None` where all match.
    pub(super) matching: Option<Arc<Matching>>,
}

/// What parts have added up to, but for their groups.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) sums: Sums,
    pub(super) buckets: Option<Buckets>,
    /// Rows of which something was read.
    pub(super) rows_read: u64,
}

impl Tally {
    /// Of no flows. `buckets` are empty ones.
    pub(super) fn new(buckets: Option<Buckets>) -> Self {
        Self { sums: Sums::default(), buckets, rows_read: 0 }
    }

    /// Adds another.
    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        self.sums.add(&other.sums);
        self.rows_read += other.rows_read;
        match (&mut self.buckets, other.buckets) {
            (Some(buckets), Some(added)) => {
                buckets.merge(added);
                buckets.check()
            }
            _ => Ok(()),
        }
    }
}

/// Adds up parts, in any thread.
#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    pub(super) scanner: Scanner,
    pub(super) by: Vec<Field>,
    pub(super) added: Added,
    pub(super) pruning: Pruning,
    /// How a list tells of the groups, if one does.
    pub(super) listing: Option<Arc<Listing>>,
    /// The groups.
    pub(super) groups: Arc<SharedGroups>,
    /// The most frequent values of long lists.
    pub(super) frequent: Arc<Mutex<Vec<FrequentPart>>>,
}

impl Accumulator {
    /// About how many bytes of memory the groups take.
    pub(super) fn group_bytes(&self) -> u64 {
        let frequent = lock(&self.frequent).iter().map(|part| part.frequent.memory()).sum::<u64>();
        self.groups.memory() + frequent
    }

    /// Lets all stay that was added.
    pub(super) fn settle(&self) {
        self.groups.settle();
        lock(&self.frequent).iter_mut().for_each(|part| part.is_settled = true);
    }

    /// Takes back what was added and is not settled.
    pub(super) fn take_back(&self) {
        self.groups.take_back();
        lock(&self.frequent).retain(|part| part.is_settled);
    }

    /// What was kept of long lists.
    pub(super) fn take_frequent(&self) -> Vec<FrequentPart> {
        std::mem::take(&mut *lock(&self.frequent))
    }

    /// Adds up a part, whose groups are handed over with others of the thread. `buckets` are empty ones.
    pub(super) async fn tally(
        &self,
        part: &Part,
        buckets: Option<Buckets>,
        groups: &mut PartGroups<'_>,
    ) -> Result<Tally> {
        let mut tally = Tally::new(buckets);
        let page_rows = part.segment.shape().page_rows;
        let (rows, [tested, known]) = match &part.matching {
            None => (PagedRows::of(&part.rows, page_rows, None), [0, part.rows.len() as u64]),
            Some(matching) => matching.of(&self.scanner, &part.segment, &part.rows).await?,
        };
        let mut fields = self.by.clone();
        fields.extend(self.added.fields());
        let bucket = |page: usize| {
            let buckets = tally.buckets.as_ref().filter(|_| self.pruning == Pruning::On)?;
            let times = page_times(&part.segment, page);
            buckets.are_one(times).then(|| buckets.start(times.1))
        };
        let open = match tally.buckets {
            Some(_) => rows.filter(|page| bucket(page).is_none()),
            None => PagedRows::default(),
        };
        tally.rows_read = if fields.is_empty() { tested.max(open.len() as u64) } else { tested + known };
        let runs = match &tally.buckets {
            Some(buckets) => {
                // Two reads at a time would wait for one another's memory.
                let times = self.scanner.reader.paged_columns(&part.segment, &[Field::StartTime], &open).await?;
                Runs::of(&rows, bucket, (&times, &open), |times| Some(buckets.divide(times)))?
            }
            None => None,
        };
        let columns = self.scanner.reader.paged_columns(&part.segment, &fields, &rows).await?;
        tokio::task::coop::consume_budget().await;
        groups.expect(rows.len());
        self.add(&mut tally, groups, (&rows, &columns), runs)?;
        Ok(tally)
    }

    /// Counts the flows of blocks that a list tells of. `buckets` are empty ones.
    pub(super) async fn count(&self, part: &ListPart, buckets: Option<Buckets>) -> Result<Tally> {
        let ListPart { segment, blocks, .. } = part;
        let listing = self.listing.as_ref().ok_or_else(|| Error::internal("no list tells of the groups"))?;
        let mut groups = PartGroups::new(&self.groups);
        let chosen = part.chosen();
        let mut frequent = listing.frequent();
        let counted = listing.count(&self.scanner.reader, segment, &chosen, |value, flows| {
            let number = |field: &Field| match value.and_then(|value| value.get(*field)) {
                Some(ValueRef::Number(number)) => Some(number),
                _ => None,
            };
            match (&mut frequent, listing.columns.first().and_then(number)) {
                (Some(frequent), Some(number)) => frequent.take(number, flows),
                _ => groups.count(|field| value.and_then(|value| value.get(field)), flows),
            }
        });
        let counted = counted.await?;
        let mut tally = Tally::new(buckets);
        for (block, time) in blocks {
            let sums = Sums { flows: counted.get(*block).copied().unwrap_or(0), ..Sums::default() };
            tally.sums.add(&sums);
            tally.buckets.iter_mut().for_each(|buckets| buckets.add(*time, &sums));
        }
        groups.finish()?;
        let kept = |frequent| FrequentPart { segment: part.number, chosen, frequent, is_settled: false };
        let parts = frequent.map(kept);
        lock(&self.frequent).extend(parts);
        Ok(tally)
    }

    /// Adds up rows.
    fn add(
        &self,
        tally: &mut Tally,
        groups: &mut PartGroups<'_>,
        (rows, columns): (&PagedRows, &Columns),
        mut runs: Option<Runs<i64>>,
    ) -> Result<()> {
        let missing = || Error::internal("a page was not read");
        for page in columns.parts(rows) {
            let rows = page.rows();
            let mut numbers = Numbers::default();
            for (field, column) in self.added.fields().zip(self.by.len()..) {
                let bytes = bytes(page.column(column).ok_or_else(missing)?, field, &rows)?;
                if field == Field::SrcBytes { numbers.source = bytes } else { numbers.dest = bytes }
            }
            if self.added.any() {
                // What is not added up is zero.
                for numbers in [&mut numbers.source, &mut numbers.dest].into_iter().filter(|numbers| numbers.is_empty())
                {
                    *numbers = vec![0; rows.len()].into();
                }
            }
            let sums = |range| Sums::of_rows(range, &numbers);
            tally.sums.add(&sums(0..rows.len()));
            if let (Some(buckets), Some(runs)) = (&mut tally.buckets, &mut runs) {
                let mut added = 0;
                while added < rows.len() {
                    let (time, length) = runs.next(rows.len() - added)?;
                    buckets.add(time, &sums(added..added + length));
                    added += length;
                }
            }
            if !self.by.is_empty() {
                let keys: Option<Vec<&ArrayRef>> = (0..self.by.len()).map(|key| page.column(key)).collect();
                groups.add(&keys.ok_or_else(missing)?, &rows, &numbers)?;
            }
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
