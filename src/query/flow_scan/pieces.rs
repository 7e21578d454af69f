//! A scan in pieces, for a node that adds up what it finds.

use std::sync::Arc;

use super::{
    lists::Lists,
    parts::{PartScan, Step},
    survey::Looked,
};
use crate::{
    error::{Error, Result},
    flow::Field,
    query::{Explain, frontier::Block, segments::OpenSegment, summary::ListCost},
    segment::{Columns, ListValue, PagedRows},
};

/// A piece of a scan.
pub(in crate::query) enum Piece {
    /// Blocks that are to be [read](PartScan::read).
    Blocks(BlockPiece),
    /// Rows that match.
    Rows(RowPiece),
    /// Blocks whose groups a list tells.
    List(ListPiece),
}

/// Blocks of a segment.
pub(in crate::query) struct BlockPiece {
    pub(in crate::query) segment: OpenSegment,
    pub(in crate::query) blocks: Vec<Block>,
    place: usize,
    looked: Arc<Looked>,
}

/// Rows of a segment.
pub(in crate::query) struct RowPiece {
    pub(in crate::query) segment: OpenSegment,
    pub(in crate::query) rows: PagedRows,
    /// Whether it was counted that they are read.
    is_read: bool,
}

/// Blocks of a segment whose groups its list tells.
pub(in crate::query) struct ListPiece {
    segment: OpenSegment,
    /// For each block of the segment whether it is one of them.
    chosen: Vec<bool>,
}

impl PartScan {
    /// The next piece, of a scan of which columns are wanted.
    pub(in crate::query) async fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            match self.steps.pop_front() {
                Some(Step::Read { segment: place, blocks, looked }) => {
                    let segment = self.open(place).await?;
                    return Ok(Some(Piece::Blocks(BlockPiece { segment, blocks, place, looked })));
                }
                Some(Step::Scan { segment, rows, conditions }) => {
                    let segment = self.open(segment).await?;
                    let is_read = !conditions.is_empty();
                    if is_read {
                        self.note_rows(rows.len());
                    }
                    let rows = self.scanner.passing(&segment, rows, &conditions).await?;
                    self.add(Explain::default());
                    // A scan whose pages are all in memory would otherwise never let go of its thread.
                    tokio::task::coop::consume_budget().await;
                    if !rows.is_empty() {
                        return Ok(Some(Piece::Rows(RowPiece { segment, rows, is_read })));
                    }
                }
                Some(Step::List { segment, chosen }) => {
                    let segment = self.open(segment).await?;
                    return Ok(Some(Piece::List(ListPiece { segment, chosen })));
                }
                Some(step @ Step::Count(_)) => drop(self.take(step).await?),
                None if self.look().await? => {}
                None => return Ok(None),
            }
        }
    }

    /// Lets blocks be read: their rows come next.
    pub(in crate::query) async fn read(&mut self, piece: BlockPiece) -> Result<()> {
        let BlockPiece { blocks, place, looked, .. } = piece;
        if blocks.is_empty() { Ok(()) } else { self.choose(place, blocks, &looked).await }
    }

    /// Pages of columns that hold `rows`, which are among those of a piece.
    pub(in crate::query) async fn columns(
        &mut self,
        piece: &mut RowPiece,
        fields: &[Field],
        rows: &PagedRows,
    ) -> Result<Columns> {
        if !piece.is_read && !fields.is_empty() && !rows.is_empty() {
            self.note_rows(rows.len());
            piece.is_read = true;
        }
        let columns = self.scanner.reader.paged_columns(&piece.segment, fields, rows).await?;
        self.add(Explain::default());
        Ok(columns)
    }

    /// Calls `each` with every value that flows of a piece have which match, and with how many these are.
    pub(in crate::query) async fn count(
        &mut self,
        piece: &ListPiece,
        each: impl FnMut(Option<&ListValue<'_>>, u64),
    ) -> Result<()> {
        let ListPiece { segment, chosen } = piece;
        let lists = self.lists.as_ref().ok_or_else(|| Error::internal("no list tells of the groups"))?;
        lists.listing.count(&self.scanner.reader, segment, chosen, each).await?;
        self.add(Explain::default());
        Ok(())
    }

    /// For each block of a segment whether its list tells the groups, where that costs less than to read the rows.
    pub(super) async fn listed(&self, segment: usize, looked: &Looked) -> Result<Option<Vec<bool>>> {
        let Some(Lists { listing, .. }) = self.lists.as_deref() else { return Ok(None) };
        let opened = self.open(segment).await?;
        let is_listed =
            |block: &&Block| listing.decides(&looked.target.goal.filter, &opened.blocks().block(block.block));
        let blocks: Vec<&Block> = looked.blocks.iter().filter(is_listed).collect();
        let rows = blocks.iter().map(|block| block.rows as u64).sum();
        if blocks.is_empty() || ListCost::of(listing, &opened).and_then(|cost| cost.groups(rows)).is_none() {
            return Ok(None);
        }
        let mut chosen = vec![false; opened.blocks().len()];
        for block in blocks {
            chosen.iter_mut().skip(block.block).take(1).for_each(|chosen| *chosen = true);
        }
        Ok(Some(chosen))
    }
}
