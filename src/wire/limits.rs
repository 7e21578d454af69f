//! How many rows an answer may have.

use crate::setters::setters;

/// Whether `limit=all` is a limit.
///
/// ```
/// use flowseek::wire::{Exports, Limits, Request};
///
/// let limits = Limits::default().exports(Exports::Allowed);
/// assert_eq!(Request::parse_with("limit=all", &limits)?.limit, limits.largest_rows);
/// assert!(Request::parse_with("limit=all", &Limits::default()).is_err());
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exports {
    /// It is a wrong query.
    #[default]
    Refused,
    /// It asks for every match, in pages of the largest limit.
    Allowed,
}

/// How much of its matches a request wants.
///
/// ```
/// use flowseek::wire::{Exports, Limits, Request, Wanted};
///
/// let limits = Limits::default().exports(Exports::Allowed);
/// assert_eq!(Request::parse_with("limit=all", &limits)?.wanted, Wanted::All);
/// assert_eq!(Request::parse_with("limit=5", &limits)?.wanted, Wanted::Page);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// One page.
    #[default]
    Page,
    /// Every match from the start on.
    All,
}

/// How many rows an answer has.
///
/// ```
/// use flowseek::wire::{Limits, Request};
///
/// let limits = Limits::default().default_rows(50).largest_rows(200);
/// assert_eq!(Request::parse_with("", &limits)?.limit, 50);
/// assert!(Request::parse_with("limit=201", &limits).is_err());
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// Where the query names no limit.
    pub default_rows: usize,
    /// At most: a query that names more is wrong.
    pub largest_rows: usize,
    /// Whether a query may ask for all rows at once.
    pub exports: Exports,
}

setters! {
    Limits { default_rows: usize, largest_rows: usize, exports: Exports }
    optional {}
}

impl Default for Limits {
    /// 1,000 rows, and at most 10,000.
    fn default() -> Self {
        Self { default_rows: 1000, largest_rows: 10_000, exports: Exports::Refused }
    }
}
