//! Appending from the many tasks of a server.

mod amount;
mod backlog;
mod batch;
mod batches;
mod json;
mod options;
mod outcome;
mod place;
mod queue;
mod receipt;
mod rows;
mod shared;
mod status;
mod upkeep;
mod worker;

use std::{
    borrow::Borrow,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;

use self::{batches::Batch, json::Body, rows::Rows, shared::Shared};
pub use self::{
    json::{AppendedJson, Defaults, RejectedRecord},
    options::LiveOptions,
    outcome::Outcome,
    receipt::Receipt,
    status::{LiveStatus, Shutdown},
};
use crate::{
    archive::{Archive, Commit},
    error::{ErrorKind, Result},
    flow::Flow,
    import::Remarks,
    resources::Deadline,
    schema::UnsortedFlows,
};

/// How often it is looked whether another writer is gone.
const LOOK: Duration = Duration::from_millis(50);

/// Appends flows to an archive from the tasks of a server: old or new, in any order.
///
/// It is an [`Appender`](super::Appender) on a thread of its own and a queue before it. Any runtime drives its futures,
/// and none of them blocks. Its clones share it: every request handler has one.
///
/// What is appended becomes part of the archive by itself, when there is enough of it or when it has waited long enough
/// ([`LiveOptions`]); [`commit`](Self::commit) asks for it at once. While one commit is being written, those who ask
/// meanwhile share the next: a hundred handlers that each wait for their own flows take about two commits, not a
/// hundred. The flows of one call are always in one commit, and have consecutive IDs.
///
/// When flows come in faster than they are written, the queue fills and [`append`](Self::append) waits. Memory is held
/// for the queue, for what was taken in since the last commit, and for the segment that is being written.
///
/// A second thread keeps the archive in order meanwhile: after commits it merges small segments to large ones, as a
/// [`Compactor`](crate::archive::Compactor) does, and removes flows that are too old or too many, where the options say
/// so. A commit waits for it only while a version is published. It never fails a call; [`status`](Self::status) tells
/// what it does.
///
/// What was acknowledged, by `commit` or by a [`Receipt`], is durable. Where a commit fails, whoever waits for it hears
/// of it, or else the next caller does; nothing that was appended is lost, and it is tried again every second and with
/// each `commit`. When the last clone and the last receipt are dropped, what is not committed is discarded and the
/// archive is free for another appender. To drop the last one may wait for segments that are being written;
/// [`close`](Self::close) commits first, and blocks nothing.
///
/// ```
/// use flowseek::{Archive, Flow, ingest::LiveOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default())?;
///
/// let handler = appender.clone();
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01.765Z".parse()?) };
/// let receipt = handler.append([&flow, &flow]).await?;
/// let commit = handler.commit().await?; // durable, and visible to every reader
/// assert_eq!(commit.flows, 2);
/// assert_eq!(receipt.durable().await?.start, commit.first);
///
/// drop((handler, receipt));
/// let _ = appender.close().await?;
/// assert_eq!(archive.snapshot()?.manifest().rows(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LiveAppender {
    shared: Arc<Shared>,
}

/// An appender that something else keeps.
#[cfg(feature = "http")]
#[derive(Clone, Debug)]
pub(crate) struct WeakAppender(std::sync::Weak<Shared>);

#[cfg(feature = "http")]
impl WeakAppender {
    /// How it gets on, while it is kept.
    pub(crate) fn status(&self) -> Option<LiveStatus> {
        self.0.upgrade().map(|shared| shared.status())
    }
}

impl Archive {
    /// Begins to append from the tasks of a server. There is one appender at a time, among all processes. This blocks
    /// on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where there is another one;
    /// [`ErrorKind::Io`].
    pub fn live_appender(&self, options: LiveOptions) -> Result<LiveAppender> {
        let shared = Shared::start(self, self.appender()?, options)?;
        Ok(LiveAppender { shared: Arc::new(shared) })
    }

    /// [`live_appender`](Self::live_appender), as soon as no other appender has the archive, or not at all where one still has
    /// it when the time is over: so a new process takes over from an old one that is being
    /// [shut down](LiveAppender::shutdown). It looks every 50 milliseconds. Any runtime drives the future; each look blocks on
    /// the file system for a moment.
    ///
    /// # Errors
    /// As `live_appender`. [`ErrorKind::Locked`] tells the process that still has it, where that is known.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flowseek::{Archive, ErrorKind, LiveOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let before = archive.live_appender(LiveOptions::default())?;
    /// let wait = Duration::from_millis(100);
    /// let locked = archive.live_appender_when_free(LiveOptions::default(), wait).await.unwrap_err();
    /// assert_eq!(locked.kind(), ErrorKind::Locked);
    /// assert!(locked.to_string().contains(&format!("(process {})", std::process::id())));
    /// let _ = before.close().await?;
    /// let _after = archive.live_appender_when_free(LiveOptions::default(), wait).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn live_appender_when_free(&self, options: LiveOptions, time: Duration) -> Result<LiveAppender> {
        let clock = || Arc::clone(&self.settings().clock);
        let deadline = Deadline::after(time, clock());
        loop {
            match self.live_appender(options) {
                Err(error) if error.kind() == ErrorKind::Locked && !deadline.is_over() => {
                    let look = Deadline::after(LOOK, clock());
                    let _ = deadline.wait(look.passed()).await;
                }
                appender => return appender,
            }
        }
    }
}

