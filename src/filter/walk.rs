//! Walks over a filter that need no deep stack: a host may nest one as deep as it has tests.

use std::{mem, slice};

use super::{Filter, Test, tree::Join};

/// A filter in prefix notation: `not (a and b)` is `Open(Not) Open(And) Test(a) Test(b) End End`.
///
/// The order is that of the tree: by the kind of its root, then part by part, and of two lists of which one begins the
/// other, the shorter one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Token<'f> {
    /// No part is left of what was opened last.
    End,
    /// A test.
    Test(&'f Test),
    /// Its parts follow.
    Open(Join),
}

/// The tokens of a filter.
#[derive(Debug)]
pub(super) struct Tokens<'f> {
    root: Option<&'f Filter>,
    /// For each part that is open, those of its parts that are left.
    open: Vec<slice::Iter<'f, Filter>>,
}

impl<'f> Iterator for Tokens<'f> {
    type Item = Token<'f>;

    fn next(&mut self) -> Option<Token<'f>> {
        let filter = match self.root.take() {
            Some(root) => root,
            None => match self.open.last_mut()?.next() {
                Some(part) => part,
                None => {
                    self.open.pop();
                    return Some(Token::End);
                }
            },
        };
        Some(match filter {
            Filter::Test(test) => Token::Test(test),
            Filter::And(_) => self.opened(Join::And, filter),
            Filter::Or(_) => self.opened(Join::Or, filter),
            Filter::Not(_) => self.opened(Join::Not, filter),
        })
    }
}

impl<'f> Tokens<'f> {
    fn opened(&mut self, join: Join, filter: &'f Filter) -> Token<'f> {
        self.open.push(filter.parts().iter());
        Token::Open(join)
    }
}

impl Filter {
    pub(super) fn tokens(&self) -> Tokens<'_> {
        Tokens { root: Some(self), open: Vec::new() }
    }

    /// The tests that it is made of, from left to right.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &Test> {
        self.tokens().filter_map(|token| match token {
            Token::Test(test) => Some(test),
            Token::Open(_) | Token::End => None,
        })
    }

    /// Its parts; a test has none.
    pub(crate) fn parts(&self) -> &[Self] {
        match self {
            Self::Test(_) => &[],
            Self::And(parts) | Self::Or(parts) => parts,
            Self::Not(part) => slice::from_ref(part),
        }
    }

    /// The parts of which a flow must pass all.
    pub(crate) fn conjuncts(&self) -> &[Self] {
        match self {
            Self::And(parts) => parts,
            part => slice::from_ref(part),
        }
    }

    /// Something made of the filter from its tests up: `make` gets each part with what was made of its own parts.
    pub(crate) fn fold<'f, T>(&'f self, mut make: impl FnMut(&'f Self, Vec<T>) -> T) -> T {
        let begin = |filter: &'f Self| (filter, filter.parts().iter(), Vec::new());
        let mut at = begin(self);
        let mut above = Vec::new();
        loop {
            if let Some(part) = at.1.next() {
                above.push(mem::replace(&mut at, begin(part)));
                continue;
            }
            let (filter, _, parts) = at;
            let made = make(filter, parts);
            match above.pop() {
                Some(outer) => at = outer,
                None => return made,
            }
            at.2.push(made);
        }
    }
}

/// A meaning of filters: values that negation and joins turn into values.
///
/// [`Join::And`] and [`Join::Or`] are those of a lattice: each has a neutral value, which is that of no parts, and the
/// neutral value of the other decides it.
pub(crate) trait Meaning {
    /// What a filter is for this meaning.
    type Value: Copy + PartialEq;

    /// The value of a test.
    fn test(&self, test: &Test) -> Self::Value;

    /// The value of `all` no parts, or of any of none.
    fn neutral(&self, all: bool) -> Self::Value;

    /// The value of two parts: of both where `all`, else of either.
    fn join(&self, all: bool, left: Self::Value, right: Self::Value) -> Self::Value;

    /// The value of the negation.
    fn not(&self, value: Self::Value) -> Self::Value;

    /// The value of a part that is known as a whole.
    fn known(&self, _part: &Filter) -> Option<Self::Value> {
        None
    }
}

/// A part whose parts are being looked at, and the value of those that have been.
struct Open<'f, V> {
    join: Join,
    left: slice::Iter<'f, Filter>,
    value: V,
}

impl<'f, V: Copy + PartialEq> Open<'f, V> {
    fn new(join: Join, part: &'f Filter, meaning: &impl Meaning<Value = V>) -> Self {
        Self { join, left: part.parts().iter(), value: meaning.neutral(join != Join::Or) }
    }

    /// Takes in the value of a part.
    fn take(&mut self, value: V, meaning: &impl Meaning<Value = V>) {
        if self.join == Join::Not {
            self.value = meaning.not(value);
            return;
        }
        self.value = meaning.join(self.join == Join::And, self.value, value);
        if self.value == meaning.neutral(self.join == Join::Or) {
            // It is decided.
            self.left = slice::Iter::default();
        }
    }
}

/// The value of a filter. Parts that can decide nothing any more are not looked at.
pub(crate) fn evaluate<M: Meaning>(filter: &Filter, meaning: &M) -> M::Value {
    // What a part is by itself, or how its parts are joined.
    let value_of = |part: &Filter| match (meaning.known(part), part) {
        (Some(known), _) => Ok(known),
        (None, Filter::Test(test)) => Ok(meaning.test(test)),
        (None, Filter::And(_)) => Err(Join::And),
        (None, Filter::Or(_)) => Err(Join::Or),
        (None, Filter::Not(_)) => Err(Join::Not),
    };
    let mut at = match value_of(filter) {
        Ok(value) => return value,
        Err(join) => Open::new(join, filter, meaning),
    };
    // Most filters are a list of tests, and need no memory here.
    let mut above = Vec::new();
    loop {
        match at.left.next().map(|part| (part, value_of(part))) {
            Some((_, Ok(value))) => at.take(value, meaning),
            Some((part, Err(join))) => above.push(mem::replace(&mut at, Open::new(join, part, meaning))),
            None => {
                let value = at.value;
                match above.pop() {
                    Some(outer) => at = outer,
                    None => return value,
                }
                at.take(value, meaning);
            }
        }
    }
}
