//! What an appender does besides.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use crate::{
    error::Error,
    flow::Timestamp,
    resources::{Clock, Deadline},
};

/// How a [`LiveAppender`](super::LiveAppender) gets on: what waits to be committed, and how the archive is kept in order, by
/// merging segments and removing old ones. The numbers count from when it was made.
///
/// ```
/// use flowseek::{Archive, Flow, LiveOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default())?;
/// let _ = appender.append([Flow::starting("2022-11-01T22:46:01Z".parse()?)]).await?;
/// let _ = appender.commit().await?;
/// let status = appender.status();
/// assert_eq!((status.merged, status.removed, status.failures), (0, 0, 0)); // of one segment nothing is to be merged
/// assert!(status.failure.is_none());
/// assert_eq!((status.commits, status.uncommitted, status.queued_bytes), (1, 0, 0));
/// assert!(status.oldest_uncommitted.is_none() && status.commit_failure.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LiveStatus {
    /// Bytes of the queue that are taken, at most [`LiveOptions::queue_bytes`](super::LiveOptions::queue_bytes).
    pub queued_bytes: u64,
    /// Flows that were appended and are not durable.
    pub uncommitted: u64,
    /// How long the first of these has waited; in JSON, seconds.
    #[serde(serialize_with = "seconds")]
    pub oldest_uncommitted: Option<Duration>,
    /// Commits that have added flows.
    pub commits: u64,
    /// How often a commit has failed, or a segment could not be written for one.
    pub commit_failures: u64,
    /// Why the last time, with its source; `None` once a commit has succeeded again. It is tried again every second.
    #[serde(serialize_with = "message")]
    pub commit_failure: Option<Arc<Error>>,
    /// Since when commits fail, by the clock of the archive.
    pub failing_since: Option<Timestamp>,
    /// Whether something is being done, or is to be: after a commit, until nothing is left, and after a failure, until
    /// it was made good.
    pub is_busy: bool,
    /// Segments that were merged.
    pub merged: u64,
    /// Segments that have come of them.
    pub written: u64,
    /// Flows of these, each counted as often as it was written again.
    pub rewritten: u64,
    /// Flows that were removed, as too old or too many.
    pub removed: u64,
    /// Flows that are too old and stay, as too many others have gone within a day
    /// ([`LiveOptions::daily_percent`](super::LiveOptions::daily_percent)).
    pub held_back: u64,
    /// How often something of this has failed.
    pub failures: u64,
    /// The last failure. Where the disk has failed it is tried again, after a second and then less and less often.
    /// Segments that cannot be read stay as they are, and the others are merged.
    #[serde(serialize_with = "message")]
    pub failure: Option<Arc<Error>>,
}

fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

fn message<S: Serializer>(failure: &Option<Arc<Error>>, serializer: S) -> Result<S::Ok, S::Error> {
    failure.as_deref().serialize(serializer)
}

/// What [`LiveAppender::shutdown`](super::LiveAppender::shutdown) leaves.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::{Archive, Flow, LiveOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default())?;
/// let _ = appender.append([Flow::starting("2022-11-01T22:46:01Z".parse()?)]).await?;
/// let shutdown = appender.shutdown(Duration::from_secs(10)).await;
/// assert!(shutdown.is_free && shutdown.failure.is_none());
/// assert_eq!((shutdown.uncommitted, shutdown.unknown), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use]
pub struct Shutdown {
    /// Flows that could not be committed in time, and are discarded.
    pub uncommitted: u64,
    /// Flows of which it is not known whether they are stored ([`Outcome::Unknown`](super::Outcome::Unknown)).
    pub unknown: u64,
    /// Whether the archive is free for another appender. It is not where the system has not answered for a second longer
    /// than the time; then it becomes so when that answers.
    pub is_free: bool,
    /// Why the last commit has failed, where flows are left.
    pub failure: Option<Error>,
}

/// Where the task that does this hears of commits, and tells what it does.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    status: LiveStatus,
    /// Whether there was a commit since the task has last begun.
    is_rung: bool,
    is_open: bool,
}

impl Board {
    /// Where there is something to be done at once.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let status = LiveStatus { is_busy: true, ..LiveStatus::default() };
        Self { state: Mutex::new(State { status, is_rung: true, is_open: true }), changed: Notify::new(), clock }
    }

    /// The time on the clock.
    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    pub(super) fn status(&self) -> LiveStatus {
        self.lock().status.clone()
    }

    /// Says that there was a commit.
    pub(super) fn ring(&self) {
        let mut state = self.lock();
        state.is_rung = true;
        state.status.is_busy = state.is_open;
        drop(state);
        self.changed.notify_one();
    }

    /// Ends the task.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_open = false;
        state.status.is_busy = false;
        drop(state);
        self.changed.notify_one();
    }

    /// Tells what was done.
    pub(super) fn tell(&self, change: impl FnOnce(&mut LiveStatus)) {
        change(&mut self.lock().status);
    }

    /// All is done: waits for a commit, or until a time.
    pub(super) async fn rest(&self, until: Instant) {
        {
            let mut state = self.lock();
            state.status.is_busy = state.is_rung && state.is_open;
        }
        self.wait(until, |state| state.is_rung).await;
    }

    /// Waits until a time, whatever is committed.
    pub(super) async fn pause(&self, until: Instant) {
        self.wait(until, |_| false).await;
    }

    async fn wait(&self, until: Instant, is_enough: impl Fn(&State) -> bool) {
        let deadline = Deadline::at(Some(until), Arc::clone(&self.clock));
        loop {
            {
                let mut state = self.lock();
                if !state.is_open || is_enough(&state) || deadline.is_over() {
                    state.is_rung = false;
                    state.status.is_busy = state.is_open;
                    return;
                }
            }
            let _ = deadline.wait(self.changed.notified()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
