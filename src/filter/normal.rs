//! One form for all spellings of a filter: what is compiled, pruned with, and told apart by a cursor.

use std::collections::BTreeSet;

use super::{Filter, Set, Test};

impl Filter {
    /// The same flows, in normal form: no negation above a test, no nesting of like in like, sorted, each part once,
    /// tests on one field merged where they can be, constants folded.
    #[must_use]
    pub fn normal(&self) -> Self {
        self.signed(true)
    }

    /// Whether it is, in normal form, every flow.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(filters) if filters.is_empty())
    }

    /// Whether it is, in normal form, no flow.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Or(filters) if filters.is_empty())
    }

    fn signed(&self, sign: bool) -> Self {
        match (self, sign) {
            (Self::Not(filter), _) => filter.signed(!sign),
            (Self::Test(test), true) => test.clone().folded(),
            (Self::Test(test), false) => test.negated().folded(),
            (Self::And(filters), true) | (Self::Or(filters), false) => all_of(filters.iter().map(|f| f.signed(sign))),
            (Self::Or(filters), true) | (Self::And(filters), false) => any_of(filters.iter().map(|f| f.signed(sign))),
        }
    }

    /// Bytes that are equal just for equal normal forms, the same in every patch version: a cursor holds their hash.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Test(test) => test.encode(out),
            Self::And(filters) => encode_all(b'&', filters, out),
            Self::Or(filters) => encode_all(b'|', filters, out),
            Self::Not(filter) => {
                out.push(b'!');
                filter.encode(out);
            }
        }
    }
}

fn encode_all(tag: u8, filters: &[Filter], out: &mut Vec<u8>) {
    out.push(tag);
    encode_number(filters.len() as u128, out);
    filters.iter().for_each(|filter| filter.encode(out));
}

fn encode_number(number: u128, out: &mut Vec<u8>) {
    out.extend(number.to_le_bytes());
}

impl Test {
    fn encode(&self, out: &mut Vec<u8>) {
        let name = self.field.name();
        out.push(if self.absent { b'~' } else { b'=' });
        encode_number(name.len() as u128, out);
        out.extend(name.bytes());
        match &self.set {
            Set::Numbers(ranges) => {
                out.push(b'n');
                encode_number(ranges.as_slice().len() as u128, out);
                for &(first, last) in ranges.as_slice() {
                    encode_number(first, out);
                    encode_number(last, out);
                }
            }
            Set::Texts { texts, listed } => {
                out.push(if *listed { b't' } else { b'T' });
                encode_number(texts.len() as u128, out);
                for text in texts {
                    encode_number(text.len() as u128, out);
                    out.extend(text.bytes());
                }
            }
            Set::Flags { masks, carried } => {
                out.push(if *carried { b'f' } else { b'F' });
                encode_number(masks.len() as u128, out);
                out.extend(masks);
            }
        }
    }

    /// The test, or the constant that it is.
    fn folded(mut self) -> Filter {
        if let Set::Numbers(ranges) = &mut self.set {
            // No value lies above the field's greatest, so the sets of all ports and of all numbers are one.
            let greatest = self.field.greatest();
            *ranges = ranges.intersection(&[(0, greatest)].into_iter().collect());
        }
        let none = match &self.set {
            Set::Numbers(ranges) => ranges.is_empty(),
            Set::Texts { texts, listed } => *listed && texts.is_empty(),
            Set::Flags { masks, carried } => *carried && masks.is_empty(),
        };
        let every = match &self.set {
            Set::Numbers(ranges) => ranges.covers(0, self.field.greatest()),
            Set::Texts { texts, listed } => !*listed && texts.is_empty(),
            Set::Flags { masks, carried } => !*carried && masks.is_empty(),
        };
        if none && (!self.absent || self.field.always_present()) {
            Filter::nothing()
        } else if every && (self.absent || self.field.always_present()) {
            Filter::all()
        } else {
            self.absent &= !self.field.always_present();
            Filter::Test(self)
        }
    }
}

fn all_of(filters: impl Iterator<Item = Filter>) -> Filter {
    let mut parts = BTreeSet::new();
    for filter in filters {
        match filter {
            Filter::And(inner) => parts.extend(inner),
            filter => drop(parts.insert(filter)),
        }
    }
    let mut parts = merged(parts, true);
    if parts.iter().any(Filter::is_nothing) {
        return Filter::nothing();
    }
    parts.retain(|part| !part.is_all());
    single(parts, Filter::And)
}

fn any_of(filters: impl Iterator<Item = Filter>) -> Filter {
    let mut parts = BTreeSet::new();
    for filter in filters {
        match filter {
            Filter::Or(inner) => parts.extend(inner),
            filter => drop(parts.insert(filter)),
        }
    }
    let mut parts = merged(parts, false);
    if parts.iter().any(Filter::is_all) {
        return Filter::all();
    }
    parts.retain(|part| !part.is_nothing());
    single(parts, Filter::Or)
}

fn single(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(part) if parts.is_empty() => part,
        Some(part) => {
            parts.push(part);
            join(parts)
        }
        None => join(parts),
    }
}

/// Merges the number tests of each field into one, by intersection for `all` and by union otherwise.
fn merged(parts: BTreeSet<Filter>, all: bool) -> Vec<Filter> {
    let mut numbers: Vec<Test> = Vec::new();
    let mut rest = BTreeSet::new();
    for part in parts {
        let Filter::Test(Test { field, set: Set::Numbers(ranges), absent }) = part else {
            rest.insert(part);
            continue;
        };
        let like = |test: &&mut Test| test.field == field && test.absent == absent;
        match numbers.iter_mut().find(like).map(|test| &mut test.set) {
            Some(Set::Numbers(merged)) => {
                *merged = if all { merged.intersection(&ranges) } else { merged.union(&ranges) };
            }
            _ => numbers.push(Test { field, set: Set::Numbers(ranges), absent }),
        }
    }
    rest.extend(numbers.into_iter().map(Test::folded));
    rest.into_iter().collect()
}
