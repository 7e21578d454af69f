//! What one thread reads of a capture, and another makes flows of.

use std::{ops::Range, sync::Arc};

use super::{
    bytes::Bytes,
    clock::Clock,
    context::Context,
    rate::Rate,
    record::{self, Record},
    template::{Purpose, Template},
    values::Values,
};
use crate::import::{notes::Note, remarks::Remarks, sink::Sink};

/// Data sets with all that is needed to read them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    parts: Vec<Part>,
    pub(super) remarks: Remarks,
}

#[derive(Debug)]
enum Part {
    Set(Set),
    /// A message that is damaged from some place on, with the reason.
    Damaged(String),
}

/// A data set.
#[derive(Debug)]
struct Set {
    explained: Explained,
    range: Range<usize>,
}

/// What explains a data set.
#[derive(Clone, Debug)]
pub(super) struct Explained {
    pub(super) template: Arc<Template>,
    pub(super) context: Arc<Context>,
    pub(super) clock: Clock,
    /// The sampling that the header of the message says.
    pub(super) rate: Rate,
}

impl Batch {
    /// About how much it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.parts.len() * size_of::<Part>()
    }

    pub(super) fn push(&mut self, explained: Explained, set: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(set);
        self.parts.push(Part::Set(Set { explained, range: start..self.bytes.len() }));
    }

    pub(super) fn damaged(&mut self, reason: String) {
        self.parts.push(Part::Damaged(reason));
    }

    /// Reads the records.
    pub(crate) fn read(self, sink: &mut impl Sink) {
        let mut values = Values::default();
        for part in self.parts {
            match part {
                Part::Set(set) => {
                    let bytes = self.bytes.get(set.range).unwrap_or_default();
                    set.explained.read(bytes, &mut values, sink);
                }
                Part::Damaged(reason) => sink.rejected(reason),
            }
        }
        sink.remarks().merge(self.remarks);
    }
}

impl Explained {
    fn read(&self, set: &[u8], values: &mut Values, sink: &mut impl Sink) {
        let what = match self.template.purpose {
            Purpose::Flows => return self.flows(set, values, sink),
            Purpose::Timeless => "templates without a time",
            Purpose::Options => "options",
        };
        let count = self.template.count(set);
        (0..count).for_each(|_| sink.skipped());
        sink.remarks().note(Note::Skipped, what, count as u64);
    }

    fn flows(&self, set: &[u8], values: &mut Values, sink: &mut impl Sink) {
        let mut records = Bytes::new(set);
        let mut sampled = (Rate::ALL, 0);
        while !self.template.is_padding(records) {
            if self.template.read(&mut records, values).is_none() {
                sink.rejected(format!("a record of {} ends beyond its set", self.context.exporter));
                break;
            }
            let rate = self.context.rate(values).unwrap_or(self.rate);
            match record::read(values, self.clock, &self.context, rate) {
                Record::Flow(flow) => {
                    if !rate.is_all() && rate != sampled.0 {
                        self.remark(sampled, sink);
                        sampled = (rate, 0);
                    }
                    sampled.1 += u64::from(!rate.is_all());
                    sink.flow(flow);
                }
                Record::Event(name) => {
                    sink.skipped();
                    sink.remarks().note(Note::Skipped, name, 1);
                }
                Record::Rejected(reason) => sink.rejected(reason),
            }
        }
        self.remark(sampled, sink);
    }

    /// Says what sampling so many flows were multiplied by.
    fn remark(&self, (rate, count): (Rate, u64), sink: &mut impl Sink) {
        if count > 0 {
            let about = format!("{} ({rate})", self.context.exporter);
            sink.remarks().note(Note::Sampled, &about, count);
        }
    }
}
