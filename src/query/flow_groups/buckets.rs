//! Groups by buckets of time.
//!
//! The flows of a page lie in the order of time. So where its oldest and its newest flow are in the same bucket all are, and
//! the page is not read for it:
//!
//! ```text
//! page 0   12:09 ..= 12:06    in the bucket of 12:05
//! page 1   12:06 ..= 12:03    read: rows until 12:05 are in that bucket, and the others in that of 12:00
//! page 2   12:03 ..= 12:01    in the bucket of 12:00
//! ```

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::array::Array;

use super::{key::Key, run::Run, shape::Shape};
use crate::{
    error::Result,
    flow::{Field, Timestamp, ValueRef},
    query::{
        flow_scan::{BlockPiece, PartScan, RowPiece},
        summary::{PartGroups, Runs, Sums, page_times},
    },
    segment::SegmentReader,
};

/// The time that stands for a bucket; `None` for that of times that are in none.
type Bucket = Option<i64>;

impl Run {
    /// Counts the flows of blocks whose number and buckets are known, and leaves the others.
    pub(super) fn count_blocks(&self, key: &Key, piece: &mut BlockPiece) -> Result<()> {
        let mut groups = PartGroups::new(&self.groups);
        let (segment, all) = (&piece.segment, std::mem::take(&mut piece.blocks));
        let page_rows = segment.shape().page_rows;
        let pages = all.iter().flat_map(|block| pages_of(segment.block_rows(block.block), page_rows));
        let buckets = buckets(key, segment, &pages.collect::<Vec<_>>());
        for block in all {
            let rows = segment.block_rows(block.block);
            let known = match (block.whole, block.matches) {
                (true, _) => known_pages(segment, &buckets, rows),
                (false, Some(flows)) => known_block(segment, &buckets, rows, flows),
                (false, None) => None,
            };
            match known {
                Some(known) => {
                    for (bucket, flows) in known {
                        add(&mut groups, bucket, &Sums { flows, ..Sums::default() });
                    }
                }
                None => piece.blocks.push(block),
            }
        }
        groups.finish()
    }

    /// Adds the flows of some rows, of which the start times are read where pages belong to several buckets. False where one
    /// has no bucket because of an error.
    pub(super) async fn add_buckets(
        &self,
        shape: &Shape,
        key: &Key,
        piece: &mut RowPiece,
        part: &mut PartScan,
    ) -> Result<bool> {
        let (segment, rows) = (Arc::clone(&piece.segment), piece.rows.clone());
        let pages: Vec<usize> = rows.pages().iter().map(|(page, _)| *page).collect();
        let buckets = buckets(key, &segment, &pages);
        let bucket = |page: usize| buckets.get(&page).copied();
        let open = rows.filter(|page| bucket(page).is_none());
        let runs = {
            // Two reads at a time would wait for one another's memory.
            let times = part.columns(piece, &[Field::StartTime], &open).await?;
            Runs::of(&rows, bucket, (&times, &open), |times| divided(key, times))?
        };
        let Some(mut runs) = runs else { return Ok(false) };
        let columns = part.columns(piece, &shape.added_fields(), &rows).await?;
        let mut groups = PartGroups::new(&self.groups);
        for page in columns.parts(&rows) {
            let rows = page.rows();
            let numbers = shape.numbers(&page, 0, &rows)?;
            let mut added = 0;
            while added < rows.len() {
                let (bucket, length) = runs.next(rows.len() - added)?;
                add(&mut groups, bucket, &Sums::of_rows(added..added + length, &numbers));
                added += length;
            }
        }
        groups.finish().map(|()| true)
    }
}

/// Adds what flows of a bucket add up to.
fn add(groups: &mut PartGroups<'_>, bucket: Bucket, sums: &Sums) {
    let bucket = bucket.map(|millis| ValueRef::Number(Timestamp::millis_ordinal(millis).into()));
    groups.sums_of(|_| bucket, sums);
}

/// The buckets of some pages, of each that belongs to one.
fn buckets(key: &Key, segment: &SegmentReader, pages: &[usize]) -> BTreeMap<usize, Bucket> {
    let bounds = pages.iter().flat_map(|page| <[i64; 2]>::from(page_times(segment, *page)));
    // A time that has no bucket because of an error may be that of a flow that does not match.
    let Some(told) = key.buckets(bounds) else { return BTreeMap::new() };
    let bucket = |place: usize| told.is_valid(place).then(|| told.value(place));
    let one = |(place, page): (usize, usize)| {
        // Between two times that are in no bucket, there may be some that are.
        let bucket = bucket(2 * place).filter(|oldest| bucket(2 * place + 1) == Some(*oldest))?;
        Some((page, Some(bucket)))
    };
    pages.iter().copied().enumerate().filter_map(one).collect()
}

/// The pages of a block.
fn pages_of(rows: Range<usize>, page_rows: usize) -> Range<usize> {
    rows.start / page_rows..rows.end.div_ceil(page_rows)
}

/// The buckets of a block and their flows, where each of its pages belongs to one.
fn known_pages(
    segment: &SegmentReader,
    buckets: &BTreeMap<usize, Bucket>,
    rows: Range<usize>,
) -> Option<Vec<(Bucket, u64)>> {
    let page_rows = segment.shape().page_rows;
    let flows = |page: usize| (rows.end.min((page + 1) * page_rows) - page * page_rows) as u64;
    pages_of(rows.clone(), page_rows).map(|page| Some((*buckets.get(&page)?, flows(page)))).collect()
}

/// The bucket of a block of which so many flows match, where all of its pages belong to the same one.
fn known_block(
    segment: &SegmentReader,
    buckets: &BTreeMap<usize, Bucket>,
    rows: Range<usize>,
    flows: u64,
) -> Option<Vec<(Bucket, u64)>> {
    let pages = known_pages(segment, buckets, rows)?;
    let (first, _) = *pages.first()?;
    pages.iter().all(|(bucket, _)| *bucket == first).then(|| vec![(first, flows)])
}

/// The buckets of some times, and how many of them each has. `None` where one has no bucket because of an error.
fn divided(key: &Key, times: &[i64]) -> Option<Vec<(Bucket, usize)>> {
    let mut runs: Vec<(Bucket, usize)> = Vec::new();
    for bucket in &key.buckets(times.iter().copied())? {
        match runs.last_mut() {
            Some((last, rows)) if *last == bucket => *rows += 1,
            _ => runs.push((bucket, 1)),
        }
    }
    Some(runs)
}
