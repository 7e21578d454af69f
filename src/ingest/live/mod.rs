//! Appending from the many tasks of a server.

mod alarm;
mod amount;
mod backlog;
mod batch;
mod options;
mod queue;
mod receipt;
mod rows;
mod shared;
mod status;
mod upkeep;
mod worker;

use std::{borrow::Borrow, sync::Arc};

use arrow::array::RecordBatch;

pub use self::{options::LiveOptions, receipt::Receipt, status::LiveStatus};
use self::{rows::Rows, shared::Shared};
use crate::{
    archive::{Archive, Commit},
    error::Result,
    flow::Flow,
};

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

impl Archive {
    /// Begins to append from the tasks of a server. There is one appender at a time, among all processes. This blocks
    /// on the file system.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) where there is another one;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn live_appender(&self, options: LiveOptions) -> Result<LiveAppender> {
        let shared = Shared::start(self.appender()?, options, Arc::clone(&self.settings().clock))?;
        Ok(LiveAppender { shared: Arc::new(shared) })
    }
}

impl LiveAppender {
    /// Appends flows, all or none of them, and waits only while the queue is full. What is larger than the queue waits
    /// until nothing else is in it. That they are durable tells the [`Receipt`], or [`commit`](Self::commit).
    ///
    /// Where the future is dropped before it is done, none of them is appended.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where a text of a flow is empty or too long, and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where what was appended earlier could not be committed, which one caller
    /// is told for each time it was tried. None of these flows is then appended.
    pub async fn append<F>(&self, flows: F) -> Result<Receipt>
    where
        F: IntoIterator,
        F::Item: Borrow<Flow>,
    {
        self.put(Rows::of(flows)?).await
    }

    /// [`append`](Self::append), of the rows of an Arrow batch. Its columns have the names and the types of
    /// [`schema`](crate::schema::schema), in any order. All but `start_time` may be left out; `flow_id` is ignored, as
    /// every flow gets a new one.
    ///
    /// # Errors
    /// As `append`, and [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where a column has another name or
    /// type, a start is missing, or a time lies outside the years 0 to 9999.
    pub async fn append_batch(&self, batch: &RecordBatch) -> Result<Receipt> {
        self.put(batch::rows(batch)?).await
    }

    async fn put(&self, rows: Rows) -> Result<Receipt> {
        let place = self.shared.append(rows).await?;
        Ok(Receipt::new(Arc::clone(&self.shared), place))
    }

    /// Makes all that was appended part of the archive: when this returns, everything that any clone had appended
    /// before the call is durable and every reader sees it.
    ///
    /// The answer is what this commit has added, whoever appended it. What had become part of the archive by itself
    /// before is not in it; of the flows of one call, the [`Receipt`] always tells the IDs. Dropping the future drops
    /// nothing: the commit is made all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where something cannot be written. The archive is then as it was, and
    /// nothing that was appended is lost: a later commit tries again.
    pub async fn commit(&self) -> Result<Commit> {
        self.shared.commit().await
    }

    /// What becomes of the archive besides: what was merged, removed, or has failed. Where the options ask for none of
    /// it, it tells nothing.
    pub fn status(&self) -> LiveStatus {
        self.shared.status()
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
