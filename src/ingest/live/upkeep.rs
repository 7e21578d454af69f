//! The task that keeps the archive in order while others append.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use futures::future;

use super::{LiveOptions, status::Board};
use crate::{
    archive::{Aging, Compactor, Effort, Job, JobOutcome},
    error::{Error, ErrorKind, Result},
    resources::{Clock, Crew, Hands},
};

/// How long after the last time it looks again, though nothing was committed: flows grow old, and readers end.
const ROUND: Duration = Duration::from_secs(60);
/// How long after a failure it tries again, twice as long each time that it fails once more.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

/// The task, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Upkeep {
    board: Arc<Board>,
    compactor: Compactor,
    keeper: Arc<Mutex<Option<Keeper>>>,
    /// The threads that work for it.
    _hands: Hands,
}

impl Upkeep {
    /// Begins the task; `None` where there is nothing for it to do.
    pub(super) fn start(
        compactor: Compactor,
        options: LiveOptions,
        clock: Arc<dyn Clock>,
        crew: &Crew,
    ) -> Result<Option<Self>> {
        let LiveOptions { compaction, keep, max_bytes, daily_percent, grace, .. } = options;
        if compaction.is_none() && keep.is_none() && max_bytes.is_none() {
            return Ok(None);
        }
        let board = Arc::new(Board::new(clock));
        let keeper = Keeper {
            board: Arc::clone(&board),
            compactor: compactor.clone(),
            compaction,
            aging: keep.map(|keep| compactor.aging(keep, daily_percent)),
            max_bytes,
            // Where room is short, what is removed makes room.
            grace: if max_bytes.is_none() { grace.min(keep.unwrap_or(grace)) } else { Duration::ZERO },
            spoiled: HashSet::new(),
            retry: board.now() + ROUND,
        };
        let hands = crew.hands()?;
        let keeper = Arc::new(Mutex::new(Some(keeper)));
        let _ = hands.begin(keep_in_order(Arc::clone(&keeper), Arc::clone(&board)));
        Ok(Some(Self { board, compactor, keeper, _hands: hands }))
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl Drop for Upkeep {
    /// Waits for what is being done, so that nothing is done to the archive any more; not for a thread that others have.
    fn drop(&mut self) {
        self.compactor.stop();
        self.board.close();
        drop(self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What the task works with.
#[derive(Debug)]
struct Keeper {
    board: Arc<Board>,
    compactor: Compactor,
    compaction: Option<Effort>,
    aging: Option<Aging>,
    max_bytes: Option<u64>,
    /// How long the files stay of what is removed.
    grace: Duration,
    /// Segments that are left alone, as they could not be merged with others.
    spoiled: HashSet<String>,
    /// When segments that the system refuses to read are tried again.
    retry: Instant,
}

/// What is to come after a piece of work.
enum Next {
    /// More of it.
    More,
    /// The next commit.
    Rest,
    /// Another attempt.
    Retry,
}

/// Does what there is to do, piece by piece, until there is no keeper any more. In between others have the thread.
async fn keep_in_order(keeper: Arc<Mutex<Option<Keeper>>>, board: Arc<Board>) {
    let mut pause = PAUSES.0;
    loop {
        let next = match keeper.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(keeper) => keeper.work(),
            None => return,
        };
        match next {
            Next::More => yielded().await,
            Next::Rest => {
                pause = PAUSES.0;
                board.rest(board.now() + ROUND).await;
            }
            Next::Retry => {
                let until = board.now() + pause;
                pause = PAUSES.1.min(pause * 2);
                board.pause(until).await;
            }
        }
    }
}

/// Lets other tasks have the thread.
async fn yielded() {
    let mut is_second = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Keeper {
    /// Does a piece of what there is to do.
    fn work(&mut self) -> Next {
        self.try_to_work().unwrap_or_else(|error| {
            self.fail(error);
            Next::Retry
        })
    }

    fn try_to_work(&mut self) -> Result<Next> {
        self.compactor.delete_retired();
        let now = self.board.now();
        if self.retry <= now {
            self.compactor.retry_unreadable();
            self.retry = now + ROUND;
        }
        // First, so that nothing is merged that goes anyway.
        self.retain()?;
        let next = |effort| self.compactor.next_job_without(effort, &self.spoiled);
        let Some(job) = self.compaction.and_then(next) else { return Ok(Next::Rest) };
        match self.merge(&job) {
            Ok(JobOutcome::Merged(_) | JobOutcome::Outdated) => {}
            Ok(JobOutcome::Stopped) => return Ok(Next::Rest),
            // The next job leaves that segment out.
            Err(error) if error.file().is_some() && !error.is_retryable() => self.fail(error),
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Busy | ErrorKind::Locked) => {
                return Err(error);
            }
            // It would fail for ever, and nothing else would be merged.
            Err(error) => {
                self.spoiled.extend(job.paths().map(str::to_owned));
                self.fail(error);
            }
        }
        Ok(Next::More)
    }

    /// Does a job.
    fn merge(&self, job: &Job) -> Result<JobOutcome> {
        // The Parquet reader panics on some damaged files.
        let merged = catch_unwind(AssertUnwindSafe(|| self.compactor.run(job, &mut |_| {})));
        let outcome =
            merged.map_err(|_| Error::internal("segments could not be merged: the compaction has panicked"))??;
        if let JobOutcome::Merged(compaction) = outcome {
            self.board.tell(|status| {
                status.merged += compaction.merged;
                status.written += compaction.written;
                status.rewritten += compaction.rows;
            });
        }
        Ok(outcome)
    }

    fn retain(&mut self) -> Result<()> {
        if self.aging.is_none() && self.max_bytes.is_none() {
            return Ok(());
        }
        let (retained, held_back) = self.compactor.keep(self.aging.as_mut(), self.max_bytes, self.grace)?;
        self.board.tell(|status| {
            status.removed += retained.rows;
            status.held_back = held_back;
        });
        Ok(())
    }

    fn fail(&self, error: Error) {
        self.board.tell(|status| {
            status.failures += 1;
            status.failure = Some(Arc::new(error));
        });
    }
}