impl LiveAppender {
    /// Appends flows, all or none of them, and waits only while the queue is full. What is larger than the queue waits
    /// until nothing else is in it. That they are durable tells the [`Receipt`], or [`commit`](Self::commit).
    ///
    /// Where the future is dropped before it is done, none of them is appended.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where a text of a flow is empty or too long, and
    /// [`ErrorKind::Io`] where what was appended earlier could not be committed, which one caller
    /// is told for each time it was tried. None of these flows is then appended.
    pub async fn append<F>(&self, flows: F) -> Result<Receipt>
    where
        F: IntoIterator,
        F::Item: Borrow<Flow>,
    {
        self.put(Rows::of(flows)?, None).await
    }

    /// [`append`](Self::append), of a batch that may be appended again: after a time-out, a full disk, or a crash of either
    /// side. `source` names who sends it, such as an agent, in 1 to 255 bytes; `sequence` is the number of the batch among
    /// those of the source, which grows from batch to batch and may leave numbers out. Where the number is not above the last
    /// one of the source, nothing is added, and the receipt is that of the batch that was appended before.
    ///
    /// The number becomes part of the archive in the commit that holds the flows, so that both are durable or neither is, and
    /// [`last`](Self::last) tells where to go on. The batches of a source are to be appended one after the other: what is
    /// appended after one of a greater number is taken for a repetition. An archive keeps the last number of every source,
    /// some 40 bytes in each manifest.
    ///
    /// # Errors
    /// As `append`, and [`ErrorKind::InvalidInput`] where the name of the source is empty or too long.
    ///
    /// ```
    /// use flowseek::{Archive, Flow, LiveOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let appender = archive.live_appender(LiveOptions::default())?;
    /// let flows = [Flow::starting("2022-11-01T22:46:01Z".parse()?)];
    /// let first = appender.append_once("agent-7", 1, &flows).await?;
    /// // The answer was lost, and the agent sends the batch once more.
    /// let second = appender.append_once("agent-7", 1, &flows).await?;
    /// assert!(!first.is_repeated() && second.is_repeated());
    /// let _ = appender.commit().await?;
    /// assert_eq!(first.durable().await?, second.durable().await?);
    /// assert_eq!(appender.last("agent-7"), Some(1));
    /// assert_eq!(archive.snapshot()?.manifest().rows(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append_once<F>(&self, source: &str, sequence: u64, flows: F) -> Result<Receipt>
    where
        F: IntoIterator,
        F::Item: Borrow<Flow>,
    {
        match self.repeated((source, sequence))? {
            Some(receipt) => Ok(receipt),
            None => self.put(Rows::of(flows)?, Some((source, sequence))).await,
        }
    }

    /// [`append_once`](Self::append_once), of the rows of an Arrow batch, as of [`append_batch`](Self::append_batch).
    ///
    /// # Errors
    /// As both.
    pub async fn append_batch_once(&self, source: &str, sequence: u64, batch: &RecordBatch) -> Result<Receipt> {
        match self.repeated((source, sequence))? {
            Some(receipt) => Ok(receipt),
            None => self.put(batch::rows(batch)?, Some((source, sequence))).await,
        }
    }

    /// [`append`](Self::append), of a body of JSON: an array of objects or an object a line, as
    /// [`import`](crate::import) describes them. Records that are no flows are left out and told, and the others are
    /// appended. The body is read where the future is polled, at about a microsecond a flow.
    ///
    /// # Errors
    /// As `append`, and [`ErrorKind::InvalidInput`] where what begins as an array is none: nothing is appended then.
    pub async fn append_json(&self, body: &[u8], defaults: &Defaults) -> Result<AppendedJson> {
        let Body { rows, rejected, remarks } = Body::read(body, defaults)?;
        Ok(AppendedJson { receipt: self.put(rows, None).await?, rejected, remarks })
    }

    /// [`append_once`](Self::append_once), of a body of JSON, as of [`append_json`](Self::append_json). A body that is sent
    /// again is not read.
    ///
    /// # Errors
    /// As both.
    pub async fn append_json_once(
        &self,
        source: &str,
        sequence: u64,
        body: &[u8],
        defaults: &Defaults,
    ) -> Result<AppendedJson> {
        if let Some(receipt) = self.repeated((source, sequence))? {
            return Ok(AppendedJson { receipt, rejected: Vec::new(), remarks: Remarks::default() });
        }
        let Body { rows, rejected, remarks } = Body::read(body, defaults)?;
        Ok(AppendedJson { receipt: self.put(rows, Some((source, sequence))).await?, rejected, remarks })
    }

