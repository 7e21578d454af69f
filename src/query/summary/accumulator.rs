//! Flows, added up.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::array::{Array, ArrayRef};

use super::{
    buckets::Buckets,
    listing::{FrequentPart, ListPart, Listing},
    part_groups::PartGroups,
    result::{Bytes, Totals},
    shared::SharedGroups,
};
use crate::{
    error::{Error, Result},
    flow::{Field, Timestamp, ValueRef},
    query::{
        Pruning,
        condition::Condition,
        scan::{Scan, Scanner},
    },
    schema::Values,
    segment::{Columns, RowRanges, SegmentReader},
};

/// What flows add up to. Bytes are below 2^64 a flow, so that their sums are below 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::query) struct Sums {
    pub(in crate::query) flows: u64,
    pub(in crate::query) source: u128,
    pub(in crate::query) dest: u128,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.source += other.source;
        self.dest += other.dest;
    }

    pub(super) fn totals(self, has_bytes: bool) -> Totals {
        let bytes = Bytes { source: self.source, dest: self.dest };
        Totals { flows: self.flows, bytes: has_bytes.then_some(bytes) }
    }
}

/// Rows of a segment that are to be added up.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) segment: Arc<SegmentReader>,
    pub(super) rows: RowRanges,
    /// Of the rows, only those that pass all of these.
    pub(super) conditions: Vec<Arc<Condition>>,
}

/// What a part has added up to, but for its groups.
pub(super) struct Tally {
    pub(super) sums: Sums,
    pub(super) buckets: Option<Buckets>,
    /// Rows of which something was read.
    pub(super) rows_read: u64,
}

