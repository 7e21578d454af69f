//! A part of an input as flows.

use super::ImportOptions;
use crate::{
    error::{Error, Result},
    flow::Flow,
    import::{Parsed, Rejected, Remarks, Sink, Unit},
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

    /// A line.
    pub(super) fn line(&mut self, parsed: Parsed) {
        self.read += 1;
        self.part(parsed);
    }

    /// What a line is, or a part of it, that is counted already.
    fn part(&mut self, parsed: Parsed) {
        match parsed {
            Parsed::Flow(mut flow) => {
                self.options.complete(&mut flow);
                if let Err(error) = self.flows.push(&flow) {
                    self.part(Parsed::Rejected(error.to_string()));
                }
            }
            Parsed::Rejected(reason) => {
                self.rejected.push(Rejected { unit: self.unit, number: self.read, reason });
            }
            Parsed::Skipped => self.skipped += 1,
            Parsed::Blank => {}
            Parsed::Several(parts) => parts.into_iter().for_each(|part| self.part(part)),
        }
    }

    /// The chunk, with `bytes` of the input read.
    pub(super) fn finish(mut self, bytes: u64) -> Result<Chunk> {
        let Self { rejected, read, skipped, remarks, .. } = self;
        Ok(Chunk { flows: self.flows.unsorted()?, rejected, read, skipped, remarks, bytes })
    }
}

impl Sink for ChunkBuilder<'_> {
    fn flow(&mut self, flow: Flow) {
        self.line(Parsed::Flow(flow));
    }

    fn rejected(&mut self, reason: String) {
        self.line(Parsed::Rejected(reason));
    }

    fn skipped(&mut self) {
        self.line(Parsed::Skipped);
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
