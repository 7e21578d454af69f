//! One form for all spellings of a filter: what is compiled, pruned with, and told apart by a cursor.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem, slice,
};

use super::{
    Filter, Operand, Set, Test,
    merge::{Kind, Merged},
};
use crate::flow::Field;

impl Filter {
    /// The same flows, in normal form: no negation above a test, no nesting of like in like, sorted, each part once,
    /// tests on one field merged where they can be, constants folded.
    ///
    /// It takes about as long as its tests take to sort, however they are nested.
    #[must_use]
    pub fn normal(&self) -> Self {
        // As the only part of a conjunction, which is the part itself.
        let mut joined = Open::new(true, slice::from_ref(self), true);
        let mut above = Vec::new();
        loop {
            if let Some(below) = joined.next() {
                above.push(mem::replace(&mut joined, below));
                continue;
            }
            let part = joined.parts.finish();
            match above.pop() {
                Some(outer) => joined = outer,
                None => return part.into_filter(),
            }
            joined.parts.add(part);
        }
    }

    /// Whether it is, in normal form, every flow.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(filters) if filters.is_empty())
    }

    /// Whether it is, in normal form, no flow.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Or(filters) if filters.is_empty())
    }
}

/// A conjunction or disjunction while its parts are put in normal form.
struct Open<'f> {
    /// What is left of it, and of those of its parts that are joined in the same way; with whether it counts as it
    /// is, or negated.
    left: Vec<(slice::Iter<'f, Filter>, bool)>,
    parts: Parts,
}

impl<'f> Open<'f> {
    fn new(all: bool, filters: &'f [Filter], sign: bool) -> Self {
        Self { left: vec![(filters.iter(), sign)], parts: Parts::new(all) }
    }

    /// Takes in parts up to one that is joined in the other way; `None` when all are in.
    fn next(&mut self) -> Option<Self> {
        while !self.parts.is_decided
            && let Some((filters, sign)) = self.left.last_mut()
        {
            let mut sign = *sign;
            let Some(mut filter) = filters.next() else {
                self.left.pop();
                continue;
            };
            loop {
                let (filters, is_and) = match filter {
                    Filter::Test(test) => {
                        let test = if sign { test.clone() } else { test.negated() };
                        self.parts.add(Part::Test(Merged::of(test)));
                        break;
                    }
                    Filter::Not(negated) => {
                        filter = negated;
                        sign = !sign;
                        continue;
                    }
                    Filter::And(filters) => (filters, true),
                    Filter::Or(filters) => (filters, false),
                };
                if let [only] = filters.as_slice() {
                    filter = only;
                    continue;
                }
                // The negation of a conjunction is the disjunction of the negations.
                let all = is_and == sign;
                if all != self.parts.all {
                    return Some(Self::new(all, filters, sign));
                }
                self.left.push((filters.iter(), sign));
                break;
            }
        }
        None
    }
}

/// Something in normal form.
enum Part {
    Constant(bool),
    Test(Merged),
    Other(Filter),
}

impl Part {
    fn into_filter(self) -> Filter {
        match self {
            Self::Constant(true) => Filter::all(),
            Self::Constant(false) => Filter::nothing(),
            Self::Test(test) => test.into_filter(),
            Self::Other(filter) => filter,
        }
    }
}

/// The parts of a conjunction, or of a disjunction, each in normal form.
struct Parts {
    all: bool,
    /// Tests that can be merged with others.
    tests: BTreeMap<Kind, Merged>,
    rest: Vec<Filter>,
    /// Whether what is in already decides it: a conjunction by a part that is no flow, a disjunction by one that is all.
    is_decided: bool,
}

impl Parts {
    fn new(all: bool) -> Self {
        Self { all, tests: BTreeMap::new(), rest: Vec::new(), is_decided: false }
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Constant(constant) => self.is_decided |= constant != self.all,
            Part::Test(test) => self.add_test(test),
            Part::Other(filter) => self.add_filter(filter),
        }
    }

    fn add_filter(&mut self, mut filter: Filter) {
        match (&mut filter, self.all) {
            (Filter::Test(test), _) => self.add_test(Merged::of(test.take())),
            (Filter::And(parts), true) | (Filter::Or(parts), false) => {
                let parts = mem::take(parts);
                self.rest.reserve(parts.len());
                for mut part in parts {
                    match &mut part {
                        Filter::Test(test) => self.add_test(Merged::of(test.take())),
                        _ => self.rest.push(part),
                    }
                }
            }
            _ => self.rest.push(filter),
        }
    }

    fn add_test(&mut self, test: Merged) {
        let Some(kind) = test.kind(self.all) else {
            return match test.constant() {
                Some(constant) => self.add(Part::Constant(constant)),
                None => self.rest.push(test.into_filter()),
            };
        };
        let merged = match self.tests.remove(&kind) {
            Some(other) => other.join(test, self.all),
            None => test,
        };
        match merged.constant() {
            Some(constant) => self.add(Part::Constant(constant)),
            None => drop(self.tests.insert(kind, merged)),
        }
    }

    /// Gives tests on flags of a field, of which several may be left, one form for all spellings: each lets a flow without
    /// flags pass, or none of them does.
    ///
    /// `lacks SYN or lacks ACK or is absent` is `(lacks SYN or absent) or (lacks ACK or absent)`.
    fn settle_flags(&mut self, operand: Operand) {
        let merged = [0, 2].into_iter().filter_map(|kind| self.tests.remove(&(operand, kind)));
        let mut tests: Vec<Filter> = merged.map(Merged::into_filter).collect();
        tests.extend(self.rest.extract_if(.., |part| matches!(part, Filter::Test(test) if test.operand == operand)));
        let mut tests: Vec<Test> = tests.iter_mut().filter_map(Filter::take_test).collect();
        let (all, absent) = (self.all, tests.iter().map(|test| test.absent));
        let absent = if all { absent.min() } else { absent.max() };
        let Some(absent) = absent else { return };
        // Of all and no value, one decides what values pass, and the other changes nothing.
        let is_decided = tests.iter().any(|test| test.set.constant(operand) == Some(!all));
        tests.retain(|test| test.set.constant(operand).is_none());
        if is_decided || tests.is_empty() {
            let any = if is_decided { !all } else { all };
            if any == absent {
                return self.add(Part::Constant(any));
            }
            tests = vec![Test { operand, set: Set::Flags { masks: BTreeSet::new(), carried: !any }, absent }];
        }
        self.rest.extend(tests.into_iter().map(|test| Filter::Test(Test { absent, ..test })));
    }

    fn finish(mut self) -> Part {
        Field::all().filter(|field| field.is_flags()).for_each(|field| self.settle_flags(Operand::Field(field)));
        if self.is_decided {
            return Part::Constant(!self.all);
        }
        if self.rest.is_empty() && self.tests.len() < 2 {
            return self.tests.pop_first().map_or(Part::Constant(self.all), |(_, test)| Part::Test(test));
        }
        let mut parts = self.rest;
        parts.extend(self.tests.into_values().map(Merged::into_filter));
        parts.sort_unstable();
        parts.dedup();
        match parts.pop() {
            Some(only) if parts.is_empty() => Part::Other(only),
            last => {
                parts.extend(last);
                Part::Other(if self.all { Filter::And(parts) } else { Filter::Or(parts) })
            }
        }
    }
}
