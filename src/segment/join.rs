//! Conjunctions of values that lists tell the rows of, joined for many blocks together.
//!
//! The rows that pass the rarest part are unpacked. Just these are looked up among the rows of the next part, and what is
//! left of them among those of the one behind it, until no row is left or no part. For example, of 8,192 flows of a block 6
//! have a node, 74 a port and 2,000 a protocol. The 6 rows are looked up among the 74. None of them is there, so nothing is
//! read of the 2,000.

use std::sync::Arc;

use super::{
    Probes, RowReader, SegmentReader,
    candidates::{Candidates, Joined},
    listed_rows::{At, ListedRows},
};
use crate::error::Result;

/// Blocks in which more flows pass each part are left to be joined by bits.
const MOST_ROWS: u32 = 512;

impl Probes {
    /// Joins blocks, ascending, before their [`rows`](Self::rows) are asked for one by one: the blocks among them of which
    /// no flow matches. What was joined before is forgotten.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) async fn join(
        &mut self,
        segment: &Arc<SegmentReader>,
        reader: &RowReader,
        blocks: &[usize],
    ) -> Result<Vec<usize>> {
        self.joined = None;
        let at = (segment, reader);
        let mut parts: Vec<(usize, &ListedRows)> = self.listed_parts().collect();
        parts.sort_by_key(|(place, listed)| (listed.total(), *place));
        let [(_, rarest), others @ ..] = parts.as_slice() else { return Ok(Vec::new()) };
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let few = blocks.iter().copied().filter(|block| rarest.tally(*block).count <= MOST_ROWS);
        let mut candidates = rarest.candidates(at, &few.collect::<Vec<_>>()).await?;
        for (place, listed) in others {
            listed.narrow(at, &mut candidates, *place).await?;
        }
        let joined: Vec<usize> = self.listed_parts().map(|(place, _)| place).collect();
        self.narrow_further(at, &mut candidates, &joined).await?;
        let none = candidates.take_empty();
        let pin = reader.cache().pin_told(candidates.memory());
        self.joined = pin.map(|pin| Joined::new(candidates, pin));
        Ok(none)
    }

    /// Drops candidates that do not pass the parts that are not `joined`, as far as that is known block by block.
    async fn narrow_further(&self, at: At<'_>, candidates: &mut Candidates, joined: &[usize]) -> Result<()> {
        if joined.len() == self.conjuncts().len() {
            return Ok(());
        }
        let mut is_kept = vec![false; candidates.len()];
        let left: Vec<_> = candidates.left().collect();
        for (number, block) in left {
            let Some(selection) = candidates.selection(number, at.0.block_rows(block).len()) else { continue };
            let selection = self.narrowed(at, block, selection, joined).await?;
            let (start, rows) = candidates.rows(number);
            let kept = is_kept.iter_mut().skip(start).zip(rows);
            kept.for_each(|(is_kept, row)| *is_kept = selection.rows.contains(*row as usize));
            candidates.open(number, selection.open);
        }
        candidates.retain(|place| is_kept.get(place).is_some_and(|is_kept| *is_kept));
        Ok(())
    }
}
