//! How the rows of a segment are cut.

use std::ops::Range;

/// How the rows of a segment are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// All rows.
    pub(crate) rows: usize,
    /// Rows of a row group, but the last.
    pub(crate) group_rows: usize,
    /// Rows of a block, but the last.
    pub(crate) block_rows: usize,
    /// Rows of a page, but the last.
    pub(crate) page_rows: usize,
}

/// The rows of a block.
pub(super) fn block_range(block: usize, block_rows: usize, rows: usize) -> Range<usize> {
    let start = block.saturating_mul(block_rows).min(rows);
    start..start.saturating_add(block_rows).min(rows)
}