/// Adds up parts, in any thread.
#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    pub(super) scanner: Scanner,
    pub(super) by: Vec<Field>,
    pub(super) adds_bytes: bool,
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

    /// Whether something was kept of long lists.
    pub(super) fn has_frequent(&self) -> bool {
        !lock(&self.frequent).is_empty()
    }

    /// What was kept of long lists.
    pub(super) fn take_frequent(&self) -> Vec<FrequentPart> {
        std::mem::take(&mut *lock(&self.frequent))
    }

    /// Adds up a part. `buckets` are empty ones.
    pub(super) async fn tally(&self, part: &Part, buckets: Option<Buckets>) -> Result<Tally> {
        let mut tally = Tally { sums: Sums::default(), buckets, rows_read: 0 };
        let rows = match part.conditions.as_slice() {
            [] => part.rows.clone(),
            conditions => {
                tally.rows_read = part.rows.len() as u64;
                let (segment, conditions) = (Arc::clone(&part.segment), conditions.to_vec());
                let scan = Scan { segment, rows: part.rows.clone(), conditions, columns: Vec::new() };
                self.scanner.scan(&scan).await?.rows
            }
        };
        let mut fields = self.by.clone();
        if self.adds_bytes {
            fields.extend([Field::SrcBytes, Field::DstBytes]);
        }
        let straddling = match &tally.buckets {
            Some(_) if self.pruning == Pruning::Off => rows.clone(),
            Some(buckets) => straddling(&part.segment, &rows, |page| buckets.are_one(page_times(&part.segment, page))),
            None => RowRanges::default(),
        };
        if part.conditions.is_empty() {
            tally.rows_read = if fields.is_empty() { straddling.len() } else { rows.len() } as u64;
        }
        let columns = self.scanner.reader.columns(&part.segment, &fields, &rows).await?;
        let times = self.scanner.reader.columns(&part.segment, &[Field::StartTime], &straddling).await?;
        tokio::task::coop::consume_budget().await;
        let mut groups = (!self.by.is_empty()).then(|| PartGroups::new(&self.groups, rows.len()));
        self.add(&mut tally, groups.as_mut(), part, (&rows, &columns), (&straddling, &times))?;
        groups.map_or(Ok(()), PartGroups::finish)?;
        Ok(tally)
    }

    /// Counts the flows of blocks that a list tells of. `buckets` are empty ones.
    pub(super) async fn count(&self, part: &ListPart, buckets: Option<Buckets>) -> Result<Tally> {
        let ListPart { segment, blocks, .. } = part;
        let listing = self.listing.as_ref().ok_or_else(|| Error::internal("no list tells of the groups"))?;
        let mut groups = PartGroups::new(&self.groups, 0);
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
        let mut tally = Tally { sums: Sums::default(), buckets, rows_read: 0 };
        for (block, time) in blocks {
            let sums = Sums { flows: counted.get(*block).copied().unwrap_or(0), ..Sums::default() };
            tally.sums.add(&sums);
            tally.buckets.iter_mut().for_each(|buckets| buckets.add(*time, &sums));
        }
        groups.finish()?;
        let parts = frequent.map(|frequent| FrequentPart { segment: part.number, chosen, frequent });
        lock(&self.frequent).extend(parts);
        Ok(tally)
    }

    /// Adds up rows, page by page.
    fn add(
        &self,
        tally: &mut Tally,
        mut groups: Option<&mut PartGroups<'_>>,
        part: &Part,
        (rows, columns): (&RowRanges, &Columns),
        (straddling, times): (&RowRanges, &Columns),
    ) -> Result<()> {
        let mut timed = times.parts(straddling).peekable();
        let page_rows = part.segment.shape().page_rows;
        let missing = || Error::internal("a page was not read");
        for (page, start, rows) in columns.parts(rows) {
            let (mut source, mut dest) = (Vec::new(), Vec::new());
            if self.adds_bytes {
                let column = |place: usize| page.column(self.by.len() + place).ok_or_else(missing);
                source = bytes(column(0)?, Field::SrcBytes, &rows)?;
                dest = bytes(column(1)?, Field::DstBytes, &rows)?;
            }
            let sums = |range: Range<usize>| Sums {
                flows: range.len() as u64,
                source: total(source.get(range.clone()).unwrap_or_default()),
                dest: total(dest.get(range).unwrap_or_default()),
            };
            let all = sums(0..rows.len());
            tally.sums.add(&all);
            if let Some(buckets) = &mut tally.buckets {
                match timed.next_if(|(_, timed, _)| *timed == start) {
                    Some((times, ..)) => {
                        let column = times.column(0).ok_or_else(missing)?;
                        for (time, places) in runs(column, &rows, buckets)? {
                            buckets.add(time, &sums(places));
                        }
                    }
                    None => buckets.add(page_times(&part.segment, start / page_rows).1, &all),
                }
            }
            if let Some(groups) = &mut groups {
                let keys: Option<Vec<&ArrayRef>> = (0..self.by.len()).map(|key| page.column(key)).collect();
                groups.add(&keys.ok_or_else(missing)?, &rows, (&source, &dest))?;
            }
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of some rows; 0 where they are not known.
pub(in crate::query) fn bytes(column: &ArrayRef, field: Field, rows: &RowRanges) -> Result<Vec<u64>> {
    let Values::Large(array) = Values::new(column.as_ref(), field)? else {
        return Err(Error::internal("bytes are not numbers"));
    };
    let mut bytes = Vec::with_capacity(rows.len());
    for range in rows.as_slice() {
        match (array.null_count(), array.values().get(range.clone())) {
            (0, Some(values)) => bytes.extend_from_slice(values),
            _ => bytes.extend(range.clone().map(|row| if array.is_valid(row) { array.value(row) } else { 0 })),
        }
    }
    Ok(bytes)
}

/// What bytes of flows add up to.
pub(in crate::query) fn total(bytes: &[u64]) -> u128 {
    // In 64 bits where so many flows of so many bytes fit into them, as nearly all do: some at a time.
    const FLOWS: usize = 1 << 12;
    let few = |bytes: &[u64]| match bytes.iter().fold(0, |all, bytes| all | bytes) {
        0..0x000f_ffff_ffff_ffff => u128::from(bytes.iter().sum::<u64>()),
        _ => bytes.iter().map(|bytes| u128::from(*bytes)).sum(),
    };
    bytes.chunks(FLOWS).map(few).sum()
}

/// The oldest and the newest start time of a page, in milliseconds.
pub(in crate::query) fn page_times(segment: &SegmentReader, page: usize) -> (i64, i64) {
    let (oldest, newest) = segment.page_times(page).unwrap_or((0, u64::MAX));
    (Timestamp::ordinal_millis(oldest), Timestamp::ordinal_millis(newest))
}

/// Those of the rows whose pages do not belong to one bucket.
pub(in crate::query) fn straddling(
    segment: &SegmentReader,
    rows: &RowRanges,
    is_one: impl Fn(usize) -> bool,
) -> RowRanges {
    let page_rows = segment.shape().page_rows;
    let mut found = Vec::new();
    for range in rows.as_slice() {
        for page in range.start / page_rows..range.end.div_ceil(page_rows) {
            if !is_one(page) {
                found.push(range.start.max(page * page_rows)..range.end.min((page + 1) * page_rows));
            }
        }
    }
    found.into_iter().collect()
}

/// Runs of rows that began in one bucket: a time in it, and their places among the rows.
fn runs(column: &ArrayRef, rows: &RowRanges, buckets: &Buckets) -> Result<Vec<(i64, Range<usize>)>> {
    let Values::Times(array) = Values::new(column.as_ref(), Field::StartTime)? else {
        return Err(Error::internal("start times are not times"));
    };
    let mut runs: Vec<(i64, Range<usize>)> = Vec::new();
    let mut place = 0;
    for range in rows.as_slice() {
        let times = array.values().get(range.clone());
        let mut left = times.ok_or_else(|| Error::internal("a page has fewer rows than it should"))?;
        while let Some(first) = left.first().copied() {
            // They lie newest first, so those of a bucket lie together.
            let length = left.partition_point(|time| buckets.are_one((*time, first)));
            match runs.last_mut() {
                Some((time, places)) if buckets.are_one((*time, first)) => places.end += length,
                _ => runs.push((first, place..place + length)),
            }
            place += length;
            left = left.get(length..).unwrap_or_default();
        }
    }
    Ok(runs)
}
