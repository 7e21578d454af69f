//! The blocks that are counted together.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use super::{plan::Block, runs::page_times};
use crate::{
    error::{Error, Result},
    flow::Field,
    schema::Values,
    segment::{RowRanges, RowReader, SegmentReader},
};

/// A block of which no row is read is about as much work as a row in so many of one that is read.
const DECIDED: u64 = 64;

/// Blocks that are counted together: those with the newest flows of all that are left.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// How many blocks of each segment, its newest.
    pub(super) taken: BTreeMap<usize, usize>,
    /// Segments that were not opened, and how many of their flows match: all of them are counted without.
    pub(super) whole: Vec<(usize, u64)>,
    /// Flows that began later are counted; `None` where all flows are.
    pub(super) cut: Option<i64>,
    /// Segments whose lists tell of their blocks.
    pub(super) listed: BTreeSet<usize>,
    /// There are no more groups in those lists.
    pub(super) groups: u64,
    /// Blocks that are read.
    pub(super) reads: usize,
    /// Their rows.
    pub(super) rows: u64,
    /// Those, and about as many as the other blocks are worth.
    pub(super) work: u64,
}

impl Round {
    /// Takes the next block of a segment, which is read or is not; the number of the one behind it.
    pub(super) fn take(&mut self, segment: usize, block: &Block, is_read: bool) -> usize {
        let rows = block.rows.len() as u64;
        self.reads += usize::from(is_read);
        self.rows += if is_read { rows } else { 0 };
        self.work += if is_read { rows } else { rows / DECIDED + 1 };
        let taken = self.taken.entry(segment).or_default();
        *taken += 1;
        *taken
    }
}

/// Where a round ends that began at `newest` and left blocks whose newest flow began at `next`, which is earlier: a
/// millisecond before a whole second, if that is possible. So what a summary says that it covers does not tell when a flow
/// began that the asker may not see.
pub(super) fn cut(next: i64, newest: i64) -> i64 {
    let second = next.div_euclid(1000).saturating_add(1).saturating_mul(1000) - 1;
    if second < newest { second } else { next }
}

/// The first of some rows of a block whose flow did not begin after `cut`. The rows lie newest first.
///
/// For example, pages of 4 rows, and a cut at 12:00:03:
///
/// ```text
/// rows 0..4    12:00:09 ..= 12:00:06    later
/// rows 4..8    12:00:05 ..= 12:00:02    read: row 4 at :05, row 5 at :03, so the edge is row 5
/// rows 8..12   12:00:02 ..= 12:00:00    not later
/// ```
pub(super) async fn edge(
    segment: &Arc<SegmentReader>,
    rows: Range<usize>,
    cut: i64,
    reader: &RowReader,
) -> Result<usize> {
    let page_rows = segment.shape().page_rows;
    for page in rows.start / page_rows..rows.end.div_ceil(page_rows) {
        let part = rows.start.max(page * page_rows)..rows.end.min((page + 1) * page_rows);
        let (oldest, newest) = page_times(segment, page);
        if oldest > cut {
            continue;
        }
        if newest <= cut {
            return Ok(part.start);
        }
        let part_rows: RowRanges = std::iter::once(part.clone()).collect();
        let columns = reader.columns(segment, &[Field::StartTime], &part_rows).await?.select(&part_rows)?;
        let column = columns.first().ok_or_else(|| Error::internal("a page was not read"))?;
        let Values::Times(times) = Values::new(column.as_ref(), Field::StartTime)? else {
            return Err(Error::internal("start times are not times"));
        };
        let edge = times.values().partition_point(|time| *time > cut);
        if edge < times.len() {
            return Ok(part.start + edge);
        }
    }
    Ok(rows.end)
}

/// Those of some rows of a block whose pages may hold a flow that matches.
pub(super) fn rows_of_pages(segment: &SegmentReader, block: &Block, rows: &Range<usize>) -> RowRanges {
    let page_rows = segment.shape().page_rows;
    let first = block.rows.start / page_rows;
    let is_chosen = |page: &usize| block.pages & 1 << (page - first).min(7) != 0;
    let chosen = (first..block.rows.end.div_ceil(page_rows)).filter(is_chosen);
    chosen.map(|page| rows.start.max(page * page_rows)..rows.end.min((page + 1) * page_rows)).collect()
}
