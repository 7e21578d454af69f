//! Reads blocks, and offers the flows that it finds.

use std::sync::Arc;

use super::{
    budget::Spending,
    condition::{Condition, Conditions, Open},
    frontier::Block,
    goal::Goal,
    pruner::Pruner,
    scan::{Scan, Scanner},
    seek::rows_ahead,
    top_k::TopK,
};
use crate::{
    error::Result,
    order::Direction,
    segment::{PagedRows, RowRanges, SegmentReader, Selection},
};

/// Reads blocks for a goal.
#[derive(Debug)]
pub(super) struct BlockReader<'a> {
    pub(super) goal: &'a Goal,
    pub(super) conditions: &'a Conditions,
    pub(super) scanner: &'a Scanner,
    /// What it knows of the rows of blocks.
    pub(super) pruner: &'a Pruner,
    /// Its time ends a round between two blocks.
    pub(super) spending: &'a Spending,
}

/// What was read.
pub(super) struct Read {
    /// How many of the blocks, from the first on: one at least.
    pub(super) blocks: usize,
    /// How many rows of them.
    pub(super) rows: u64,
}

/// A block, and the segment that it is part of.
pub(super) type OpenBlock = (Block, Arc<SegmentReader>);

impl BlockReader<'_> {
    /// Reads blocks, as far as they can hold flows that `top` still takes.
    pub(super) async fn read(&self, blocks: &[OpenBlock], top: &mut TopK) -> Result<Read> {
        match (self.goal.order.by_time(), blocks) {
            // Its flows lie in order: it is read from one end, as far as it has to be.
            (Some(direction), [block]) => self.read_in_order(block, direction, top).await,
            (None, [block]) if top.threshold().is_none() => self.read_page_by_page(block, top).await,
            _ => self.read_at_once(blocks, top).await,
        }
    }

    /// Reads the first block of a search. Each page sets a threshold for the next: without one all flows of the block
    /// are put together and compared.
    async fn read_page_by_page(&self, (block, segment): &OpenBlock, top: &mut TopK) -> Result<Read> {
        let (rows, conditions) = self.rows(block, segment, None).await?;
        for page in rows.split(segment.shape().page_rows) {
            let conditions = self.threshold(top).into_iter().chain(conditions.iter().cloned()).collect();
            let hits = self.scanner.scan(&self.scan(Arc::clone(segment), page, conditions)).await?;
            top.offer(block.segment, &hits)?;
        }
        Ok(Read { blocks: 1, rows: rows.len() as u64 })
    }

    /// Reads blocks from end to end, whatever has been found before.
    pub(super) async fn read_at_once(&self, blocks: &[OpenBlock], top: &mut TopK) -> Result<Read> {
        let by_time = self.goal.order.by_time();
        let threshold = self.threshold(top);
        let mut scans: Vec<Scan> = Vec::with_capacity(blocks.len());
        for (block, segment) in blocks {
            let (mut rows, conditions) = self.rows(block, segment, threshold.as_ref()).await?;
            if let Some(direction) = by_time.filter(|_| conditions.is_empty()) {
                rows = ends(&rows, direction, top.want());
            }
            scans.push(self.scan(Arc::clone(segment), rows, conditions));
        }
        let rows: Vec<u64> = scans.iter().map(|scan| scan.rows.len() as u64).collect();
        let (hits, blocks_read) = self.scanner.scan_all(scans, self.spending).await?;
        for (place, hits) in hits {
            if let Some((block, _)) = blocks.get(place) {
                top.offer(block.segment, &hits)?;
            }
        }
        Ok(Read { blocks: blocks_read, rows: rows.iter().take(blocks_read).sum() })
    }

    async fn read_in_order(&self, (block, segment): &OpenBlock, direction: Direction, top: &mut TopK) -> Result<Read> {
        let (mut left, conditions) = self.rows(block, segment, None).await?;
        let is_decided = conditions.is_empty();
        let page_rows = segment.shape().page_rows;
        let missing = top.missing();
        let mut size = match (is_decided, block.matches) {
            (true, _) => top.want(),
            // As many rows as hold what is missing, if the matches lie evenly.
            (false, Some(matches)) if matches > 0 && missing > 0 => {
                let rows = left.len() as u128 * missing as u128 / u128::from(matches);
                let rows = usize::try_from(rows.saturating_add(rows / 4)).unwrap_or(usize::MAX).min(left.len());
                rows.max(1).div_ceil(page_rows).saturating_mul(page_rows)
            }
            _ => page_rows,
        };
        let mut scanned = 0;
        while !left.is_empty() {
            let part = ends(&left, direction, size);
            let edge = match direction {
                Direction::Descending => part.as_slice().last().map_or(0, |range| range.end)..usize::MAX,
                Direction::Ascending => 0..part.as_slice().first().map_or(0, |range| range.start),
            };
            left = left.within(&edge);
            scanned += part.len() as u64;
            let hits = self.scanner.scan(&self.scan(Arc::clone(segment), part, conditions.clone())).await?;
            top.offer(block.segment, &hits)?;
            // What is left of the block comes after all of it that was read.
            let of_block = |row: usize| segment.block_rows(block.block).contains(&row);
            let worst = top.worst().map(|worst| worst.item);
            if is_decided || worst.is_some_and(|worst| worst.segment == block.segment && of_block(worst.row)) {
                break;
            }
            size = size.saturating_mul(2);
        }
        Ok(Read { blocks: 1, rows: scanned })
    }

    /// What a flow must be to come before the threshold, in an order that the blocks are not in.
    fn threshold(&self, top: &TopK) -> Option<Arc<Condition>> {
        let order = &self.goal.order;
        let worst = top.threshold().filter(|_| order.by_time().is_none())?;
        Condition::not_after(order, worst.first()?.as_ref()).map(Arc::new)
    }

    /// A scan for the keys of the order.
    fn scan(&self, segment: Arc<SegmentReader>, rows: RowRanges, conditions: Vec<Arc<Condition>>) -> Scan {
        let columns = self.goal.order.keys().iter().map(|key| key.field).collect();
        Scan { segment, rows, conditions, columns }
    }

    /// The rows of a block that can be of the page, by its posting lists and the times of its pages; and what they must pass.
    pub(super) async fn rows(
        &self,
        block: &Block,
        segment: &Arc<SegmentReader>,
        threshold: Option<&Arc<Condition>>,
    ) -> Result<(RowRanges, Vec<Arc<Condition>>)> {
        let (pages, selection, conditions) = self.selected(block, segment, threshold).await?;
        let chosen = match selection {
            Some(selection) => selection.rows_from(segment.block_rows(block.block).start).and(&pages),
            None => pages,
        };
        let order = &self.goal.order;
        if let (false, Some(position), Some(direction)) = (block.whole, &self.goal.position, order.by_time()) {
            let reader = &self.scanner.reader;
            let ahead = rows_ahead((order, direction), position, segment, &chosen, reader).await?;
            return Ok((chosen.within(&ahead), conditions));
        }
        Ok((chosen, conditions))
    }

    /// The same, page by page.
    pub(super) async fn paged_rows(
        &self,
        block: &Block,
        segment: &Arc<SegmentReader>,
    ) -> Result<(PagedRows, Vec<Arc<Condition>>)> {
        let page_rows = segment.shape().page_rows;
        if self.goal.position.is_some() {
            let (rows, conditions) = self.rows(block, segment, None).await?;
            return Ok((PagedRows::of(&rows, page_rows, None), conditions));
        }
        let (pages, selection, conditions) = self.selected(block, segment, None).await?;
        let chosen = selection.as_ref().map(|selection| (segment.block_rows(block.block).start, &selection.rows));
        Ok((PagedRows::of(&pages, page_rows, chosen), conditions))
    }

    /// The rows of the pages of a block that are chosen, which of them its posting lists tell, if they do, and what these
    /// must pass.
    async fn selected(
        &self,
        block: &Block,
        segment: &Arc<SegmentReader>,
        threshold: Option<&Arc<Condition>>,
    ) -> Result<(RowRanges, Option<Selection>, Vec<Arc<Condition>>)> {
        let shape = segment.shape();
        let rows = segment.block_rows(block.block);
        if block.whole {
            return Ok((std::iter::once(rows).collect(), None, self.conditions.of(Open::Nothing, threshold)));
        }
        let page = |row: usize| block.pages & 1 << ((row - rows.start) / shape.page_rows).min(7) != 0;
        let starts = rows.clone().step_by(shape.page_rows).filter(|row| page(*row));
        // A page beyond a time is not chosen, whatever lists tell of it.
        let pages: RowRanges = starts.map(|start| start..(start + shape.page_rows).min(rows.end)).collect();
        let selection = self.pruner.rows(block, segment, &self.scanner.reader).await?;
        let open = selection.as_ref().map_or(Open::All, |selection| Open::Parts(&selection.open));
        let conditions = self.conditions.of(open, threshold);
        Ok((pages, selection, conditions))
    }
}

/// The first rows of an order by time: `want` of them, at one end of rows that lie newest first.
fn ends(rows: &RowRanges, direction: Direction, want: usize) -> RowRanges {
    match direction {
        Direction::Descending => rows.first(want),
        Direction::Ascending => rows.last(want),
    }
}
