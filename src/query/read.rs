//! Blocks to flows that may be of the page.

use std::{ops::Range, sync::Arc};

use super::{
    condition::{Condition, Conditions},
    exec::Scan,
    kept::Kept,
    plan::Block,
    search::Search,
};
use crate::{
    error::Result,
    flow::{Field, Value, ValueRef},
    order::{Direction, Position},
    schema::Values,
    segment::{RowRanges, SegmentReader},
};

impl Search<'_> {
    /// Reads blocks.
    pub(super) async fn read(&mut self, blocks: &[Block], conditions: &Conditions, kept: &mut Kept) -> Result<()> {
        self.explain.blocks_read += blocks.len() as u64;
        match (self.goal.order.by_time(), blocks) {
            // Its flows lie in order: it is read from the one end, as far as it has to be.
            (Some(direction), [block]) => self.read_in_order(block, direction, conditions, kept).await,
            _ => self.read_at_once(blocks, conditions, kept).await,
        }
    }

    async fn read_at_once(&mut self, blocks: &[Block], conditions: &Conditions, kept: &mut Kept) -> Result<()> {
        // Only what comes before the worst of a full page matters.
        let by_time = self.goal.order.by_time();
        let worst = kept.worst().filter(|_| by_time.is_none()).and_then(|worst| worst.key.first());
        let threshold =
            worst.map(|worst| Condition::not_after(&self.goal.order, worst.as_ref())).transpose()?.flatten();
        let threshold = threshold.map(Arc::new);
        let mut scans: Vec<Scan> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let segment = self.reader(block.segment).await?;
            let mut rows = self.rows(block, &segment).await?;
            if let Some(direction) = by_time.filter(|_| block.whole) {
                rows = ends(&rows, direction, kept.want());
            }
            let conditions = conditions.of(block.whole, threshold.as_ref());
            scans.push(self.scan(segment, rows, conditions));
        }
        for (place, hits) in self.scanner.scan_all(scans).await? {
            if let Some(block) = blocks.get(place) {
                kept.offer(block.segment, &hits)?;
            }
        }
        Ok(())
    }

    async fn read_in_order(
        &mut self,
        block: &Block,
        direction: Direction,
        conditions: &Conditions,
        kept: &mut Kept,
    ) -> Result<()> {
        let segment = self.reader(block.segment).await?;
        let mut left = self.rows(block, &segment).await?;
        let page_rows = segment.shape().page_rows;
        let missing = kept.missing();
        let mut size = match (block.whole, block.matches) {
            (true, _) => kept.want(),
            // As many rows as hold what is missing, if the matches lie evenly.
            (false, Some(matches)) if matches > 0 && missing > 0 => {
                let rows = left.len() as u64 * missing as u64 / matches;
                usize::try_from(rows + rows / 4).unwrap_or(usize::MAX).max(1).next_multiple_of(page_rows)
            }
            _ => page_rows,
        };
        let conditions = conditions.of(block.whole, None);
        while !left.is_empty() {
            let part = ends(&left, direction, size);
            let edge = match direction {
                Direction::Descending => part.as_slice().last().map_or(0, |range| range.end)..usize::MAX,
                Direction::Ascending => 0..part.as_slice().first().map_or(0, |range| range.start),
            };
            left = left.within(&edge);
            let scan = self.scan(Arc::clone(&segment), part, conditions.clone());
            let hits = self.scanner.scan(&scan).await?;
            kept.offer(block.segment, &hits)?;
            // What is left of the block comes after all of it that was read.
            let of_block = |row: usize| segment.block_rows(block.block).contains(&row);
            if kept.worst().is_some_and(|worst| worst.segment == block.segment && of_block(worst.row)) || block.whole {
                break;
            }
            size = size.saturating_mul(2);
        }
        Ok(())
    }

    /// A scan for the keys of the order.
    fn scan(&mut self, segment: Arc<SegmentReader>, rows: RowRanges, conditions: Vec<Arc<Condition>>) -> Scan {
        self.explain.rows_scanned += rows.len() as u64;
        self.spending.spend(rows.len());
        let columns = self.goal.order.keys().iter().map(|key| key.field).collect();
        Scan { segment, rows, conditions, columns }
    }

    /// The rows of a block that can be of the page, as far as its lists and the times of its pages tell.
    async fn rows(&self, block: &Block, segment: &Arc<SegmentReader>) -> Result<RowRanges> {
        let shape = segment.shape();
        let rows = segment.block_rows(block.block);
        let first = rows.start / shape.page_rows;
        let page = |page: usize| {
            let start = page * shape.page_rows;
            start..start.saturating_add(shape.page_rows).min(rows.end)
        };
        let pages =
            (first..rows.end.div_ceil(shape.page_rows)).filter(|page| block.pages & 1 << (page - first).min(7) != 0);
        let chosen: RowRanges = pages.map(page).collect();
        match (&self.goal.position, self.goal.order.by_time()) {
            (Some(position), Some(direction)) if !block.whole => {
                let ahead = self.ahead(position, direction, segment, &chosen).await?;
                Ok(chosen.within(&ahead))
            }
            _ => Ok(chosen),
        }
    }

    /// Where the flows lie that are still to come, in a segment whose flows are in order.
    async fn ahead(
        &self,
        position: &Position,
        direction: Direction,
        segment: &Arc<SegmentReader>,
        rows: &RowRanges,
    ) -> Result<Range<usize>> {
        let time = match position.key.first() {
            Some(Some(Value::Number(time))) => *time,
            _ => return Ok(0..usize::MAX),
        };
        // Whether the flows of a page lie before the time of the position, after it, or around it.
        let page_rows = segment.shape().page_rows;
        let (mut newer, mut around) = (0, Vec::new());
        for range in rows.as_slice() {
            for page in range.start / page_rows..range.end.div_ceil(page_rows) {
                let (oldest, newest) = segment.page_times(page).unwrap_or((0, u64::MAX));
                let part = range.start.max(page * page_rows)..range.end.min((page + 1) * page_rows);
                if u128::from(oldest) > time {
                    newer = newer.max(part.end);
                } else if u128::from(newest) >= time {
                    around.push(part);
                }
            }
        }
        let around: RowRanges = around.into_iter().collect();
        let columns = self.scanner.reader.columns(segment, &[Field::StartTime, Field::FlowId], &around).await?;
        let columns = columns.select(&around)?;
        let values = [Field::StartTime, Field::FlowId].into_iter().zip(&columns);
        let values = values.map(|(field, column)| Values::new(column.as_ref(), field)).collect::<Result<Vec<_>>>()?;
        let places: Vec<usize> = around.iter().collect();
        let is_ahead = |place: usize| {
            let key: Vec<_> = values.iter().map(|values| values.get(place).map(ValueRef::to_owned)).collect();
            position.precedes(&self.goal.order, &key)
        };
        // Newest first, so to come are the last ones, or in the other order the first ones.
        let (mut low, mut high) = (0, places.len());
        while low < high {
            let middle = (low + high) / 2;
            let newer_side = is_ahead(middle) == (direction == Direction::Ascending);
            if newer_side { low = middle + 1 } else { high = middle }
        }
        let edge = match low.checked_sub(1).and_then(|last| places.get(last)) {
            Some(last) => last + 1,
            None => places.first().copied().unwrap_or(newer),
        };
        Ok(match direction {
            Direction::Descending => edge..usize::MAX,
            Direction::Ascending => 0..edge,
        })
    }
}

/// The first rows of an order by time: at the one end of rows that lie newest first.
fn ends(rows: &RowRanges, direction: Direction, want: usize) -> RowRanges {
    let skip = rows.len().saturating_sub(want);
    if skip == 0 {
        return rows.clone();
    }
    let mut ranges = Vec::new();
    let mut left = want;
    let mut take = |range: &Range<usize>, part: &dyn Fn(usize) -> Range<usize>| {
        let taken = range.len().min(left);
        ranges.push(part(taken));
        left -= taken;
    };
    match direction {
        Direction::Descending => {
            rows.as_slice().iter().for_each(|range| take(range, &|n| range.start..range.start + n))
        }
        Direction::Ascending => {
            rows.as_slice().iter().rev().for_each(|range| take(range, &|n| range.end - n..range.end))
        }
    }
    ranges.into_iter().collect()
}
