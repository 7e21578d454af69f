//! Which rows of a part match.

use std::sync::Arc;

use crate::{
    error::Result,
    query::{
        condition::{Conditions, Open},
        scan::Scanner,
    },
    segment::{PagedRows, Probes, RowRanges, SegmentReader},
};

/// What rows of a segment must pass, and what its lists tell of them.
#[derive(Debug)]
pub(super) struct Matching {
    pub(super) conditions: Conditions,
    /// They tell the rows of some parts of the filter; `None` where they do not.
    pub(super) probes: Option<Arc<Probes>>,
}

impl Matching {
    /// Those of some rows that match. Of how many rows something was read to tell, and how many match of the others.
    pub(super) async fn of(
        &self,
        scanner: &Scanner,
        segment: &Arc<SegmentReader>,
        rows: &RowRanges,
    ) -> Result<(PagedRows, [u64; 2])> {
        // Rows of blocks of which the same is not known, for which it is read together.
        let mut open: Vec<(PagedRows, Option<Vec<usize>>)> = Vec::new();
        let (block_rows, page_rows) = (segment.shape().block_rows, segment.shape().page_rows);
        for block in rows.pages(block_rows) {
            let rows = rows.within(&segment.block_rows(block));
            let selection = match &self.probes {
                Some(probes) => probes.rows(segment, &scanner.reader, block).await?,
                None => None,
            };
            let chosen = selection.as_ref().map(|selection| (block * block_rows, &selection.rows));
            let rows = PagedRows::of(&rows, page_rows, chosen);
            let parts = selection.map(|selection| selection.open);
            match open.last_mut().filter(|(_, before)| *before == parts) {
                Some((before, _)) => before.append(rows),
                None => open.push((rows, parts)),
            }
        }
        let (mut matching, mut tested, mut known) = (PagedRows::default(), 0, 0);
        for (rows, parts) in open {
            let conditions = self.conditions.of_filter(parts.as_deref().map_or(Open::All, Open::Parts));
            let rows_of = if conditions.is_empty() { &mut known } else { &mut tested };
            *rows_of += rows.len() as u64;
            matching.append(scanner.passing(segment, rows, &conditions).await?);
        }
        Ok((matching, [tested, known]))
    }
}
