//! Writing: segments first, then the manifest that names them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::Serialize;

use super::{
    Archive, Compactor, Partition, Removed, Restored, Retained, Retention, SegmentEntry,
    exclusive::{Change, Exclusive},
    manifest::{Edit, Sources},
    remove, retain,
};
use crate::{
    error::{Error, Result},
    filter::Filter,
    flow::FlowId,
    schema::check_sorted,
};

/// The one writer of an archive. What it has written is no part of the archive before it is committed; what is not
/// committed when it is dropped is discarded.
///
/// It shares the archive with its [`compactor`](Self::compactor), which may work in another thread meanwhile.
///
/// ```
/// use flowseek::{Archive, ErrorKind, Flow, schema::FlowBuilder};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut writer = archive.writer()?;
/// assert_eq!(archive.writer().unwrap_err().kind(), ErrorKind::Locked); // there is one
/// let mut flows = FlowBuilder::default();
/// flows.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// let batch = flows.finish(writer.next_id())?;
/// writer.write(&batch)?;
/// assert_eq!(archive.snapshot()?.manifest().rows(), 0);
/// assert_eq!(writer.commit()?.flows, 1);
/// assert_eq!(archive.snapshot()?.manifest().rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    exclusive: Arc<Exclusive>,
    staged: Vec<SegmentEntry>,
    /// The numbers of the batches that the next commit holds, of each source the last.
    sources: Sources,
    /// The ID of the first flow that is not committed.
    first: FlowId,
    next: FlowId,
}

/// What a commit has added.
///
/// ```
/// use flowseek::{Archive, Flow};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// let flow = Flow::starting("2022-11-01T22:46:01Z".parse()?);
/// appender.push(&flow)?;
/// let first = appender.commit()?;
/// appender.push(&flow)?;
/// let second = appender.commit()?;
/// assert_eq!(second.version, first.version + 1);
/// assert_eq!(second.first.get(), first.first.get() + first.flows);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct Commit {
    /// The version of the archive that holds it.
    pub version: u64,
    /// How many flows it added.
    pub flows: u64,
    /// The ID of the first; the others follow on it, in the order in which they were pushed.
    pub first: FlowId,
}

impl Archive {
    /// The right to write to the archive: one process and one writer at a time. What a crash has left is cleared away.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) where another writer has it; [`ErrorKind::Io`](crate::ErrorKind::Io); as
    /// [`snapshot`](Self::snapshot).
    pub fn writer(&self) -> Result<Writer> {
        let exclusive = Exclusive::take(self)?;
        let next = FlowId::new(exclusive.newest().next_flow_id);
        Ok(Writer { exclusive, staged: Vec::new(), sources: Sources::new(), first: next, next })
    }
}

impl Writer {
    /// The ID that the next flow gets.
    pub fn next_id(&self) -> FlowId {
        self.next
    }

