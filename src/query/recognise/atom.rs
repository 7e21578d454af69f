//! What an expression that looks at one column is true and false for.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::common::Column;

use crate::{
    filter::{Filter, Operand, Ranges, Set, Test},
    flow::{Field, Kind},
};

/// For which flows an expression is true, and for which it is false.
pub(super) struct Atom {
    pub(super) yes: Filter,
    pub(super) no: Filter,
}

impl Atom {
    /// Of a field: true for these values, and false for the others.
    pub(super) fn splitting(field: Field, set: Set) -> Self {
        let test = Test::new(Operand::Field(field), set);
        let others = Test { absent: false, ..test.negated() };
        Self { yes: Filter::Test(test), no: Filter::Test(others) }
    }

    pub(super) fn null() -> Self {
        Self { yes: Filter::nothing(), no: Filter::nothing() }
    }

    pub(super) fn negated(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

/// The field of a column.
pub(super) fn field(column: &Column) -> Option<Field> {
    Field::all().find(|field| field.name() == column.name)
}

/// That a value is absent.
pub(super) fn absence(field: Field) -> Atom {
    let any = match field.kind() {
        Kind::Text => Set::Texts { texts: Arc::default(), listed: false },
        Kind::Number if field.is_flags() => Set::Flags { masks: BTreeSet::new(), carried: false },
        _ => Set::Numbers(Ranges::full()),
    };
    let present = Test::new(Operand::Field(field), any);
    Atom { yes: Filter::Test(present.negated()), no: Filter::Test(present) }
}
