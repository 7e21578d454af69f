//! From what was read to the appender.

use std::{path::Path, thread, time::Duration};

use futures::executor::block_on;

use super::FollowEvent;
use crate::{
    error::{Error, ErrorKind, Result},
    ingest::{ImportReport, LiveAppender, chunk::Chunk},
    schema::{FlowBuilder, UnsortedFlows},
};

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where the flows go that were read, and who hears of what is read.
pub(super) struct Delivery<'a> {
    pub(super) appender: &'a LiveAppender,
    pub(super) report: &'a mut ImportReport,
    pub(super) observer: &'a mut dyn FnMut(FollowEvent<'_>),
}

impl Delivery<'_> {
    /// Appends the flows of a chunk, as the batch of this number of a source where one is given, and tells what was rejected. It
    /// waits while nothing can be appended.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once the appender is stopped, and what no repetition changes.
    pub(super) fn deliver(&mut self, path: Option<&Path>, chunk: Chunk, batch: Option<(&str, u64)>) -> Result<()> {
        for rejected in chunk.rejected {
            self.report.rejected += 1;
            (self.observer)(FollowEvent::Rejected { path, rejected });
        }
        self.report.skipped += chunk.skipped;
        self.report.remarks.merge(chunk.remarks);
        let flows = chunk.flows.len() as u64;
        if flows == 0 {
            return Ok(());
        }
        self.put(&chunk.flows, batch)?;
        self.report.imported += flows;
        (self.observer)(FollowEvent::Progress(self.report));
        Ok(())
    }

    /// Notes a batch without flows: that something is done.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub(super) fn note(&mut self, source: &str) -> Result<()> {
        self.put(&FlowBuilder::default().unsorted()?, Some((source, 1)))
    }

    fn put(&mut self, flows: &UnsortedFlows, batch: Option<(&str, u64)>) -> Result<()> {
        loop {
            match block_on(self.appender.append_unsorted(flows.clone(), batch)) {
                Ok(()) => return Ok(()),
                Err(error) if is_lasting(&error) => return Err(error),
                Err(error) => (self.observer)(FollowEvent::Delayed(&error)),
            }
            thread::sleep(RETRY);
        }
    }
}

/// Whether an error of the archive stays.
pub(super) fn is_lasting(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Io | ErrorKind::Busy)
}
