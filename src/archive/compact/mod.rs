//! Compaction: many small segments to few large ones, in the order of time.

mod job;
mod pick;

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use self::job::{Effort, Job};
use serde::Serialize;

use self::pick::{PickOptions, pick};
use super::{
    Aging, Removed, Retained, Retention,
    exclusive::{Change, Exclusive},
    manifest::Edit,
    merge::{Merge, merge},
    remove, retain,
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Filter,
};

/// How often another job is picked where the last one was out of date.
const ATTEMPTS: usize = 100;

/// What a compaction has done.
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
/// // Two commits have made two segments.
/// let compactor = archive.writer()?.compactor();
/// let compaction = compactor.run_once(Effort::Thorough)?.ok_or("nothing is to be merged")?;
/// assert_eq!((compaction.merged, compaction.written, compaction.rows), (2, 1, 2));
/// assert_eq!(archive.snapshot()?.manifest().version, compaction.version);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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

/// What has become of a [`Job`].
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
/// assert!(matches!(compactor.run(&job, &mut |_| {})?, JobOutcome::Merged(_)));
/// assert_eq!(compactor.run(&job, &mut |_| {})?, JobOutcome::Outdated); // the segments are not there any more
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
#[non_exhaustive]
pub enum JobOutcome {
    /// It is done.
    Merged(Compaction),
    /// Nothing has changed: another thread has merged or removed some of the segments meanwhile. There may be another
    /// job.
    Outdated,
    /// Nothing has changed: the compactor was stopped.
    Stopped,
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
    set_aside: Arc<Mutex<SetAside>>,
}

/// Segments that no job takes, by their paths.
#[derive(Debug, Default)]
struct SetAside {
    /// Missing, damaged, or written by a newer version.
    corrupt: HashSet<String>,
    /// The system has refused to read them. It may not for ever.
    unreadable: HashSet<String>,
    /// As this version writes them, or nothing is known of them: there is nothing to be gained by writing them anew.
    current: HashSet<String>,
}

impl Compactor {
    pub(super) fn new(exclusive: Arc<Exclusive>) -> Self {
        Self { exclusive, is_stopped: Arc::default(), set_aside: Arc::default() }
    }

