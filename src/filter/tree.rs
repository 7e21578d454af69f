//! The filter tree.

use std::{collections::BTreeSet, ops::Not};

use super::Ranges;
use crate::flow::Field;

/// Which flows a query wants.
///
/// ```
/// use flowseek::{filter::{self, Filter}, flow::{Flow, FlowId, Protocol, StoredFlow}};
///
/// let https = filter::protocol().eq(Protocol::TCP).and(filter::dst_port().eq(443));
/// let flow = Flow {
///     protocol: Protocol::TCP,
///     dst_port: Some(443),
///     ..Flow::starting("2022-11-01T22:46:01Z".parse()?)
/// };
/// assert!(https.matches(&StoredFlow { id: FlowId::new(1), flow }));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// A test on one field.
    Test(Test),
    /// All of these; of none: every flow.
    And(Vec<Filter>),
    /// Any of these; of none: no flow.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
}

/// A test on one field: is its value in a set?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Test {
    pub(crate) field: Field,
    pub(crate) set: Set,
    /// Whether a flow without the value passes: only the negation of a test lets it.
    pub(crate) absent: bool,
}

/// The values that pass a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// These numbers: see [`ValueRef::Number`](crate::flow::ValueRef::Number).
    Numbers(Ranges),
    /// These texts, or all but these.
    Texts {
        /// The texts.
        texts: BTreeSet<String>,
        /// Whether it is these (or all but these).
        listed: bool,
    },
    /// TCP flags with every bit of at least one of these masks, or of none of them.
    Flags {
        /// The masks.
        masks: BTreeSet<u8>,
        /// Whether at least one is wanted (or none).
        carried: bool,
    },
}

impl Filter {
    /// Every flow.
    pub const fn all() -> Self {
        Self::And(Vec::new())
    }

    /// No flow.
    pub const fn nothing() -> Self {
        Self::Or(Vec::new())
    }

    /// The flows that match both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::And(mut filters), Self::And(more)) => {
                filters.extend(more);
                Self::And(filters)
            }
            (Self::And(mut filters), other) => {
                filters.push(other);
                Self::And(filters)
            }
            (filter, other) => Self::And(vec![filter, other]),
        }
    }

    /// The flows that match either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Or(vec![self, other])
    }

    /// The same filter, in which the parts of a conjunction or disjunction that look at nothing but `fields` are one
    /// part, where there are several.
    pub(crate) fn grouped(&self, fields: &[Field]) -> Self {
        let group = |filters: &[Self], join: fn(Vec<Self>) -> Self| {
            let (inside, outside): (Vec<_>, Vec<_>) =
                filters.iter().map(|filter| filter.grouped(fields)).partition(|filter| filter.looks_only_at(fields));
            if inside.len() < 2 || outside.is_empty() {
                return join([inside, outside].concat());
            }
            join([vec![join(inside)], outside].concat())
        };
        match self {
            Self::Test(_) | Self::Not(_) => self.clone(),
            Self::And(filters) => group(filters, Self::And),
            Self::Or(filters) => group(filters, Self::Or),
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let mut tests = Vec::new();
        self.tests(&mut tests);
        let values = |test: &&Test| match &test.set {
            Set::Numbers(ranges) => size_of_val(ranges.as_slice()),
            Set::Texts { texts, .. } => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
            Set::Flags { masks, .. } => masks.len(),
        };
        tests.iter().map(values).sum::<usize>() + tests.len() * size_of::<Self>()
    }

    fn looks_only_at(&self, fields: &[Field]) -> bool {
        let mut tests = Vec::new();
        self.tests(&mut tests);
        tests.iter().all(|test| fields.contains(&test.field))
    }

    /// Adds the tests that it is made of.
    pub(crate) fn tests<'a>(&'a self, tests: &mut Vec<&'a Test>) {
        match self {
            Self::Test(test) => tests.push(test),
            Self::And(filters) | Self::Or(filters) => filters.iter().for_each(|filter| filter.tests(tests)),
            Self::Not(filter) => filter.tests(tests),
        }
    }
}

/// The flows that do not match: among them those whose values are absent.
impl Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Not(filter) => *filter,
            filter => Self::Not(Box::new(filter)),
        }
    }
}

impl Test {
    /// Passes a flow whose `field` is in `numbers`.
    pub(crate) fn numbers(field: Field, numbers: Ranges) -> Filter {
        Filter::Test(Self { field, set: Set::Numbers(numbers), absent: false })
    }

    /// Passes a flow whose `field` is one of `texts`, or where not `listed`, another.
    pub(crate) fn texts(field: Field, texts: BTreeSet<String>, listed: bool) -> Filter {
        Filter::Test(Self { field, set: Set::Texts { texts, listed }, absent: false })
    }

    /// The field it looks at.
    pub fn field(&self) -> Field {
        self.field
    }

    /// The values that pass.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Whether a flow without the value passes.
    pub fn passes_absent(&self) -> bool {
        self.absent
    }

    /// The test that passes just the other flows.
    pub(crate) fn negated(&self) -> Self {
        let set = match &self.set {
            Set::Numbers(ranges) => Set::Numbers(ranges.complement()),
            Set::Texts { texts, listed } => Set::Texts { texts: texts.clone(), listed: !listed },
            Set::Flags { masks, carried } => Set::Flags { masks: masks.clone(), carried: !carried },
        };
        Self { field: self.field, set, absent: !self.absent }
    }
}
