//! Compaction: many small segments to few large ones, in the order of time.

mod cutter;
mod merge;
mod pick;
#[cfg(test)]
mod simulation;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) use self::merge::{Merge, merge};
use self::pick::{PickOptions, pick};
use super::{Retained, Retention, SegmentEntry, exclusive::Exclusive, manifest::Edit, retain};
use crate::error::{ErrorKind, Result};

/// Flows of a segment, at most, whatever the settings say: as many of the longest names still have 32-bit offsets.
const MOST_ROWS: usize = 1 << 23;

/// How much work compaction does for how few segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Effort {
    /// For an archive that grows all the time: segments are merged with eight or more neighbours of about their size,
    /// and late flows wait until they weigh a quarter of what has to be written anew for them. A flow is written again
    /// about once for each time the archive's segments have become four to eight times as large.
    #[default]
    Background,
    /// For an archive that is left alone afterwards: besides, all small neighbours are merged.
    Thorough,
    /// Besides, all segments that overlap in time are merged, however little it is. This may write everything anew.
    Full,
}

/// What is to be merged next.
#[derive(Clone, Debug)]
pub struct Job {
    inputs: Vec<SegmentEntry>,
    /// Times, descending, where a segment may end early.
    cuts: Vec<i64>,
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

/// What a compaction has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Compaction {
    /// The version of the archive since.
    pub version: u64,
    /// How many segments were merged.
    pub merged: u64,
    /// How many have come of them.
    pub written: u64,
    /// How many flows they have, before and after.
    pub rows: u64,
}

/// Merges segments, beside the [`Writer`](super::Writer) it is from and while that one writes. Flows keep their IDs,
/// so cursors stay good; snapshots keep their segments.
///
/// Its methods block on the processor and the disk: they are for a thread where that is allowed. It holds one segment
/// of [`Settings::segment_rows`](super::Settings::segment_rows) flows in memory, and some thousand flows of each
/// segment that is merged, 64 at most. On the disk it needs room for the segments of one job twice.
///
/// ```
/// use flowseek::{Archive, Flow, archive::Effort};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// for second in 0..10 {
///     let mut appender = archive.appender()?;
///     appender.push(&Flow::starting(format!("2022-11-01T22:46:{second:02}Z").parse()?))?;
///     appender.commit()?;
/// }
/// assert_eq!(archive.snapshot()?.manifest().segments.len(), 10);
///
/// let compactor = archive.writer()?.compactor();
/// while compactor.run_once(Effort::Background)?.is_some() {}
/// assert_eq!(archive.snapshot()?.manifest().segments.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compactor {
    exclusive: Arc<Exclusive>,
    is_stopped: Arc<AtomicBool>,
    /// Segments that were found damaged.
    damaged: Arc<Mutex<HashSet<String>>>,
}

impl Compactor {
    pub(super) fn new(exclusive: Arc<Exclusive>) -> Self {
        Self { exclusive, is_stopped: Arc::default(), damaged: Arc::default() }
    }

    /// Merges what should be merged next; `None` where nothing should, where the compactor is stopped, and where
    /// another thread has removed a segment of it meanwhile.
    ///
    /// Files that no query needs any more are deleted by the way.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_once(&self, effort: Effort) -> Result<Option<Compaction>> {
        self.delete_retired();
        self.next_job(effort).map_or(Ok(None), |job| self.run(&job, &mut |_| {}))
    }

    /// What should be merged next. This looks at the manifest alone, and costs nothing. Segments that this compactor
    /// or a clone of it has found damaged are left out.
    pub fn next_job(&self, effort: Effort) -> Option<Job> {
        self.next_job_without(effort, &HashSet::new())
    }

    /// [`next_job`](Self::next_job), as if the segments at these paths were not there.
    pub(crate) fn next_job_without(&self, effort: Effort, paths: &HashSet<String>) -> Option<Job> {
        let settings = self.exclusive.archive().settings();
        let segment_rows = settings.segment_rows.clamp(1, MOST_ROWS) as u64;
        let tiny_rows = (settings.segment.block_rows as u64).min(segment_rows / 16);
        let newest = self.exclusive.newest();
        let damaged = self.damaged();
        let is_left_out = |path: &String| paths.contains(path) || damaged.contains(path);
        let segments = newest.segments.iter().filter(|segment| !is_left_out(&segment.path));
        pick(&segments.cloned().collect::<Vec<_>>(), PickOptions { segment_rows, tiny_rows, effort })
    }

    /// Does a job, and tells `observe` of each some thousand flows how many there were. `None` where the compactor is
    /// stopped or the job is out of date; nothing has changed then.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where a segment cannot be read or written, and
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where one is not what was written: every byte is held against
    /// its checksum before it is merged, and the next job leaves that segment out. The archive is then as it
    /// was, unless only the last step has failed, as in [`Writer::commit`](super::Writer::commit).
    pub fn run(&self, job: &Job, observe: &mut dyn FnMut(u64)) -> Result<Option<Compaction>> {
        let snapshot = self.exclusive.archive().snapshot()?;
        let removed: HashSet<String> = job.inputs.iter().map(|input| input.path.clone()).collect();
        let present = snapshot.manifest().segments.iter().filter(|segment| removed.contains(&segment.path));
        if present.count() != removed.len() {
            return Ok(None);
        }
        for input in &job.inputs {
            let checked = snapshot.check(input);
            if checked.as_ref().is_err_and(|error| error.kind() == ErrorKind::Damaged) {
                self.damaged().insert(input.path.clone());
            }
            checked?;
        }
        let merge_all = Merge { inputs: job.inputs.iter().collect(), from: None, cuts: &job.cuts };
        let Some(segments) = merge(&snapshot, merge_all, &self.is_stopped, observe)? else { return Ok(None) };
        drop(snapshot);
        let (merged, written) = (job.inputs.len() as u64, segments.len() as u64);
        let finished = self.exclusive.files().finish(&segments);
        let edit = Edit::Replace { removed, segments: segments.clone() };
        let published = finished.and_then(|()| self.exclusive.publish(edit));
        if !matches!(published, Ok(Some(_))) {
            self.exclusive.abandon(&segments);
        }
        Ok(published?.map(|manifest| Compaction { version: manifest.version, merged, written, rows: job.rows() }))
    }

    /// [`Writer::retain`](super::Writer::retain), beside the writer.
    ///
    /// # Errors
    /// As that.
    pub fn retain(&self, retention: Retention) -> Result<Retained> {
        retain::retain(&self.exclusive, retention)
    }

    /// Deletes the files that no query needs any more.
    pub(crate) fn delete_retired(&self) {
        self.exclusive.delete_retired();
    }

    fn damaged(&self) -> MutexGuard<'_, HashSet<String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops this compactor and its clones for good: a job that is under way in another thread ends soon, undone.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}
