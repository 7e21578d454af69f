//! What is merged, and how much.

use crate::archive::{Partition, SegmentEntry};

/// How much work compaction does for how few segments.
///
/// ```
/// use flowseek::{Archive, Flow, archive::Effort};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// # for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
/// #     let mut appender = archive.appender()?;
/// #     appender.push(&Flow::starting(start.parse()?))?;
/// #     appender.commit()?;
/// # }
/// // Two commits have made two segments. In the background so few are left as they are.
/// let compactor = archive.writer()?.compactor();
/// assert_eq!(compactor.run_once(Effort::Background)?, None);
/// assert!(compactor.run_once(Effort::Thorough)?.is_some_and(|compaction| compaction.merged == 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effort {
    /// For an archive that grows all the time: segments are merged with eight or more neighbours of about their size,
    /// and late flows wait until they weigh a quarter of what has to be written anew for them. A flow is written again
    /// about once for each time the archive's segments have become four to eight times as large.
    #[default]
    Background,
    /// For an archive that is left alone afterwards: besides, all small neighbours are merged, and segments that an earlier
    /// version has written, which do not list the rows of values, are written anew. Queries for several values at once then
    /// read only the flows that match.
    Thorough,
    /// Besides, all segments that overlap in time are merged, however little it is. This may write everything anew.
    Full,
}

/// What is to be merged, or written anew, next.
///
/// ```
/// use flowseek::{Archive, Flow, archive::{Effort, JobOutcome}};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// # for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
/// #     let mut appender = archive.appender()?;
/// #     appender.push(&Flow::starting(start.parse()?))?;
/// #     appender.commit()?;
/// # }
/// // Two commits have made two segments.
/// let compactor = archive.writer()?.compactor();
/// let job = compactor.next_job(Effort::Thorough).ok_or("nothing is to be merged")?;
/// assert_eq!((job.segments(), job.rows()), (2, 2));
/// assert!(matches!(compactor.run(&job, &mut |_| {})?, JobOutcome::Merged(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) inputs: Vec<SegmentEntry>,
    /// Times, descending, where a segment may end early.
    pub(super) cuts: Vec<i64>,
    /// How its flows are divided. `None` where they stay together.
    pub(super) partition: Option<Partition>,
}

impl Job {
    /// The files it merges, as the manifest names them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.path.as_str())
    }

    /// How many segments it merges.
    pub fn segments(&self) -> usize {
        self.inputs.len()
    }

    /// How many flows it writes anew.
    pub fn rows(&self) -> u64 {
        self.inputs.iter().map(|input| input.rows).sum()
    }
}
