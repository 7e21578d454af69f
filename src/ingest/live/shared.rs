//! What the clones of an appender share.

use std::{
    ops::Range,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use futures::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{
    LiveOptions,
    queue::Queue,
    rows::Rows,
    status::{Board, LiveStatus},
    upkeep::Upkeep,
    worker::{Progress, Worker, uncommitted},
};
use crate::{
    archive::Commit,
    error::{Error, ErrorKind, Result},
    ingest::Appender,
    resources::Clock,
};

/// The callers' side of the thread that writes.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Arc<Queue>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    queue_bytes: u32,
    progress: watch::Receiver<Progress>,
    /// Of the thread that keeps the archive in order, where there is one.
    board: Option<Arc<Board>>,
    /// How many failures some caller has heard of.
    told: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// Starts the threads.
    pub(super) fn start(appender: Appender, options: LiveOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let queue = Arc::new(Queue::new(Arc::clone(&clock)));
        let (sender, progress) = watch::channel(Progress::default());
        let upkeep = Upkeep::start(appender.compactor(), options, clock)?;
        let board = upkeep.as_ref().map(|upkeep| Arc::clone(upkeep.board()));
        let worker = Worker::new(appender, upkeep, options, Arc::clone(&queue), sender);
        let thread = thread::Builder::new().name("flowseek-append".to_owned()).spawn(|| worker.run());
        let thread = thread.map_err(Error::with(ErrorKind::Io, "a thread cannot be started"))?;
        let queue_bytes = u32::try_from(options.queue_bytes).unwrap_or(u32::MAX).max(1);
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(queue_bytes as usize)),
            queue_bytes,
            progress,
            board,
            told: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Puts flows into the queue, as soon as there is room; the answer is their place among all.
    pub(super) async fn append(&self, rows: Rows) -> Result<Range<u64>> {
        if rows.count == 0 {
            return Ok(0..0);
        }
        let failures = self.told.load(Ordering::Relaxed);
        // What is larger than the queue has it for itself.
        let bytes = u32::try_from(rows.bytes).unwrap_or(u32::MAX).min(self.queue_bytes);
        let room = self.room(bytes, failures).await?;
        // From here on nothing waits: either this is never reached, or all of the flows are in.
        self.queue.append(rows, room)
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
            Either::Left((Err(_), _)) | Either::Right((Err(_), _)) => Err(ended()),
        }
    }

    /// Waits for the next commit, which holds all that is in the queue.
    pub(super) async fn commit(&self) -> Result<Commit> {
        let (caller, answer) = oneshot::channel();
        self.queue.commit(caller);
        let answer = answer.await.map_err(|_| ended())?;
        if answer.is_err() {
            self.told.fetch_max(self.progress.borrow().failures, Ordering::Relaxed);
        }
        answer
    }

    /// Waits until the first `flows` flows are durable, or a commit fails; the answer is the ID of place 0.
    pub(super) async fn durable(&self, flows: u64) -> Result<u64> {
        let mut progress = self.progress.clone();
        let failures = progress.borrow().failures;
        let done = |progress: &Progress| progress.durable >= flows || progress.failures > failures;
        let progress = progress.wait_for(done).await.map_err(|_| ended())?;
        if progress.durable >= flows { Ok(progress.origin) } else { Err(self.failed(&progress)) }
    }

    /// What the thread that keeps the archive in order tells.
    pub(super) fn status(&self) -> LiveStatus {
        self.board.as_ref().map(|board| board.status()).unwrap_or_default()
    }

    /// Stops the threads, and waits until they have ended and the archive is free.
    pub(super) async fn stop(&self) {
        self.queue.close();
        let mut progress = self.progress.clone();
        while progress.changed().await.is_ok() {}
    }

    /// The last failure, of which one caller hears.
    fn failed(&self, progress: &Progress) -> Error {
        self.told.fetch_max(progress.failures, Ordering::Relaxed);
        progress.failure.as_ref().map_or_else(ended, uncommitted)
    }
}

impl Drop for Shared {
    /// Waits for the thread, so that the archive is free for the next appender.
    fn drop(&mut self) {
        self.queue.close();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = thread.take().map(JoinHandle::join);
    }
}

fn ended() -> Error {
    Error::internal("the thread that writes what is appended has panicked")
}
