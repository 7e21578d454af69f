//! What the clones of an appender share.

use std::{
    ops::Range,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{
    LiveOptions,
    batches::{Batch, Batches},
    outcome::Outcome,
    place::Place,
    queue::{Queue, closed},
    rows::Rows,
    status::{Board, LiveStatus, Shutdown},
    upkeep::Upkeep,
    worker::{End, Progress, RETRY, Worker, uncommitted},
};
use crate::{
    archive::{Archive, Commit},
    error::{Error, ErrorKind, Result},
    flow::FlowId,
    ingest::Appender,
    resources::{Clock, Deadline, Hands, Task},
};

/// How much longer than its time a shutdown waits for the tasks to end: what they are doing is cut off, and undone.
const END_TIME: Duration = Duration::from_secs(1);

/// The callers' side of the task that writes.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Arc<Queue>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    queue_bytes: u32,
    batches: Batches,
    progress: watch::Receiver<Progress>,
    /// Of the task that keeps the archive in order, where there is one.
    board: Option<Arc<Board>>,
    /// How many failures some caller has heard of.
    told: AtomicU64,
    task: Mutex<Option<Task>>,
    /// The threads that work for it.
    _hands: Hands,
}

impl Shared {
    /// Begins the tasks.
    pub(super) fn start(archive: &Archive, appender: Appender, options: LiveOptions) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::clone(&archive.settings().clock);
        let batches = Batches::new(archive.clone());
        let queue = Arc::new(Queue::new(Arc::clone(&clock)));
        let (sender, progress) = watch::channel(Progress::default());
        let hands = archive.crews().append.hands()?;
        let upkeep = Upkeep::start(appender.compactor(), options, clock, &archive.crews().upkeep)?;
        let board = upkeep.as_ref().map(|upkeep| Arc::clone(upkeep.board()));
        let worker = Worker::new(appender, upkeep, options, Arc::clone(&queue), sender);
        let task = hands.begin(worker.run());
        let queue_bytes = u32::try_from(options.queue_bytes).unwrap_or(u32::MAX).max(1);
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(queue_bytes as usize)),
            queue_bytes,
            batches,
            progress,
            board,
            told: AtomicU64::new(0),
            task: Mutex::new(Some(task)),
            _hands: hands,
        })
    }

    /// The place of a batch that was put in before.
    pub(super) fn place(&self, batch: Batch<'_>) -> Result<Option<Place>> {
        Batches::check(batch)?;
        Ok(self.batches.place(batch, &self.progress.borrow()))
    }

    /// The number of the last batch of a source that is part of the archive.
    pub(super) fn last(&self, source: &str) -> Option<u64> {
        self.batches.last(source)
    }

    /// Makes the archive forget the last number of a source with the next commit.
    pub(super) fn forget(&self, source: &str) -> Result<()> {
        Batches::check((source, 0))?;
        self.queue.forget(source)?;
        self.batches.forget(source);
        Ok(())
    }

    pub(super) fn now(&self) -> Instant {
        self.queue.now()
    }

    /// Puts flows into the queue, as soon as there is room; the answer is their place among all, and whether they were put
    /// in before.
    pub(super) async fn append(&self, rows: Rows, batch: Option<Batch<'_>>) -> Result<(Place, bool)> {
        if rows.count == 0 && batch.is_none() {
            return Ok((Place::default(), false));
        }
        let failures = self.told.load(Ordering::Relaxed);
        // What is larger than the queue has it for itself.
        let bytes = u32::try_from(rows.bytes).unwrap_or(u32::MAX).min(self.queue_bytes);
        let room = self.room(bytes, failures).await?;
        // From here on nothing waits: either this is never reached, or all of the flows are in.
        let put_in = || self.queue.append(rows, room, batch);
        match batch {
            None => Ok((put_in()?, false)),
            Some(batch) => self.batches.put_in(batch, &self.progress.borrow(), put_in),
        }
    }

    /// Room for so many bytes, unless something fails that no caller has heard of.
    async fn room(&self, bytes: u32, failures: u64) -> Result<OwnedSemaphorePermit> {
        let mut progress = self.progress.clone();
        let failed = |progress: &Progress| progress.failures > failures && progress.failure.is_some();
        let failing = pin!(progress.wait_for(failed));
        let room = pin!(Arc::clone(&self.room).acquire_many_owned(bytes));
        match select(failing, room).await {
            Either::Left((Ok(progress), _)) => Err(self.failed(&progress)),
            Either::Right((Ok(room), _)) => Ok(room),
            Either::Right((Err(_), _)) => Err(closed()),
            Either::Left((Err(_), _)) => Err(self.ended()),
        }
    }

    /// Waits for the next commit, which holds all that is in the queue.
    pub(super) async fn commit(&self) -> Result<Commit> {
        let (caller, answer) = oneshot::channel();
        self.queue.commit(caller);
        let answer = answer.await.map_err(|_| self.ended())?;
        if answer.is_err() {
            self.told.fetch_max(self.progress.borrow().failures, Ordering::Relaxed);
        }
        answer
    }

    /// Waits until the flows at a place are durable, or a commit fails; the answer is their IDs.
    pub(super) async fn durable(&self, place: &Place) -> Result<Range<FlowId>> {
        let mut progress = self.progress.clone();
        let failures = progress.borrow().failures;
        let done = |progress: &Progress| {
            outcome(progress, place) != Outcome::Waiting || progress.failures > failures && progress.failure.is_some()
        };
        let progress = progress.wait_for(done).await.map_err(|_| self.ended())?;
        match outcome(&progress, place) {
            Outcome::Stored(ids) => Ok(ids),
            Outcome::Waiting => Err(self.failed(&progress)),
            Outcome::NotStored => Err(Error::new(
                ErrorKind::Closed,
                "the appender was shut down before the flows were stored: they are not",
            )),
            Outcome::Unknown => Err(Error::new(
                ErrorKind::Closed,
                "the appender was shut down after the last step of a commit had failed: whether the flows are stored is \
                 seen when the archive is opened anew",
            )),
        }
    }

    /// What has become of the flows at a place.
    pub(super) fn outcome(&self, place: &Place) -> Outcome {
        outcome(&self.progress.borrow(), place)
    }

    /// What it does, and what the task tells that keeps the archive in order.
    pub(super) fn status(&self) -> LiveStatus {
        let upkeep = self.board.as_ref().map(|board| board.status()).unwrap_or_default();
        let (put_in, oldest) = self.queue.put_in();
        let progress = self.progress.borrow();
        LiveStatus {
            queued_bytes: u64::from(self.queue_bytes).saturating_sub(self.room.available_permits() as u64),
            uncommitted: put_in.saturating_sub(progress.durable),
            oldest_uncommitted: oldest.map(|oldest| self.queue.now().saturating_duration_since(oldest)),
            commits: progress.commits,
            commit_failures: progress.failures,
            commit_failure: progress.failure.as_ref().map(|(error, _)| Arc::clone(error)),
            failing_since: progress.failure.as_ref().map(|(_, since)| *since),
            ..upkeep
        }
    }

    /// Takes no more flows, commits what was taken, again and again until the time is over, and frees the archive.
    pub(super) async fn shut_down(&self, time: Duration) -> Shutdown {
        let deadline = Deadline::after(time, self.queue.clock());
        self.queue.stop();
        self.room.close();
        let mut failure = None;
        loop {
            match deadline.wait(self.commit()).await {
                Some(Err(error)) if self.progress.borrow().end.is_none() && !deadline.is_over() => {
                    failure = Some(error);
                    let retry = Deadline::after(RETRY, self.queue.clock());
                    let _ = deadline.wait(retry.passed()).await;
                }
                Some(Ok(_)) => {
                    failure = None;
                    break;
                }
                Some(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                None => break,
            }
        }
        let is_free = deadline.later(END_TIME).wait(self.stop()).await.is_some();
        let progress = self.progress.borrow();
        let left = self.queue.put_in().0.saturating_sub(progress.durable);
        let is_unknown = progress.end != Some(End::Discarded);
        let (uncommitted, unknown) = if is_unknown { (0, left) } else { (left, 0) };
        Shutdown { uncommitted, unknown, is_free, failure: failure.filter(|_| left > 0) }
    }

    /// Stops the tasks, and waits until they have ended and the archive is free.
    pub(super) async fn stop(&self) {
        self.queue.close();
        let mut progress = self.progress.clone();
        while progress.changed().await.is_ok() {}
    }

    /// The last failure, of which one caller hears.
    fn failed(&self, progress: &Progress) -> Error {
        self.told.fetch_max(progress.failures, Ordering::Relaxed);
        progress.failure.as_ref().map_or_else(|| self.ended(), |(failure, _)| uncommitted(failure))
    }

    /// Why nothing is written any more.
    fn ended(&self) -> Error {
        match self.progress.borrow().end {
            Some(_) => closed(),
            None => Error::internal("what writes the flows that are appended has panicked"),
        }
    }
}

/// What has become of the flows at a place.
fn outcome(progress: &Progress, place: &Place) -> Outcome {
    let id = |place: u64| FlowId::new(progress.origin + place);
    match progress.end {
        _ if progress.has(place) => Outcome::Stored(id(place.flows.start)..id(place.flows.end)),
        None => Outcome::Waiting,
        Some(End::Discarded) => Outcome::NotStored,
        Some(End::Unknown) => Outcome::Unknown,
    }
}

impl Drop for Shared {
    /// Waits for the task, so that the archive is free for the next appender.
    fn drop(&mut self) {
        self.queue.close();
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = task.take().map(Task::join);
    }
}
