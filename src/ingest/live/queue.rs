//! What callers hand to the task that writes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::{amount::Amount, backlog::Backlog, place::Place, rows::Rows};
use crate::{
    archive::{Commit, Sources},
    error::{Error, ErrorKind, Result},
    resources::{Clock, Deadline},
};

/// What callers want, in the order of the calls. How much may wait here, the permits of the callers bound.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    jobs: Jobs,
    /// How many flows were put in since the beginning.
    flows: u64,
    /// How many batches were, that have numbers of their sources.
    batches: u64,
    /// When the first was appended of what was taken out and is not committed.
    taken: Option<Instant>,
    /// Whether flows may be put in.
    takes: bool,
    open: bool,
}

/// What was put in since it was last taken out.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) backlog: Backlog,
    /// How much that is.
    pub(super) amount: Amount,
    /// The batches that have numbers: of each source the last.
    pub(super) sources: Sources,
    /// How many of those were put in since the beginning.
    pub(super) batches: u64,
    /// Sources whose numbers are not needed any more. They wait for a commit.
    pub(super) forgotten: Vec<String>,
    /// Who waits for a commit of all that was put in.
    pub(super) callers: Vec<Caller>,
}

/// Who waits for a commit.
pub(super) type Caller = oneshot::Sender<Result<Commit>>;

impl Queue {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { jobs: Jobs::default(), flows: 0, batches: 0, taken: None, takes: true, open: true };
        Self { state: Mutex::new(state), changed: Notify::new(), clock }
    }

    /// The clock.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The time on the clock.
    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    /// Puts flows in, of the batch of a source that has a number, or of none; the answer is their place among all flows
    /// since the beginning.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) where it takes none any more.
    pub(super) fn append(&self, rows: Rows, room: OwnedSemaphorePermit, batch: Option<(&str, u64)>) -> Result<Place> {
        let now = self.now();
        let mut state = self.lock();
        if !state.takes || !state.open {
            return Err(closed());
        }
        let first = state.flows;
        state.flows += rows.count;
        state.batches += u64::from(batch.is_some());
        let number = if batch.is_some() { state.batches } else { 0 };
        let place = Place { flows: first..state.flows, batch: number };
        state.jobs.amount.add(Amount::of(&rows, now));
        state.jobs.backlog.push(rows, room)?;
        state.jobs.sources.extend(batch.map(|(source, sequence)| (source.to_owned(), sequence)));
        self.changed.notify_one();
        Ok(place)
    }

    /// Forgets the number of a source with the next commit.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(super) fn forget(&self, source: &str) -> Result<()> {
        let mut state = self.lock();
        if !state.takes || !state.open {
            return Err(closed());
        }
        state.jobs.forgotten.push(source.to_owned());
        Ok(())
    }

    /// Takes no flows any more. What is in it is still to be taken out.
    pub(super) fn stop(&self) {
        self.lock().takes = false;
    }

    /// How many flows were put in since the beginning, and when the first was that is not committed.
    pub(super) fn put_in(&self) -> (u64, Option<Instant>) {
        let state = self.lock();
        (state.flows, state.taken.or(state.jobs.amount.oldest()))
    }

    /// All that was taken out is committed.
    pub(super) fn committed(&self) {
        self.lock().taken = None;
    }

    /// Asks for a commit. Where the queue is closed the caller is dropped, and so hears of it.
    pub(super) fn commit(&self, caller: Caller) {
        let mut state = self.lock();
        if state.open {
            state.jobs.callers.push(caller);
            self.changed.notify_one();
        }
    }

    /// Everything that is in, as soon as there is something, or nothing at `deadline`; `None` once the queue is closed.
    pub(super) async fn take(&self, deadline: Option<Instant>) -> Option<Jobs> {
        let deadline = Deadline::at(deadline, self.clock());
        loop {
            {
                let mut state = self.lock();
                if !state.open {
                    return None;
                }
                if !state.jobs.is_empty() || deadline.is_over() {
                    state.taken = state.taken.or(state.jobs.amount.oldest());
                    return Some(Jobs { batches: state.batches, ..std::mem::take(&mut state.jobs) });
                }
            }
            let _ = deadline.wait(self.changed.notified()).await;
        }
    }

    /// Lets nothing in any more, and drops what is there.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.changed.notify_one();
        // Not under the lock: it wakes the callers.
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of whoever comes after the appender was shut down.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the appender was shut down: nothing of this was appended")
}

impl Jobs {
    fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.sources.is_empty() && self.callers.is_empty()
    }
}