    /// The number of the last batch of a source that is durable, where there is one.
    pub fn last(&self, source: &str) -> Option<u64> {
        self.shared.last(source)
    }

    /// [`append`](Self::append), of the rows of an Arrow batch. Its columns have the names and the types of
    /// [`schema`](crate::schema::schema), in any order. All but `start_time` may be left out; `flow_id` is ignored, as
    /// every flow gets a new one.
    ///
    /// # Errors
    /// As `append`, and [`ErrorKind::InvalidInput`] where a column has another name or
    /// type, a start is missing, or a time lies outside the years 0 to 9999.
    pub async fn append_batch(&self, batch: &RecordBatch) -> Result<Receipt> {
        self.put(batch::rows(batch)?, None).await
    }

    /// Appends flows in columns, as a batch of a source where one is given.
    pub(in crate::ingest) async fn append_unsorted(
        &self,
        flows: UnsortedFlows,
        batch: Option<Batch<'_>>,
    ) -> Result<()> {
        let is_known = batch.map(|batch| self.repeated(batch)).transpose()?.flatten().is_some();
        if !is_known {
            self.put(Rows::of_unsorted(flows)?, batch).await?;
        }
        Ok(())
    }

    /// The time by the archive's clock.
    pub(in crate::ingest) fn now(&self) -> Instant {
        self.shared.now()
    }

    /// Makes the archive forget the last number of a source that sends nothing more, with the next commit. What is appended of
    /// it all the same later counts as of a new one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the name of the source is empty or too long, and [`ErrorKind::Closed`] once the appender
    /// is [shut down](Self::shutdown).
    ///
    /// ```
    /// use flowseek::{Archive, Flow, LiveOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let appender = archive.live_appender(LiveOptions::default())?;
    /// let _ = appender.append_once("agent-7", 9, [Flow::starting("2022-11-01T22:46:01Z".parse()?)]).await?;
    /// appender.commit().await?;
    /// appender.forget("agent-7")?;
    /// appender.commit().await?;
    /// assert_eq!(appender.last("agent-7"), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget(&self, source: &str) -> Result<()> {
        self.shared.forget(source)
    }

    async fn put(&self, rows: Rows, batch: Option<Batch<'_>>) -> Result<Receipt> {
        let (place, is_repeated) = self.shared.append(rows, batch).await?;
        Ok(Receipt::new(Arc::clone(&self.shared), place, is_repeated))
    }

    /// The receipt of a batch that was appended before.
    fn repeated(&self, batch: Batch<'_>) -> Result<Option<Receipt>> {
        let place = self.shared.place(batch)?;
        Ok(place.map(|place| Receipt::new(Arc::clone(&self.shared), place, true)))
    }

    /// Makes all that was appended part of the archive: when this returns, everything that any clone had appended
    /// before the call is durable and every reader sees it.
    ///
    /// The answer is what this commit has added, whoever appended it. What had become part of the archive by itself
    /// before is not in it; of the flows of one call, the [`Receipt`] always tells the IDs. Dropping the future drops
    /// nothing: the commit is made all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where something cannot be written. The archive is then as it was, and
    /// nothing that was appended is lost: a later commit tries again.
    pub async fn commit(&self) -> Result<Commit> {
        self.shared.commit().await
    }

    /// What waits to be committed, whether commits fail, and what becomes of the archive besides: what was merged, removed,
    /// or has failed. Of what the options do not ask for it tells nothing.
    pub fn status(&self) -> LiveStatus {
        self.shared.status()
    }

    /// The same without keeping it.
    #[cfg(feature = "http")]
    pub(crate) fn downgrade(&self) -> WeakAppender {
        WeakAppender(Arc::downgrade(&self.shared))
    }

    /// Stops all clones, commits what they have appended, and frees the archive for another appender, though clones and
    /// receipts are left. A commit that fails is tried again every second until the time is over. What is appended from the
    /// call on fails with [`ErrorKind::Closed`]; nothing of it is appended.
    ///
    /// Where the future is dropped, the clones are stopped and what was appended may yet be committed.
    pub async fn shutdown(&self, time: Duration) -> Shutdown {
        self.shared.shut_down(time).await
    }

    /// Commits, and gives this clone up. If no other clone and no receipt is left, the archive is free for another
    /// appender when this returns.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); if this was the last clone, what could not be committed is discarded. Who would
    /// rather wait calls `commit` until it succeeds.
    pub async fn close(self) -> Result<Commit> {
        let commit = self.commit().await?;
        if let Some(shared) = Arc::into_inner(self.shared) {
            shared.stop().await;
        }
        Ok(commit)
    }
}
