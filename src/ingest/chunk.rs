//! A part of an input as flows.

use super::ImportOptions;
use crate::{
    error::{Error, Result},
    flow::Flow,
    import::{Rejected, Remarks},
    schema::{FlowBuilder, UnsortedFlows},
};

/// Some lines of an input, or some rows of a Parquet file, that follow on one another.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The flows among them.
    pub(super) flows: UnsortedFlows,
    /// Those that are none, numbered from 1 on within the chunk.
    pub(super) rejected: Vec<Rejected>,
    /// How many lines or rows there are.
    pub(super) lines: u64,
    /// How many are records of something else.
    pub(super) skipped: u64,
    /// What is to be remarked of them.
    pub(super) remarks: Remarks,
    /// Bytes of the input that were read when the chunk was.
    pub(super) bytes: u64,
}

/// Gathers a chunk, line by line.
#[derive(Debug)]
pub(super) struct ChunkBuilder<'o> {
    options: &'o ImportOptions,
    flows: FlowBuilder,
    rejected: Vec<Rejected>,
    lines: u64,
    skipped: u64,
}

impl<'o> ChunkBuilder<'o> {
    /// An empty one, whose flows are completed by options.
    pub(super) fn new(options: &'o ImportOptions) -> Self {
        Self { options, flows: FlowBuilder::default(), rejected: Vec::new(), lines: 0, skipped: 0 }
    }

    /// A line that is a flow.
    pub(super) fn flow(&mut self, mut flow: Flow) {
        self.options.complete(&mut flow);
        match self.flows.push(&flow) {
            Ok(()) => self.lines += 1,
            Err(error) => self.rejected(error.to_string()),
        }
    }

    /// A line that is none.
    pub(super) fn rejected(&mut self, reason: String) {
        self.lines += 1;
        self.rejected.push(Rejected { line: self.lines, reason });
    }

    /// A line with a record of something else.
    pub(super) fn skipped(&mut self) {
        self.lines += 1;
        self.skipped += 1;
    }

    /// A line that says nothing.
    pub(super) fn blank(&mut self) {
        self.lines += 1;
    }

    /// The chunk, with `bytes` of the input read.
    pub(super) fn finish(mut self, remarks: Remarks, bytes: u64) -> Result<Chunk> {
        let Self { rejected, lines, skipped, .. } = self;
        Ok(Chunk { flows: self.flows.unsorted()?, rejected, lines, skipped, remarks, bytes })
    }
}

/// Why an input goes no further.
#[derive(Debug)]
pub(super) enum Failure {
    /// The next line cannot be read.
    Unreadable(std::io::Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