    /// Merges what should be merged next; `None` where nothing should, and where the compactor is stopped.
    ///
    /// Files that no query needs any more are deleted by the way.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_once(&self, effort: Effort) -> Result<Option<Compaction>> {
        for _ in 0..ATTEMPTS {
            self.delete_retired();
            let Some(job) = self.next_job(effort) else { return Ok(None) };
            match self.run(&job, &mut |_| {})? {
                JobOutcome::Merged(compaction) => return Ok(Some(compaction)),
                JobOutcome::Stopped => return Ok(None),
                JobOutcome::Outdated => {}
            }
        }
        Err(Error::new(ErrorKind::Busy, "the segments of the archive change faster than they can be merged"))
    }

    /// What should be merged next. For [`Effort::Background`] this looks at the manifest alone, and costs nothing; else,
    /// where nothing is to be merged, it opens segments, each once, until it has found one that should be written anew.
    /// Segments that this compactor or a clone of it could not read are left out.
    pub fn next_job(&self, effort: Effort) -> Option<Job> {
        let merged = self.next_job_without(effort, &HashSet::new());
        merged.or_else(|| if effort == Effort::Background { None } else { self.next_outdated() })
    }

    /// The newest segment that does not list the rows of values, by itself.
    fn next_outdated(&self) -> Option<Job> {
        let newest = self.exclusive.newest();
        let files = self.exclusive.archive().files();
        newest.segments.iter().find_map(|segment| {
            let aside = self.set_aside();
            let lists = [&aside.current, &aside.corrupt, &aside.unreadable];
            let is_looked_at = lists.iter().any(|paths| paths.contains(&segment.path));
            drop(aside);
            if is_looked_at || self.is_stopped() {
                return None;
            }
            // Of one that cannot be opened, whoever asks it will be told.
            if segment.open(files).is_ok_and(|reader| !reader.lists_rows()) {
                return Some(Job { inputs: vec![segment.clone()], cuts: Vec::new(), partition: None });
            }
            self.set_aside().current.insert(segment.path.clone());
            None
        })
    }

    /// [`next_job`](Self::next_job), as if the segments at these paths were not there.
    pub(crate) fn next_job_without(&self, effort: Effort, paths: &HashSet<String>) -> Option<Job> {
        let settings = self.exclusive.archive().settings();
        let segment_rows = settings.most_rows() as u64;
        let tiny_rows = (settings.segment.block_rows as u64).min(segment_rows / 16);
        let newest = self.exclusive.newest();
        let aside = self.set_aside();
        let is_aside = |path: &String| aside.corrupt.contains(path) || aside.unreadable.contains(path);
        let is_left_out = |path: &String| paths.contains(path) || is_aside(path);
        let segments = newest.segments.iter().filter(|segment| !is_left_out(&segment.path));
        let partition = newest.partition.as_ref();
        let block_rows = settings.segment.block_rows as u64;
        let options = PickOptions { segment_rows, tiny_rows, block_rows, effort, partition };
        pick(&segments.collect::<Vec<_>>(), options)
    }

    /// Does a job, and tells `observe` of each some thousand flows how many there were.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where a segment is not what was written: every byte is held
    /// against its checksum before it is merged. [`ErrorKind::Io`](crate::ErrorKind::Io) where one cannot be read. Of
    /// both, [`Error::file`] names the segment, which the next jobs leave out: the others are still merged.
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) without a file where something cannot be written;
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where the same job may succeed later; and
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) as of [`Writer::commit`](super::Writer::commit). The archive is
    /// then as it was, unless only the last step has failed, as in that.
    pub fn run(&self, job: &Job, observe: &mut dyn FnMut(u64)) -> Result<JobOutcome> {
        let done = self.try_run(job, observe);
        if let Err(error) = &done {
            self.put_aside(job, error);
        }
        done
    }

    fn try_run(&self, job: &Job, observe: &mut dyn FnMut(u64)) -> Result<JobOutcome> {
        self.exclusive.hold()?;
        let snapshot = self.exclusive.archive().snapshot()?;
        let removed: HashSet<String> = job.inputs.iter().map(|input| input.path.clone()).collect();
        let present = snapshot.manifest().segments.iter().filter(|segment| removed.contains(&segment.path));
        if present.count() != removed.len() {
            return Ok(JobOutcome::Outdated);
        }
        for input in &job.inputs {
            if self.is_stopped() {
                return Ok(JobOutcome::Stopped);
            }
            snapshot.check(input)?;
        }
        let inputs = Merge::of(job.inputs.iter().collect());
        let all = Merge { cuts: &job.cuts, partition: job.partition.as_ref(), ..inputs };
        let Some(segments) = merge(&snapshot, all, &self.is_stopped, observe)? else {
            return Ok(JobOutcome::Stopped);
        };
        drop(snapshot);
        let (merged, written) = (job.inputs.len() as u64, segments.len() as u64);
        let finished = self.exclusive.finish(&segments);
        let edit = Edit::Replace { removed, segments: segments.clone() };
        let published = finished.and_then(|()| self.exclusive.publish(edit));
        if !matches!(published, Ok(Change::Published(_))) {
            self.exclusive.abandon(&segments);
        }
        Ok(match published? {
            Change::Published(manifest) => {
                JobOutcome::Merged(Compaction { version: manifest.version, merged, written, rows: job.rows() })
            }
            Change::Outdated => JobOutcome::Outdated,
        })
    }

    /// Sees to it that the segment that an error is about holds up no other.
    fn put_aside(&self, job: &Job, error: &Error) {
        // What the system may do later says nothing of a segment.
        if error.is_retryable() {
            return;
        }
        let name = error.file().and_then(Path::file_name);
        let is_named = |path: &&str| name.is_some() && Path::new(path).file_name() == name;
        let Some(path) = job.paths().find(is_named) else { return };
        let mut aside = self.set_aside();
        let paths = if error.kind() == ErrorKind::Io { &mut aside.unreadable } else { &mut aside.corrupt };
        paths.insert(path.to_owned());
    }

    /// Lets jobs take the segments again that the system has refused to read.
    pub(crate) fn retry_unreadable(&self) {
        self.set_aside().unreadable.clear();
    }

    /// [`Writer::retain`](super::Writer::retain), beside the writer.
    ///
    /// # Errors
    /// As that.
    pub fn retain(&self, retention: Retention) -> Result<Retained> {
        retain::retain(&self.exclusive, retention, None)
    }

    /// [`Writer::remove`](super::Writer::remove), beside the writer.
    ///
    /// # Errors
    /// As that.
    pub fn remove(&self, filter: &Filter) -> Result<Removed> {
        remove::remove(&self.exclusive, filter)
    }

    /// Forgets the last number of a source of batches, where there is one.
    ///
    /// # Errors
    /// As those of [`Writer::commit`](super::Writer::commit).
    pub(crate) fn forget(&self, source: &str) -> Result<()> {
        // That there is none is no error.
        self.exclusive.publish(Edit::Forget(source.to_owned())).map(drop)
    }

    /// What tells which flows are too old, from now on.
    pub(crate) fn aging(&self, keep: Duration, percent: u8) -> Aging {
        Aging::new(keep, percent, &self.exclusive.newest(), self.exclusive.archive().settings().clock.as_ref())
    }

    /// Removes flows that are too old, and then the oldest ones, until all segments have no more than `max_bytes`. What it
    /// has removed, and how many flows are too old and wait.
    pub(crate) fn keep(
        &self,
        aging: Option<&mut Aging>,
        max_bytes: Option<u64>,
        grace: Duration,
    ) -> Result<(Retained, u64)> {
        let clock = self.exclusive.archive().settings().clock.as_ref();
        let due = aging.and_then(|aging| aging.due(&self.exclusive.newest(), clock));
        let retention = Retention { before: due.map(|due| due.before), bytes: max_bytes, exact: false, grace };
        let retained = retain::retain(&self.exclusive, retention, due.map(|due| due.aged))?;
        Ok((retained, due.map_or(0, |due| due.held_back)))
    }

    /// Deletes the files that no query needs any more.
    pub(crate) fn delete_retired(&self) {
        self.exclusive.delete_retired();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn set_aside(&self) -> MutexGuard<'_, SetAside> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops this compactor and its clones for good: a job that is under way in another thread ends soon, undone.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod simulation;
