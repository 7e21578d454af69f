//! Lines to flows by a mapping.

use std::sync::Arc;

use super::{Mapping, assemble::Verdict, json, plan::Plan, separated::Columns, slots::Slots};
use crate::import::{Parsed, Sink, remarks::Remarks, scalar::Scalar};

/// Reads lines by a mapping. It knows the last header.
#[derive(Clone, Debug)]
pub(in crate::import) struct Parser {
    mapping: Mapping,
    columns: State,
}

#[derive(Clone, Debug)]
enum State {
    /// No line names the columns before this one.
    Unknown,
    Known(Arc<Columns>),
    /// A line has ended the records: what follows are sums, until the next header.
    Ended,
}

impl Parser {
    pub(in crate::import) fn new(mapping: Mapping) -> Self {
        let columns =
            Columns::of_plan(mapping.plan()).map_or(State::Unknown, |columns| State::Known(Arc::new(columns)));
        Self { mapping, columns }
    }

    /// Takes note of a line if it is one that changes what the lines after it mean.
    pub(in crate::import) fn observe(&mut self, line: &str) -> bool {
        let plan = self.mapping.plan();
        let Some(separated) = &plan.separated else { return false };
        if separated.ends.iter().any(|end| line.starts_with(end.as_str())) {
            self.columns = State::Ended;
        } else if let Some(columns) = Columns::of_header(line, plan) {
            self.columns = State::Known(Arc::new(columns));
        } else {
            return false;
        }
        true
    }

    /// Whether lines tell what the lines after them mean.
    pub(in crate::import) fn has_headers(&self) -> bool {
        self.mapping.plan().separated.is_some()
    }

    /// Reads a line; `ended` is whether its end is there.
    pub(in crate::import) fn parse(&mut self, line: &str, ended: bool, remarks: &mut Remarks) -> Parsed {
        if self.observe(line) {
            return Parsed::Blank;
        }
        if let State::Ended = self.columns {
            return Parsed::Blank;
        }
        let plan = self.mapping.plan();
        let mut slots = Slots::new(plan.paths.names.len());
        let read = match &plan.separated {
            None => json::read(line, &plan.paths.record, &mut slots),
            Some(separated) => {
                if separated
                    .comment
                    .as_ref()
                    .is_some_and(|comment| line.trim_ascii_start().starts_with(comment.as_str()))
                {
                    return Parsed::Blank;
                }
                self.separated(line, ended, &mut slots, remarks)
            }
        };
        if let Err(reason) = read {
            return Parsed::Rejected(reason);
        }
        slots.clear(&plan.absent);
        if plan.each.is_empty() {
            remarks.occurred(&self.mapping, slots.seen());
            return finish(plan, &slots, remarks);
        }
        self.elements(slots, remarks)
    }

    fn separated<'a>(
        &self,
        line: &'a str,
        ended: bool,
        slots: &mut Slots<'a>,
        remarks: &mut Remarks,
    ) -> Result<(), String> {
        let State::Known(columns) = &self.columns else {
            let names: Vec<&str> = self.mapping.plan().header_names().collect();
            return Err(format!("no header with a column {} names the fields before this line", names.join(" or ")));
        };
        columns.read(line, self.mapping.plan(), slots)?;
        if !ended {
            if columns.is_last_named() {
                return Err("the line has no end, so its last field may have been cut off".to_owned());
            }
            remarks.unended = true;
        }
        Ok(())
    }

    /// The flows of the lists of a record.
    fn elements(&self, record: Slots<'_>, remarks: &mut Remarks) -> Parsed {
        let plan = self.mapping.plan();
        let mut seen = record.seen();
        if let Verdict::Other(word) = plan.verdict(&record) {
            remarks.skipped.add(&word, 1, || None);
            return Parsed::Skipped;
        }
        let mut parts = Vec::new();
        for list in &plan.each {
            let text = match record.get(*list) {
                Scalar::List(text) => *text,
                Scalar::Absent => continue,
                other => {
                    parts.push(Parsed::Rejected(format!("{}: {} is not an array", plan.path(*list), other.shown())));
                    continue;
                }
            };
            let mut number = 0;
            let read = json::elements(text, |element| {
                number += 1;
                let mut slots = record.clone();
                let part = match json::read(element, &plan.paths.element, &mut slots) {
                    Ok(()) => {
                        slots.clear(&plan.absent);
                        plan.flow(&slots).map_or_else(Parsed::Rejected, Parsed::Flow)
                    }
                    Err(reason) => Parsed::Rejected(reason),
                };
                seen |= slots.seen();
                parts.push(match part {
                    Parsed::Rejected(reason) => {
                        Parsed::Rejected(format!("{}, element {number}: {reason}", plan.path(*list)))
                    }
                    part => part,
                });
            });
            if let Err(reason) = read {
                parts.push(Parsed::Rejected(format!("{}: {reason}", plan.path(*list))));
            }
        }
        remarks.occurred(&self.mapping, seen);
        match (parts.pop(), parts.is_empty()) {
            (None, _) => {
                remarks.skipped.add("no flows in the record", 1, || None);
                Parsed::Skipped
            }
            (Some(part), true) => part,
            (Some(part), false) => {
                parts.push(part);
                Parsed::Several(parts)
            }
        }
    }
}

fn finish(plan: &Plan, slots: &Slots<'_>, remarks: &mut Remarks) -> Parsed {
    match plan.verdict(slots) {
        Verdict::Flow => plan.flow(slots).map_or_else(Parsed::Rejected, Parsed::Flow),
        Verdict::Other(word) => {
            remarks.skipped.add(&word, 1, || None);
            Parsed::Skipped
        }
    }
}

impl Mapping {
    /// Gives a record with these values to a sink.
    pub(crate) fn record(&self, mut slots: Slots<'_>, sink: &mut impl Sink) {
        let plan = self.plan();
        slots.clear(&plan.absent);
        sink.remarks().occurred(self, slots.seen());
        match finish(plan, &slots, sink.remarks()) {
            Parsed::Flow(flow) => sink.flow(flow),
            Parsed::Rejected(reason) => sink.rejected(reason),
            Parsed::Skipped | Parsed::Blank | Parsed::Several(_) => sink.skipped(),
        }
    }
}
