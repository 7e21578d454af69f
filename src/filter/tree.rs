//! The filter tree.

use std::{collections::BTreeSet, mem, ops::Not, sync::Arc};

use super::{Operand, Pattern, Ranges};
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
///
/// It may have any number of tests, nested in any way: nothing that is done with it needs a deep stack.
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

/// A test on one field, or on a number that two of them make: is its value in a set?
///
/// ```
/// use flowseek::{Field, Filter, filter};
///
/// let https = filter::dst_port().eq(443);
/// assert!(matches!(&https, Filter::Test(test) if test.field() == Some(Field::DstPort) && !test.passes_absent()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Test {
    pub(crate) operand: Operand,
    pub(crate) set: Set,
    /// Whether a flow without the value passes: only the negation of a test lets it.
    pub(crate) absent: bool,
}

/// The values that pass a test.
///
/// ```
/// use flowseek::filter::{self, Filter, Set};
///
/// let web = filter::dst_port().any_of([80, 443]);
/// let is_web = |set: &Set| matches!(set, Set::Numbers(ports) if ports.as_slice() == [(80, 80), (443, 443)]);
/// assert!(matches!(&web, Filter::Test(test) if is_web(test.set())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Set {
    /// These numbers: see [`ValueRef::Number`](crate::flow::ValueRef::Number).
    Numbers(Ranges),
    /// These texts, or all but these.
    Texts {
        /// The texts. Clones of a filter share them: that of a grant may have thousands.
        texts: Arc<BTreeSet<String>>,
        /// Whether it is these (or all but these).
        listed: bool,
    },
    /// Flags with every bit of at least one of these masks, or of none of them.
    Flags {
        /// The masks.
        masks: BTreeSet<u64>,
        /// Whether at least one is wanted (or none).
        carried: bool,
    },
    /// Names that at least one of these patterns matches, or none of them.
    Patterns {
        /// The patterns.
        patterns: BTreeSet<Pattern>,
        /// Whether at least one is to match (or none).
        matched: bool,
    },
}

/// What joins the parts of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Join {
    /// All of them.
    And,
    /// Any of them.
    Or,
    /// Not the one part.
    Not,
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
        self.joined(Join::And, other)
    }

    /// The flows that match either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(Join::Or, other)
    }

    /// One filter of the parts of both, where they are joined in this way. A longer list is never added to a shorter one,
    /// so that filters are joined in linear time from either end.
    fn joined(mut self, join: Join, mut other: Self) -> Self {
        match (self.parts_joined(join), other.parts_joined(join)) {
            (Some(parts), _) if parts.is_empty() => other,
            (Some(parts), Some(others)) if others.len() <= parts.len() => {
                parts.append(others);
                self
            }
            (Some(parts), _) => {
                parts.push(other);
                self
            }
            (None, Some(others)) if others.is_empty() => self,
            (None, _) if join == Join::And => Self::And(vec![self, other]),
            (None, _) => Self::Or(vec![self, other]),
        }
    }

    fn parts_joined(&mut self, join: Join) -> Option<&mut Vec<Self>> {
        match (self, join) {
            (Self::And(parts), Join::And) | (Self::Or(parts), Join::Or) => Some(parts),
            _ => None,
        }
    }

    /// The test that it is, which leaves one behind that passes nothing.
    pub(super) fn take_test(&mut self) -> Option<Test> {
        match self {
            Self::Test(test) => Some(test.take()),
            _ => None,
        }
    }

    /// The same filter, in which the parts of a conjunction or disjunction that look at nothing but `fields` are one
    /// part, where there are several.
    pub(crate) fn grouped(&self, fields: &[Field]) -> Self {
        let group = |filter: &Self, parts: Vec<(Self, bool)>| {
            let is_inside = match filter {
                Self::Test(test) => test.fields().iter().all(|field| fields.contains(field)),
                _ => parts.iter().all(|(_, is_inside)| *is_inside),
            };
            let (inside, outside): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, is_inside)| *is_inside);
            let filters = |parts: Vec<(Self, bool)>| parts.into_iter().map(|(filter, _)| filter).collect::<Vec<_>>();
            let (mut inside, outside) = (filters(inside), filters(outside));
            if inside.len() > 1 && !outside.is_empty() {
                inside = vec![filter.with_parts(inside)];
            }
            inside.extend(outside);
            (filter.with_parts(inside), is_inside)
        };
        self.fold(group).0
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let values = |test: &Test| match &test.set {
            Set::Numbers(ranges) => size_of_val(ranges.as_slice()),
            Set::Texts { texts, .. } => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
            Set::Flags { masks, .. } => masks.len() * size_of::<u64>(),
            Set::Patterns { patterns, .. } => patterns.iter().map(Pattern::memory).sum(),
        };
        self.tests().map(|test| values(test) + size_of::<Self>()).sum()
    }
}

/// The flows that do not match: among them those whose values are absent.
impl Not for Filter {
    type Output = Self;

    fn not(mut self) -> Self {
        match &mut self {
            Self::Not(filter) => mem::replace(filter, Self::all()),
            _ => Self::Not(Box::new(self)),
        }
    }
}

impl Test {
    /// Passes a flow whose value is in `set`.
    pub(crate) fn new(operand: Operand, set: Set) -> Self {
        Self { operand, set, absent: false }
    }

    /// Passes a flow whose `field` is in `numbers`.
    pub(crate) fn numbers(field: Field, numbers: Ranges) -> Filter {
        Filter::Test(Self::new(Operand::Field(field), Set::Numbers(numbers)))
    }

    /// Passes a flow whose `field` is one of `texts`, or where not `listed`, another.
    pub(crate) fn texts(field: Field, texts: BTreeSet<String>, listed: bool) -> Filter {
        Filter::Test(Self::new(Operand::Field(field), Set::Texts { texts: Arc::new(texts), listed }))
    }

    /// What it looks at.
    pub fn operand(&self) -> Operand {
        self.operand
    }

    /// The field it looks at, where it is one.
    pub fn field(&self) -> Option<Field> {
        self.operand.field()
    }

    /// The fields it looks at.
    pub fn fields(&self) -> Vec<Field> {
        self.operand.fields()
    }

    /// The values that pass.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Whether a flow without the value passes.
    pub fn passes_absent(&self) -> bool {
        self.absent
    }

    /// The test, which leaves one behind that passes nothing.
    pub(super) fn take(&mut self) -> Self {
        let set = mem::replace(&mut self.set, Set::Numbers(Ranges::default()));
        Self { operand: self.operand, set, absent: mem::take(&mut self.absent) }
    }

    /// The test that passes none of the flows without the value.
    pub(crate) fn of_present(self) -> Self {
        Self { absent: false, ..self }
    }

    /// The test that passes just the other flows.
    pub(crate) fn negated(&self) -> Self {
        let set = match &self.set {
            Set::Numbers(ranges) => Set::Numbers(ranges.complement()),
            Set::Texts { texts, listed } => Set::Texts { texts: Arc::clone(texts), listed: !listed },
            Set::Flags { masks, carried } => Set::Flags { masks: masks.clone(), carried: !carried },
            Set::Patterns { patterns, matched } => Set::Patterns { patterns: patterns.clone(), matched: !matched },
        };
        Self { operand: self.operand, set, absent: !self.absent }
    }
}
