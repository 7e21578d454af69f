//! What the parts of an input are called.

use std::fmt;

/// What an input consists of, and what a number in it counts.
///
/// ```
/// assert_eq!(flowseek::import::Unit::Row.to_string(), "row");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Lines of text. Blank lines and headers count.
    Line,
    /// Rows of a table.
    Row,
    /// Records of a binary file.
    Record,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Line => "line",
            Self::Row => "row",
            Self::Record => "record",
        })
    }
}
