//! What an appender does besides.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::error::Error;

/// How a [`LiveAppender`](super::LiveAppender) gets on with keeping the archive in order: merging segments, and removing
/// old ones. The numbers count from when it was made.
#[derive(Clone, Debug, Default)]
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
    pub failure: Option<Arc<Error>>,
}

/// Where the thread that does this hears of commits, and tells what it does.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
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
    pub(super) fn new() -> Self {
        let status = LiveStatus { is_busy: true, ..LiveStatus::default() };
        Self { state: Mutex::new(State { status, is_rung: true, is_open: true }), changed: Condvar::new() }
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
    pub(super) fn rest(&self, until: Instant) -> bool {
        let mut state = self.lock();
        state.status.is_busy = state.is_rung && state.is_open;
        self.wait(state, until, |state| state.is_rung)
    }

    /// Waits until a time, whatever is committed. `false` where the thread is to end.
    pub(super) fn pause(&self, until: Instant) -> bool {
        self.wait(self.lock(), until, |_| false)
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, until: Instant, is_enough: impl Fn(&State) -> bool) -> bool {
        while state.is_open && !is_enough(&state) {
            let left = until.saturating_duration_since(Instant::now());
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
