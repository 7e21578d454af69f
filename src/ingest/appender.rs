//! Flows to segments, in whatever order they come.

use arrow::array::RecordBatch;

use crate::{
    archive::{Archive, Commit, Writer},
    error::Result,
    flow::Flow,
    schema::FlowBuilder,
};

/// Appends flows to an archive: old or new, in any order.
///
/// Flows are gathered in memory until there are enough for a segment. Nothing is part of the archive before
/// [`commit`](Self::commit), and what is not committed when the appender is dropped is discarded. Its methods block on
/// the processor and the disk: an asynchronous host calls them from a thread where that is allowed.
#[derive(Debug)]
pub struct Appender {
    writer: Writer,
    flows: FlowBuilder,
    /// Flows that are to be written next, kept until they are: a full disk loses nothing.
    sorted: Option<RecordBatch>,
    segment_rows: usize,
}

impl Archive {
    /// Begins to append. There is one appender at a time, among all processes.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) where there is another one.
    pub fn appender(&self) -> Result<Appender> {
        let segment_rows = self.settings().segment_rows.max(1);
        Ok(Appender { writer: self.writer()?, flows: FlowBuilder::default(), sorted: None, segment_rows })
    }
}

impl Appender {
    /// Appends a flow.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where a text of the flow is empty or too long: it is
    /// then left out, and the appender goes on; [`ErrorKind::Io`](crate::ErrorKind::Io) where a segment cannot be
    /// written.
    pub fn push(&mut self, flow: &Flow) -> Result<()> {
        self.flows.push(flow)?;
        if self.flows.len() >= self.segment_rows { self.flush() } else { Ok(()) }
    }

    /// Makes all that was appended part of the archive: when this returns, it is durable and every reader sees it.
    pub fn commit(&mut self) -> Result<Commit> {
        self.flush()?;
        self.writer.commit()
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(sorted) = &self.sorted {
            self.writer.write(sorted)?;
            self.sorted = None;
        }
        if !self.flows.is_empty() {
            let sorted = self.sorted.insert(self.flows.finish(self.writer.next_id())?);
            self.writer.write(sorted)?;
            self.sorted = None;
        }
        Ok(())
    }
}
