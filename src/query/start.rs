//! Where a page begins, and whether matches are counted.

use crate::order::Cursor;

/// Where a page begins.
///
/// ```
/// use flowseek::{Archive, Filter, query::Start};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let query = snapshot.query(Filter::all()).limit(10);
/// let first = query.clone().start(Start::First).page().await?;
/// let second = query.clone().start(Start::Number(2)).page().await?;
/// // The cursor of the first page leads to the second.
/// let next = query.start(first.next.map_or(Start::First, Start::At)).page().await?;
/// assert_eq!(next.flows()?, second.flows()?);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use flowseek::{Archive, Filter, filter, query::Count};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let all = snapshot.query(Filter::all()).limit(10);
/// assert_eq!(all.clone().page().await?.total, Some(2592)); // known from the manifest
/// assert_eq!(all.count(Count::None).page().await?.total, None);
/// let https = snapshot.query(filter::dst_port().eq(443)).limit(10).count(Count::Exact).page().await?;
/// assert!(https.total.is_some_and(|total| total >= https.batch.num_rows() as u64));
/// # Ok(())
/// # }
/// ```
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
