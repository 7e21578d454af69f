//! Where a page begins, and whether matches are counted.

use crate::order::Cursor;

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first flow of the order.
    #[default]
    First,
    /// At flow `(n - 1) * limit` of the order, for the page number `n` from 1 on. What is passed over is searched
    /// all the same: a cursor is what costs the same at any depth.
    Number(u64),
    /// Where the page ended that gave this cursor.
    At(Cursor),
}

/// Whether the matches of a query are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// Where the exact number costs nothing.
    #[default]
    Auto,
    /// Always, exactly.
    Exact,
    /// Never.
    None,
}
