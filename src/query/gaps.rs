//! Segments that cannot be read.

use serde::Serialize;

use crate::{
    archive::SegmentEntry,
    error::Error,
    flow::{FlowId, Timestamp},
};

/// What to do about a segment that a page needs and that cannot be read.
///
/// ```
/// use flowseek::{Archive, Filter, Flow, query::Gaps};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
/// #     let mut appender = archive.appender()?;
/// #     appender.push(&Flow::starting(start.parse()?))?;
/// #     appender.commit()?;
/// # }
/// // Two commits have made two segments. The first one is removed.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// std::fs::remove_file(path.join(&segment))?;
/// # drop(archive);
/// let query = Archive::open(&path)?.snapshot()?.query(Filter::all());
/// assert!(query.page().await.is_err());
/// let page = query.gaps(Gaps::Skip).page().await?;
/// assert_eq!((page.flows()?.len(), page.gaps.len()), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gaps {
    /// The page is an error, which names it.
    #[default]
    Error,
    /// The page is answered from the other segments, and [`Page::gaps`](super::Page::gaps) names it.
    ///
    /// A walk by cursors goes on: each flow that it answers comes once, in order, and each page names what it left out.
    /// A segment of which only parts are damaged is left out of the pages for which one of these would have to be read.
    Skip,
}

/// A segment that was left out of a page.
///
/// ```
/// use flowseek::{Archive, Filter, Flow, query::Gaps};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
/// #     let mut appender = archive.appender()?;
/// #     appender.push(&Flow::starting(start.parse()?))?;
/// #     appender.commit()?;
/// # }
/// // Two commits have made two segments. The first one is removed.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// std::fs::remove_file(path.join(&segment))?;
/// # drop(archive);
/// let query = Archive::open(&path)?.snapshot()?.query(Filter::all());
/// let page = query.gaps(Gaps::Skip).page().await?;
/// let gap = &page.gaps[0];
/// assert_eq!((&gap.path, gap.rows), (&segment, 1));
/// assert_eq!(gap.start_time.0.to_string(), "2022-11-01T22:46:01.000Z");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Gap {
    /// Its file, from the archive's directory on, with `/`.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
    /// Their least and their greatest start time.
    pub start_time: (Timestamp, Timestamp),
    /// Their least and their greatest ID.
    pub flow_id: (FlowId, FlowId),
    /// Why it cannot be read.
    pub reason: String,
}

impl Gap {
    pub(super) fn new(entry: &SegmentEntry, reason: &Error) -> Self {
        let (first, last) = entry.flow_id;
        Self {
            path: entry.path.clone(),
            rows: entry.rows,
            start_time: entry.start_times(),
            flow_id: (FlowId::new(first), FlowId::new(last)),
            reason: reason.to_string(),
        }
    }
}
