//! A part of an input as flows.

use super::ImportOptions;
use crate::{
    error::{Error, Result},
    flow::Flow,
    import::{Rejected, Remarks, Sink, Unit},
    schema::{FlowBuilder, UnsortedFlows},
};

/// Some lines, rows or records of an input that follow on one another.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The flows among them.
    pub(super) flows: UnsortedFlows,
    /// Those that are none, numbered from 1 on within the chunk.
    pub(super) rejected: Vec<Rejected>,
    /// How many there are in all.
    pub(super) read: u64,
    /// How many are records of something else.
    pub(super) skipped: u64,
    /// What is to be remarked of them.
    pub(super) remarks: Remarks,
    /// Bytes of the input that were read when the chunk was.
    pub(super) bytes: u64,
}

/// Gathers a chunk, one record after the other.
#[derive(Debug)]
pub(super) struct ChunkBuilder<'o> {
    options: &'o ImportOptions,
    unit: Unit,
    flows: FlowBuilder,
    rejected: Vec<Rejected>,
    read: u64,
    skipped: u64,
    remarks: Remarks,
}

impl<'o> ChunkBuilder<'o> {
    /// An empty one, whose flows are completed by options.
    pub(super) fn new(unit: Unit, options: &'o ImportOptions) -> Self {
        Self {
            options,
            unit,
            flows: FlowBuilder::default(),
            rejected: Vec::new(),
            read: 0,
            skipped: 0,
            remarks: Remarks::default(),
        }
    }

    /// A line that says nothing.
    pub(super) fn blank(&mut self) {
        self.read += 1;
    }

    /// The chunk, with `bytes` of the input read.
    pub(super) fn finish(mut self, bytes: u64) -> Result<Chunk> {
        let Self { rejected, read, skipped, remarks, .. } = self;
        Ok(Chunk { flows: self.flows.unsorted()?, rejected, read, skipped, remarks, bytes })
    }
}

impl Sink for ChunkBuilder<'_> {
    fn flow(&mut self, mut flow: Flow) {
        self.options.complete(&mut flow);
        match self.flows.push(&flow) {
            Ok(()) => self.read += 1,
            Err(error) => self.rejected(error.to_string()),
        }
    }

    fn rejected(&mut self, reason: String) {
        self.read += 1;
        self.rejected.push(Rejected { unit: self.unit, number: self.read, reason });
    }

    fn skipped(&mut self) {
        self.read += 1;
        self.skipped += 1;
    }

    fn remarks(&mut self) -> &mut Remarks {
        &mut self.remarks
    }
}

/// Why an input goes no further.
#[derive(Debug)]
pub(super) enum Failure {
    /// What comes next cannot be read.
    Unreadable(std::io::Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
