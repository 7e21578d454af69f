//! The task that writes: one appender, and whoever waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    LiveOptions,
    amount::Amount,
    backlog::Backlog,
    place::Place,
    queue::{Caller, Jobs, Queue},
    upkeep::Upkeep,
};
use crate::{
    archive::{Commit, Sources},
    error::{Error, Result},
    flow::Timestamp,
    ingest::Appender,
};

/// How long after a failure it tries again by itself.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// How far the task has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// How many flows, of all that were put in, are durable and visible.
    pub(super) durable: u64,
    /// How many batches are, of all that were put in with numbers of their sources.
    pub(super) durable_batches: u64,
    /// The ID of a flow less its place.
    pub(super) origin: u64,
    /// How many commits there were.
    pub(super) commits: u64,
    /// How many times something could not be written.
    pub(super) failures: u64,
    /// Why the last time, until something can be written again, and since when nothing can.
    pub(super) failure: Option<(Arc<Error>, Timestamp)>,
    /// Once nothing more is written: whether what is not durable is not part of the archive, or that is not known.
    pub(super) end: Option<End>,
}

/// What has become of the flows that were not durable when the task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// They are discarded.
    Discarded,
    /// They may be part of the archive or not: the last step of a commit has failed, and what has come of it cannot be seen.
    Unknown,
}

/// What the task works with. Its fields are dropped in their order: the archive is free before anyone hears that the
/// task has ended.
#[derive(Debug)]
pub(super) struct Worker {
    upkeep: Option<Upkeep>,
    appender: Appender,
    /// What the appender has not taken in yet: for a moment, or while nothing can be written.
    waiting: Backlog,
    /// The batches that have numbers among what is not committed: of each source the last.
    sources: Sources,
    /// Sources that are forgotten once that is committed.
    forgotten: Vec<String>,
    /// How many batches were taken out that have numbers.
    batches: u64,
    /// How much is not committed.
    uncommitted: Amount,
    /// After a failure, when it tries again.
    retry: Option<Instant>,
    /// Whether a commit was asked for, or due, and has failed.
    is_owed: bool,
    options: LiveOptions,
    queue: Arc<Queue>,
    progress: watch::Sender<Progress>,
}

impl Progress {
    /// Whether what has this place is durable.
    pub(super) fn has(&self, place: &Place) -> bool {
        place.is_within(self.durable, self.durable_batches)
    }
}

impl Worker {
    pub(super) fn new(
        appender: Appender,
        upkeep: Option<Upkeep>,
        options: LiveOptions,
        queue: Arc<Queue>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        progress.send_modify(|progress| progress.origin = appender.first_id().get());
        Self {
            upkeep,
            appender,
            waiting: Backlog::default(),
            sources: Sources::new(),
            forgotten: Vec::new(),
            batches: 0,
            uncommitted: Amount::default(),
            retry: None,
            is_owed: false,
            options,
            queue,
            progress,
        }
    }

    /// Works until the queue is closed.
    pub(super) async fn run(mut self) {
        while let Some(jobs) = self.queue.take(self.deadline()).await {
            let Jobs { backlog, amount, sources, batches, forgotten, callers } = jobs;
            self.batches = batches;
            self.uncommitted.add(amount);
            self.sources.extend(sources);
            self.forgotten.extend(forgotten);
            // That would be a mistake of this program: rather none than some of what was appended.
            let Ok(()) = self.waiting.append(backlog) else { break };
            let now = self.queue.now();
            if !callers.is_empty() || self.retry.is_none_or(|retry| retry <= now) {
                // All who wait for a commit share this one.
                let is_due = self.uncommitted.is_due(&self.options, now);
                let wanted = !callers.is_empty() || self.is_owed || is_due;
                let done = self.write(wanted);
                self.is_owed = wanted && done.is_err();
                self.tell(done, callers, now);
            }
        }
        self.end();
    }

    /// Discards what is not committed, and tells what has become of it.
    fn end(&mut self) {
        drop(self.upkeep.take());
        let (next, is_unsure) = self.appender.give_up();
        self.progress.send_modify(|progress| {
            // The last commit may have been made though it has failed.
            progress.durable = progress.durable.max(next.get().saturating_sub(progress.origin));
            progress.end = Some(if is_unsure { End::Unknown } else { End::Discarded });
        });
    }

    /// When there is something to do though nobody asks.
    fn deadline(&self) -> Option<Instant> {
        self.retry.or_else(|| self.uncommitted.deadline(&self.options))
    }

    /// Takes everything in, then commits it, if that is wanted: so the flows of one call are in one commit.
    fn write(&mut self, commit: bool) -> Result<Option<Commit>> {
        while let Some(flows) = self.waiting.first()? {
            self.appender.append(flows)?;
            self.waiting.remove_first();
        }
        if !commit {
            return Ok(None);
        }
        self.appender.add_sources(std::mem::take(&mut self.sources));
        let commit = self.appender.commit()?;
        // What fails is tried again with the next commit.
        let compactor = self.appender.compactor();
        self.forgotten.retain(|source| compactor.forget(source).is_err());
        self.uncommitted = Amount::default();
        self.queue.committed();
        if let Some(upkeep) = self.upkeep.as_ref().filter(|_| commit.flows > 0) {
            upkeep.board().ring();
        }
        Ok(Some(commit))
    }

    fn tell(&mut self, done: Result<Option<Commit>>, callers: Vec<Caller>, now: Instant) {
        match done {
            Ok(commit) => {
                self.retry = None;
                self.progress.send_if_modified(|progress| {
                    let recovered = progress.failure.take().is_some();
                    let added = commit.filter(|commit| commit.flows > 0);
                    if let Some(commit) = added {
                        progress.commits += 1;
                        progress.origin = commit.first.get() - progress.durable;
                        progress.durable += commit.flows;
                    }
                    let batches = commit.map_or(progress.durable_batches, |_| self.batches);
                    let has_more = std::mem::replace(&mut progress.durable_batches, batches) < batches;
                    recovered || added.is_some() || has_more
                });
                for (caller, commit) in callers.into_iter().zip(std::iter::repeat(commit)) {
                    // Who does not wait any more does not want to know.
                    let _ = commit.map(|commit| caller.send(Ok(commit)));
                }
            }
            Err(error) => {
                self.retry = now.checked_add(RETRY);
                let error = Arc::new(error);
                let clock = self.queue.clock();
                self.progress.send_modify(|progress| {
                    progress.failures += 1;
                    let since =
                        progress.failure.take().map_or_else(|| Timestamp::of_clock(clock.now()), |(_, since)| since);
                    progress.failure = Some((Arc::clone(&error), since));
                });
                for caller in callers {
                    let _ = caller.send(Err(uncommitted(&error)));
                }
            }
        }
    }
}

impl Drop for Worker {
    /// After a panic nobody waits for ever.
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The error of a commit, once more for each who waits for it.
pub(super) fn uncommitted(error: &Arc<Error>) -> Error {
    Error::with(error.kind(), "what was appended could not be committed, and waits")(Arc::clone(error))
}
