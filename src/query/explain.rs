//! What a page has cost.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// What was looked at for a page, what was passed over and why, and what was read.
///
/// ```
/// use flowseek::{Archive, Filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let explain = snapshot.query(Filter::all()).limit(10).page().await?.explain;
/// assert_eq!((explain.segments, explain.segments_never, explain.rows_returned), (1, 0, 10));
/// assert_eq!(explain.bytes, snapshot.manifest().bytes());
/// assert!(!explain.budget_spent);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explain {
    /// Segments of the snapshot.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Segments in which no flow can match, by the manifest or their bounds.
    pub segments_never: u64,
    /// Segments all of whose flows come before the position.
    pub segments_done: u64,
    /// Segments whose index was looked at.
    pub segments_opened: u64,
    /// Blocks of the segments that were looked into.
    pub blocks: u64,
    /// Blocks in which no flow can match.
    pub blocks_never: u64,
    /// Blocks all of whose flows come before the position.
    pub blocks_done: u64,
    /// Blocks that were read.
    pub blocks_read: u64,
    /// Rows of the blocks that were read.
    pub rows_scanned: u64,
    /// Rows of the blocks that were read to count.
    pub rows_counted: u64,
    /// Flows of the page.
    pub rows_returned: u64,
    /// What was passed over because of one part of the filter, in the order in which it first was.
    pub dropped: Vec<Dropped>,
    /// Bytes that were read from files.
    pub bytes_read: u64,
    /// Bytes of pages and lists that were in the cache, as they lie in the files. What was looked at several times counts
    /// each time.
    pub bytes_cached: u64,
    /// Whether the search ended because its budget was spent.
    pub budget_spent: bool,
    /// Time to choose blocks and find the flows.
    #[serde(rename = "searchMicros", serialize_with = "micros")]
    pub search_time: Duration,
    /// Time to read what of the found flows was not read yet.
    #[serde(rename = "fetchMicros", serialize_with = "micros")]
    pub fetch_time: Duration,
    /// Time to count.
    #[serde(rename = "countMicros", serialize_with = "micros")]
    pub count_time: Duration,
}

/// What was passed over because no flow of it can pass one part of the filter.
///
/// ```
/// use flowseek::{Archive, Timestamp, filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// // The one segment has no flow as new as that.
/// let new = filter::start_time().gte("2022-11-01T00:00:00Z".parse::<Timestamp>()?);
/// let explain = snapshot.query(new).page().await?.explain;
/// let dropped = &explain.dropped[0];
/// assert!(dropped.predicate.contains("start_time"));
/// assert_eq!((dropped.segments, dropped.blocks), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Dropped {
    /// The part.
    pub predicate: String,
    /// Segments.
    pub segments: u64,
    /// Blocks of other segments.
    pub blocks: u64,
}

fn micros<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, segments_never, segments_done, segments_opened, .. } = self;
        writeln!(
            f,
            "segments: {segments} in all, {segments_never} without a match, {segments_done} before the page, \
             {segments_opened} opened"
        )?;
        let Self { blocks, blocks_never, blocks_done, blocks_read, .. } = self;
        writeln!(
            f,
            "blocks:   {blocks} looked at, {blocks_never} without a match, {blocks_done} before the page, \
             {blocks_read} read"
        )?;
        for Dropped { predicate, segments, blocks } in &self.dropped {
            writeln!(f, "dropped:  {segments} segments and {blocks} blocks by {predicate}")?;
        }
        let Self { rows_scanned, rows_counted, rows_returned, .. } = self;
        writeln!(f, "rows:     {rows_scanned} scanned, {rows_counted} counted, {rows_returned} returned")?;
        let Self { bytes, bytes_read, bytes_cached, .. } = self;
        writeln!(f, "bytes:    {bytes} in all, {bytes_read} read, {bytes_cached} cached")?;
        let micros = |time: Duration| time.as_micros();
        write!(
            f,
            "time:     search {} us, fetch {} us, count {} us{}",
            micros(self.search_time),
            micros(self.fetch_time),
            micros(self.count_time),
            if self.budget_spent { "; stopped early: the budget was spent" } else { "" }
        )
    }
}