    /// Writes flows as a segment: a batch as [`FlowBuilder::finish`](crate::schema::FlowBuilder::finish) makes it, with [`next_id`](Self::next_id).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the columns are not those of
    /// [`schema`](crate::schema::schema), a value is none that can be stored, the flows are not sorted newest first, or their
    /// IDs are not those that follow on `next_id`. [`ErrorKind::Io`](crate::ErrorKind::Io) where the segment cannot be written.
    /// Nothing of it is left then. [`ErrorKind::Locked`](crate::ErrorKind::Locked) as of [`commit`](Self::commit).
    ///
    /// ```
    /// use flowseek::{Archive, ErrorKind, Flow, FlowId, schema::FlowBuilder};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let mut writer = archive.writer()?;
    /// let mut flows = FlowBuilder::default();
    /// flows.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
    /// let batch = flows.finish(writer.next_id())?;
    /// writer.write(&batch)?;
    /// // The ID is given by now.
    /// assert_eq!(writer.write(&batch).unwrap_err().kind(), ErrorKind::InvalidInput);
    /// assert_eq!(writer.commit()?.flows, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&mut self, flows: &RecordBatch) -> Result<()> {
        check_sorted(flows, self.next)?;
        self.write_sorted(flows)
    }

    /// [`write`](Self::write), of a batch that a builder has made.
    pub(crate) fn write_sorted(&mut self, flows: &RecordBatch) -> Result<()> {
        if flows.num_rows() == 0 {
            return Ok(());
        }
        let archive = self.exclusive.archive();
        // In a directory that is another one's by now nothing is written, and if it vanishes just then, that is the cause.
        self.exclusive.hold()?;
        let staged = archive.files().stage(flows, archive.settings().segment);
        let segment = staged.or_else(|error| self.exclusive.hold().and(Err(error)))?;
        self.next = FlowId::new(self.next.get() + segment.rows);
        self.staged.push(segment);
        Ok(())
    }

    /// Adds everything that was written to the archive: when this returns, it is durable and visible.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::Busy`](crate::ErrorKind::Busy): what was written is then
    /// still to be committed, and a later commit does that, once. [`Error::is_disk_full`] tells that there must be room
    /// first. The archive is as it was, unless the very last step has failed, which makes the commit durable: then
    /// readers see it, and only a power failure could take it back.
    ///
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) where another process has written though this one had the lock,
    /// as somebody has removed the lock's file or replaced the directory. What was written is then lost to this writer,
    /// and each further commit fails the same way.
    pub fn commit(&mut self) -> Result<Commit> {
        let first = self.first;
        if self.staged.is_empty() && self.sources.is_empty() {
            self.exclusive.hold()?;
            return Ok(Commit { version: self.exclusive.newest().version, flows: 0, first });
        }
        if !self.staged.is_empty() {
            self.exclusive.finish(&self.staged)?;
        }
        let (segments, sources) = (self.staged.clone(), self.sources.clone());
        let edit = Edit::Append { segments, next_flow_id: self.next.get(), sources };
        let version = match self.exclusive.publish(edit)? {
            Change::Published(manifest) => manifest.version,
            Change::Outdated => return Err(Error::internal("new segments were taken for old ones")),
        };
        let flows = self.staged.iter().map(|segment| segment.rows).sum();
        self.staged.clear();
        self.sources.clear();
        self.first = self.next;
        Ok(Commit { version, flows, first })
    }

    /// The next commit holds the batches of these sources up to these numbers.
    pub(crate) fn add_sources(&mut self, sources: Sources) {
        // Each is above the one before.
        self.sources.extend(sources);
    }

    /// The ID of the first flow that is not committed.
    pub(crate) fn first_id(&self) -> FlowId {
        self.first
    }

    /// Discards what is not committed. The ID behind the last flow that is part of the archive; and whether the flows of a
    /// commit that has failed may be so all the same.
    pub(crate) fn give_up(&mut self) -> (FlowId, bool) {
        self.exclusive.abandon(&std::mem::take(&mut self.staged));
        let next = self.exclusive.newest().next_flow_id;
        (FlowId::new(next), self.exclusive.is_unsure())
    }

    /// What merges the segments of the archive, in whichever thread. The archive stays locked for other processes
    /// until the writer and all its compactors are dropped.
    pub fn compactor(&self) -> Compactor {
        Compactor::new(Arc::clone(&self.exclusive))
    }

    /// Removes flows by their age, or for want of space, as one version. What is written and not committed stays as
    /// it is.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::Busy`](crate::ErrorKind::Busy); no flow is removed then,
    /// unless only the last step has failed, as in [`commit`](Self::commit). A segment that cannot be read is no error:
    /// it stays, and [`Retained::unreadable`] names it.
    ///
    /// ```
    /// use flowseek::{Archive, Flow, Retention, Timestamp};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let mut appender = archive.appender()?;
    /// for day in ["2022-11-01T00:00:00Z", "2022-11-02T00:00:00Z"] {
    ///     appender.push(&Flow::starting(day.parse()?))?;
    /// }
    /// appender.commit()?;
    /// drop(appender);
    ///
    /// let before: Timestamp = "2022-11-02T00:00:00Z".parse()?;
    /// let retained = archive.writer()?.retain(Retention::default().before(before).exact(true))?;
    /// assert_eq!((retained.rows, archive.snapshot()?.manifest().rows()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retain(&self, retention: Retention) -> Result<Retained> {
        retain::retain(&self.exclusive, retention, None)
    }

    /// Removes all flows that match a filter, such as those of a tenant that has left: the segments that may have some are read,
    /// and written anew without them, one after the other, each as a version of its own. Flows stay that are committed after the
    /// call has begun. This blocks: it takes about as long as a compaction of those
    /// segments. Another thread may commit and compact meanwhile.
    ///
    /// With a bound on the start it is retention for some flows alone: 7 days of one tenant are kept by
    /// `filter::node_id().eq("tenant-7/a").and(filter::start_time().lt(before))`, whatever is kept of others.
    ///
    /// No file of the archive has the flows any more once readers have released older versions and the next version is
    /// published: neither one that retention keeps for its grace period, as those go at once, nor a segment; but
    /// [`Removed::quarantined`](super::Removed::quarantined) names files that were put aside, which may have some and can be
    /// deleted by hand.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::Busy`](crate::ErrorKind::Busy): some segments may be done then,
    /// and the same call goes on. A segment that cannot be read is no error:
    /// [`Removed::unreadable`](super::Removed::unreadable) names it.
    ///
    /// ```
    /// use flowseek::{Archive, Flow, filter};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let mut appender = archive.appender()?;
    /// for node in ["tenant-7/a", "tenant-8/a"] {
    ///     let start = "2022-11-01T00:00:00Z".parse()?;
    ///     appender.push(&Flow { node_id: Some(node.to_owned()), ..Flow::starting(start) })?;
    /// }
    /// appender.commit()?;
    /// drop(appender);
    /// let removed = archive.writer()?.remove(&filter::node_id().eq("tenant-7/a"))?;
    /// assert_eq!((removed.rows, archive.snapshot()?.manifest().rows()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, filter: &Filter) -> Result<Removed> {
        remove::remove(&self.exclusive, filter)
    }

    /// How compaction divides flows from now on, in whichever process: `None` where it does not. The version of the archive
    /// with that. Segments that are there are divided by the next compactions, the newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::Busy`](crate::ErrorKind::Busy); as [`commit`](Self::commit).
    ///
    /// ```
    /// use flowseek::{Archive, Flow, archive::{Effort, Partition}, filter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// // Segments are small here, so that few flows are divided already.
    /// # let settings = flowseek::Settings::default().segment_rows(120);
    /// # let archive = Archive::open_or_create_with(directory.path().join("flows"), settings)?;
    /// let mut appender = archive.appender()?;
    /// for number in 0..60 {
    ///     let start = "2022-11-01T00:00:00Z".parse()?;
    ///     appender.push(&Flow { node_id: Some(format!("tenant-{}/edge", number % 6)), ..Flow::starting(start) })?;
    /// }
    /// appender.commit()?;
    /// drop(appender);
    ///
    /// let writer = archive.writer()?;
    /// writer.partition(Partition::by_node(4).up_to("/"))?;
    /// while writer.compactor().run_once(Effort::Thorough)?.is_some() {}
    /// let snapshot = archive.snapshot()?;
    /// let segments = snapshot.manifest().segments.len() as u64;
    /// let page = snapshot.query(filter::node_id().eq("tenant-5/edge")).page().await?;
    /// assert_eq!(page.explain.segments_never, segments - 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn partition(&self, partition: impl Into<Option<Partition>>) -> Result<u64> {
        let partition = partition.into();
        let newest = self.exclusive.newest();
        if newest.partition == partition {
            return Ok(newest.version);
        }
        match self.exclusive.publish(Edit::Partition(partition))? {
            Change::Published(manifest) => Ok(manifest.version),
            Change::Outdated => Err(Error::internal("a partition was taken for a replacement of segments")),
        }
    }

    /// Puts back the segments that retention has removed, be it that of another process, as far as their
    /// [grace period](Retention::grace) is not over. A segment that cannot be read is no error:
    /// [`Restored::unreadable`](super::Restored::unreadable) tells why. This blocks: it reads the indexes of the segments.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`ErrorKind::Busy`](crate::ErrorKind::Busy); as [`commit`](Self::commit).
    pub fn restore(&self) -> Result<Restored> {
        retain::restore(&self.exclusive)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.staged.is_empty() {
            self.exclusive.abandon(&self.staged);
        }
    }
}
