//! The records of a block.

use super::{
    definitions::{Definitions, EXPORTER, EXTENSION_MAP},
    draft::Routers,
    extended,
    fields::u16_at,
    mapped,
};
use crate::import::Sink;

/// Types of records that hold a flow.
const MAPPED_OLD: u16 = 1;
const MAPPED: u16 = 10;
const EXTENDED: u16 = 11;

/// Bytes of the type and the size of a record.
const HEAD_BYTES: usize = 4;

/// The records of a block, decompressed.
#[derive(Debug)]
pub(crate) struct Records {
    /// The number of the block in its file.
    block: u32,
    /// How many there are, as the block says.
    count: u32,
    /// Or why there are none.
    bytes: Result<Vec<u8>, String>,
}

impl Records {
    pub(super) fn new(block: u32, count: u32, bytes: Result<Vec<u8>, String>) -> Self {
        Self { block, count, bytes }
    }

    /// Those of a block in which are no flows.
    pub(super) fn none() -> Self {
        Self::new(0, 0, Ok(Vec::new()))
    }

    /// What is defined after them, where `before` is what was before them.
    pub(crate) fn define(&self, before: &Definitions) -> Definitions {
        let mut definitions = before.clone();
        let bytes = self.bytes.as_deref().unwrap_or_default();
        for record in Split(bytes).flatten() {
            definitions.add(record.kind, record.bytes);
        }
        definitions
    }

    /// Reads the flows among them.
    pub(crate) fn read(&self, mut definitions: Definitions, sink: &mut impl Sink) {
        let Self { block, count, .. } = self;
        let bytes = match &self.bytes {
            Ok(bytes) => bytes,
            Err(problem) => return sink.rejected(format!("block {block}, of {count} records: {problem}")),
        };
        let mut routers = Routers::default();
        let mut found = 0u32;
        for record in Split(bytes) {
            match record {
                Ok(record) => record.read(&mut definitions, &mut routers, sink),
                Err(problem) => {
                    let rest = count.saturating_sub(found);
                    return sink
                        .rejected(format!("block {block}: {problem}; the {rest} records from there on are lost"));
                }
            }
            found = found.saturating_add(1);
        }
        if found != *count {
            sink.rejected(format!("block {block}: it has {found} records, and its header counts {count}"));
        }
    }
}

/// A record.
#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    kind: u16,
    /// All of it, with its type and size.
    bytes: &'a [u8],
}

impl Record<'_> {
    /// Reads the flow, if it holds one.
    fn read(self, definitions: &mut Definitions, routers: &mut Routers, sink: &mut impl Sink) {
        let Self { kind, bytes } = self;
        let draft = match kind {
            EXTENDED => extended::read(bytes),
            MAPPED => mapped::read(bytes, definitions, sink.remarks()),
            MAPPED_OLD => mapped::read_old(bytes, definitions, sink.remarks()),
            EXTENSION_MAP | EXPORTER => return definitions.add(kind, bytes),
            // Counts of exporters (8), sampling (9, 15), and names of applications and interfaces (12 to 14); what names a
            // file and counts its flows.
            8 | 9 | 12..=15 | 0x8001 | 0x8002 => return,
            other => {
                sink.skipped();
                return sink.remarks().skipped.add(&format!("record type {other}"), 1, || None);
            }
        };
        match draft.and_then(|draft| draft.flow(definitions, routers)) {
            Ok(flow) => sink.flow(flow),
            Err(reason) => sink.rejected(reason),
        }
    }
}

/// Splits a block into records, as far as their sizes allow.
struct Split<'a>(&'a [u8]);

impl<'a> Iterator for Split<'a> {
    type Item = Result<Record<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let (Some(kind), Some(size)) = (u16_at(rest, 0), u16_at(rest, 2)) else {
            return Some(Err(format!("there is no record in the last {} bytes", rest.len())));
        };
        match rest.split_at_checked(size.into()).filter(|(record, _)| record.len() >= HEAD_BYTES) {
            Some((bytes, rest)) => {
                self.0 = rest;
                Some(Ok(Record { kind, bytes }))
            }
            None => {
                let left = rest.len();
                Some(Err(format!(
                    "a record has a size of {size} bytes; allowed are {HEAD_BYTES} to the {left} that are left"
                )))
            }
        }
    }
}
