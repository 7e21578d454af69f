//! The rows of a block that can match a filter, as the lists of rows tell.

use super::{RowRanges, RowSet};

/// The rows of a block that can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// No other rows match.
    pub(crate) rows: RowSet,
    /// Of the parts of which a flow must pass all, the places of those that some of the rows may not pass, ascending.
    pub(crate) open: Vec<usize>,
}

impl Selection {
    /// The rows, where the block begins at row `start` of the segment.
    pub(crate) fn rows_from(&self, start: usize) -> RowRanges {
        RowRanges::ascending(self.rows.ranges().map(|rows| start + rows.start..start + rows.end))
    }

    /// No row of so many.
    pub(super) fn none(rows: usize) -> Self {
        Self { rows: RowSet::none(rows), open: Vec::new() }
    }
}

/// Rows of a block, and whether just these pass. If not, no others pass.
pub(super) type Rows = (RowSet, bool);

/// The other rows.
pub(super) fn inverted((mut rows, is_exact): Rows) -> Rows {
    if !is_exact {
        // Which of the rows are among these is not known.
        return (RowSet::all(rows.rows()), false);
    }
    rows.invert();
    (rows, true)
}
