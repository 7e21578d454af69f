//! Flows to segments, in whatever order they come.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use arrow::array::RecordBatch;

use crate::{
    archive::{Archive, Commit, Compactor, Sources, Writer},
    error::{Error, Result},
    flow::{Flow, FlowId},
    schema::{FlowBuilder, UnsortedFlows},
};

/// Appends flows to an archive: old or new, in any order.
///
/// Flows are gathered in memory until there are enough for a segment, which is then sorted and written in the
/// background while the next is gathered; so it holds the flows of two segments, at most. Nothing is part of the
/// archive before [`commit`](Self::commit), and what is not committed when the appender is dropped is discarded. Its
/// methods block on the processor and the disk: an asynchronous host calls them from a thread where that is allowed, or
/// takes a [`LiveAppender`](super::LiveAppender).
///
/// A full disk loses nothing: where a segment cannot be written in the background, a later call tries again and tells
/// the error if it still cannot; the flows are kept, and so does each call after that.
///
/// ```
/// use flowseek::{Archive, Flow, FlowId};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// for start in ["2022-11-01T22:46:02Z", "2022-11-01T22:46:01Z"] {
///     appender.push(&Flow::starting(start.parse()?))?;
/// }
/// assert_eq!(archive.snapshot()?.manifest().rows(), 0); // nothing is committed yet
/// let commit = appender.commit()?;
/// assert_eq!((commit.flows, commit.first), (2, FlowId::new(1)));
/// assert_eq!(archive.snapshot()?.manifest().rows(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Appender {
    flows: FlowBuilder,
    segment_rows: usize,
    stage: Arc<Mutex<Stage>>,
    background: Option<JoinHandle<Result<()>>>,
}

/// What the background works on.
#[derive(Debug)]
struct Stage {
    writer: Writer,
    /// What is to be written next, kept until it is.
    segment: Option<Segment>,
}

#[derive(Debug)]
enum Segment {
    Gathered(Box<FlowBuilder>),
    Sorted(RecordBatch),
}

impl Archive {
    /// Begins to append. There is one appender at a time, among all processes.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) where there is another one.
    pub fn appender(&self) -> Result<Appender> {
        let stage = Stage { writer: self.writer()?, segment: None };
        Ok(Appender {
            flows: FlowBuilder::default(),
            segment_rows: self.settings().most_rows(),
            stage: Arc::new(Mutex::new(stage)),
            background: None,
        })
    }
}

impl Appender {
    /// Appends a flow.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where a text of the flow is empty or too long, and
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where an earlier segment cannot be written. This flow is then left out,
    /// and the appender goes on.
    pub fn push(&mut self, flow: &Flow) -> Result<()> {
        if self.flows.len() >= self.segment_rows {
            self.roll()?;
        }
        self.flows.push(flow)
    }

    /// Appends flows in their order. Where a segment cannot be written, those that found no room are left in `flows`.
    pub(super) fn append(&mut self, flows: &mut UnsortedFlows) -> Result<()> {
        while flows.len() > 0 {
            if self.flows.len() >= self.segment_rows {
                self.roll()?;
            }
            let (now, later) = flows.split(self.segment_rows - self.flows.len());
            self.flows.append(&now)?;
            *flows = later;
        }
        Ok(())
    }

    /// Makes all that was appended part of the archive: when this returns, it is durable and every reader sees it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where something cannot be written. The archive is then as it was, and
    /// nothing that was appended is lost: a later commit tries again.
    pub fn commit(&mut self) -> Result<Commit> {
        self.settle()?;
        self.hand_over();
        self.settle()?;
        lock(&self.stage).writer.commit()
    }

    /// The next commit holds the batches of these sources up to these numbers.
    pub(super) fn add_sources(&mut self, sources: Sources) {
        lock(&self.stage).writer.add_sources(sources);
    }

    /// The ID that the first flow gets that is not committed.
    pub(super) fn first_id(&self) -> FlowId {
        lock(&self.stage).writer.first_id()
    }

    /// Discards what is not committed. The ID behind the last flow that is part of the archive; and whether the flows of a
    /// commit that has failed may be so all the same.
    pub(super) fn give_up(&mut self) -> (FlowId, bool) {
        let _ = self.background.take().map(JoinHandle::join);
        lock(&self.stage).writer.give_up()
    }

    /// What merges and removes segments meanwhile, in another thread.
    pub(super) fn compactor(&self) -> Compactor {
        lock(&self.stage).writer.compactor()
    }

    /// Begins to write what was gathered, as soon as nothing else is being written.
    fn roll(&mut self) -> Result<()> {
        self.settle()?;
        self.hand_over();
        let stage = Arc::clone(&self.stage);
        let write = move || lock(&stage).write();
        // Without a thread the segment waits, and is written in the foreground.
        self.background = thread::Builder::new().name("flowseek-write".to_owned()).spawn(write).ok();
        Ok(())
    }

    /// Waits until nothing is left to be written.
    fn settle(&mut self) -> Result<()> {
        if let Some(background) = self.background.take() {
            // What could not be written is still there. The reason may be gone since: it counts only if it is not.
            let _ = background.join().map_err(|_| Error::internal("the thread that wrote a segment has panicked"))?;
        }
        lock(&self.stage).write()
    }

    /// Puts what was gathered where it is written from; nothing else is there.
    fn hand_over(&mut self) {
        if !self.flows.is_empty() {
            lock(&self.stage).segment = Some(Segment::Gathered(Box::new(std::mem::take(&mut self.flows))));
        }
    }
}

impl Stage {
    fn write(&mut self) -> Result<()> {
        if let Some(Segment::Gathered(flows)) = &mut self.segment {
            self.segment = Some(Segment::Sorted(flows.finish(self.writer.next_id())?));
        }
        if let Some(Segment::Sorted(flows)) = &self.segment {
            self.writer.write_sorted(flows)?;
            self.segment = None;
        }
        Ok(())
    }
}

impl Drop for Appender {
    /// Waits for the background, so that the archive is free for the next appender.
    fn drop(&mut self) {
        let _ = self.background.take().map(JoinHandle::join);
    }
}

/// After a panic the segment is still there, or has been written: there is nothing half done to be seen.
fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}
