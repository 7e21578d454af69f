//! What an appender does besides.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Wake,
    time::Instant,
};

use serde::{Serialize, Serializer};

use super::alarm::Alarm;
use crate::{error::Error, resources::Clock};

/// How a [`LiveAppender`](super::LiveAppender) gets on with keeping the archive in order: merging segments, and removing
/// old ones. The numbers count from when it was made.
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
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LiveStatus {
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
    /// How often something of this has failed.
    pub failures: u64,
    /// The last failure. Where the disk has failed it is tried again, after a second and then less and less often.
    /// Segments that cannot be read stay as they are, and the others are merged.
    #[serde(serialize_with = "message")]
    pub failure: Option<Arc<Error>>,
}

fn message<S: Serializer>(failure: &Option<Arc<Error>>, serializer: S) -> Result<S::Ok, S::Error> {
    failure.as_deref().serialize(serializer)
}

/// Where the thread that does this hears of commits, and tells what it does.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    status: LiveStatus,
    /// Whether there was a commit since the thread has last begun.
    is_rung: bool,
    is_open: bool,
}

impl Board {
    /// Where there is something to be done at once.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let status = LiveStatus { is_busy: true, ..LiveStatus::default() };
        Self { state: Mutex::new(State { status, is_rung: true, is_open: true }), changed: Condvar::new(), clock }
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

    /// Ends the thread.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_open = false;
        state.status.is_busy = false;
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open
    }

    /// Tells what was done.
    pub(super) fn tell(&self, change: impl FnOnce(&mut LiveStatus)) {
        change(&mut self.lock().status);
    }

    /// All is done: waits for a commit, or until a time. `false` where the thread is to end.
    pub(super) fn rest(self: &Arc<Self>, until: Instant) -> bool {
        let is_busy = |state: &State| state.is_rung && state.is_open;
        self.wait(until, is_busy, |state| state.is_rung)
    }

    /// Waits until a time, whatever is committed. `false` where the thread is to end.
    pub(super) fn pause(self: &Arc<Self>, until: Instant) -> bool {
        self.wait(until, |state| state.status.is_busy, |_| false)
    }

    fn wait(
        self: &Arc<Self>,
        until: Instant,
        is_busy: impl Fn(&State) -> bool,
        is_enough: impl Fn(&State) -> bool,
    ) -> bool {
        let mut alarm = Alarm::default();
        alarm.set(Some(until), self.clock.as_ref(), self);
        let mut state = self.lock();
        state.status.is_busy = is_busy(&state);
        while state.is_open && !is_enough(&state) {
            let left = until.saturating_duration_since(self.now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_rung = false;
        state.status.is_busy = state.is_open;
        state.is_open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Board {
    /// Lets the thread that waits look at the clock.
    fn wake(self: Arc<Self>) {
        // Either it has not looked yet, or it waits.
        drop(self.lock());
        self.changed.notify_one();
    }
}
