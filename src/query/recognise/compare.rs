//! An expression that compares one column with literals.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{
        BinaryExpr, Cast, Expr, Operator, TryCast,
        expr::{Between, InList},
    },
};

use super::{
    atom::{Atom, absence, field},
    line::Line,
    table,
};
use crate::{
    filter::{Filter, Set},
    flow::{Field, Kind},
};

/// For which flows an expression of one column is true, and for which it is false; `None` where it is of another form.
pub(super) fn comparing(expr: &Expr) -> Option<Atom> {
    let atom = match expr {
        Expr::IsNull(operand) => is_null(operand),
        Expr::IsNotNull(operand) => is_null(operand).map(Atom::negated),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            comparison(left, *op, right).or_else(|| carries(left, *op, right))
        }
        Expr::Between(between) => within(between),
        Expr::InList(list) => listed(list),
        _ => None,
    };
    atom.or_else(|| table::atom(expr))
}

/// A column as an expression compares it.
enum Operand {
    Line(Line),
    Text(Field),
}

impl Operand {
    fn of(expr: &Expr) -> Option<Self> {
        Line::of(expr).map(Self::Line).or_else(|| text_field(expr).map(Self::Text))
    }

    fn field(&self) -> Field {
        match self {
            Self::Line(line) => line.field,
            Self::Text(field) => *field,
        }
    }

    /// The values that are equal to one of `literals`, none of which is null.
    fn equal(&self, literals: &[ScalarValue]) -> Option<Set> {
        match self {
            Self::Line(line) => {
                let equal = literals.iter().map(|literal| line.split(literal).map(|split| split.equal()));
                Some(Set::Numbers(equal.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()))
            }
            Self::Text(_) => {
                let texts = literals.iter().map(|literal| literal.try_as_str().flatten().map(str::to_owned));
                Some(Set::Texts { texts: Arc::new(texts.collect::<Option<BTreeSet<_>>>()?), listed: true })
            }
        }
    }
}

/// The column of names that an expression is, be it as another type of texts.
fn text_field(expr: &Expr) -> Option<Field> {
    match expr {
        Expr::Column(column) => field(column).filter(|field| field.kind() == Kind::Text),
        Expr::Alias(alias) => text_field(&alias.expr),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            text_field(expr).filter(|_| is_text)
        }
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => literal(&alias.expr),
        Expr::Cast(Cast { expr, field }) => literal(expr)?.cast_to(field.data_type()).ok(),
        _ => None,
    }
}

/// `dst_port IS NULL`
fn is_null(expr: &Expr) -> Option<Atom> {
    Operand::of(expr).map(|operand| absence(operand.field()))
}

/// `dst_port >= 1024`, `443 = dst_port`
fn comparison(left: &Expr, operator: Operator, right: &Expr) -> Option<Atom> {
    let (operand, operator, literal) = match (Operand::of(left), literal(right)) {
        (Some(operand), Some(literal)) => (operand, operator, literal),
        _ => (Operand::of(right)?, operator.swap()?, literal(left)?),
    };
    let field = operand.field();
    let is_distinct = match operator {
        Operator::IsDistinctFrom => Some(true),
        Operator::IsNotDistinctFrom => Some(false),
        _ => None,
    };
    if literal.is_null() {
        return Some(match is_distinct {
            Some(true) => absence(field).negated(),
            Some(false) => absence(field),
            None => Atom::null(),
        });
    }
    let set = match (operator, &operand) {
        (Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom, _) => {
            operand.equal(&[literal])?
        }
        (Operator::Lt | Operator::GtEq, Operand::Line(line)) => Set::Numbers(line.split(&literal)?.less()),
        (Operator::Gt | Operator::LtEq, Operand::Line(line)) => Set::Numbers(line.split(&literal)?.greater()),
        _ => return None,
    };
    let Atom { yes, no } = Atom::splitting(field, set);
    Some(match (operator, is_distinct) {
        // Never null.
        (_, Some(true)) => Atom { no: yes.clone(), yes: !yes },
        (_, Some(false)) => Atom { no: !yes.clone(), yes },
        (Operator::NotEq | Operator::GtEq | Operator::LtEq, None) => Atom { yes: no, no: yes },
        _ => Atom { yes, no },
    })
}

/// `flow_flags & 3 = 3`, and likewise `!=`: of columns with so many values that they cannot be tried one by one.
fn carries(left: &Expr, operator: Operator, right: &Expr) -> Option<Atom> {
    let Expr::BinaryExpr(BinaryExpr { left: column, op: Operator::BitwiseAnd, right: mask }) = left else {
        return None;
    };
    let Expr::Column(column) = column.as_ref() else { return None };
    let field = field(column).filter(|field| field.is_flags())?;
    match (literal(mask)?, literal(right)?) {
        (ScalarValue::UInt64(Some(mask)), ScalarValue::UInt64(Some(flags))) if mask == flags => {
            let carried = match operator {
                Operator::Eq => true,
                Operator::NotEq => false,
                _ => return None,
            };
            Some(Atom::splitting(field, Set::Flags { masks: BTreeSet::from([mask]), carried }))
        }
        _ => None,
    }
}

/// `dst_port BETWEEN 8000 AND 8999`
fn within(between: &Between) -> Option<Atom> {
    let low = comparison(&between.expr, Operator::GtEq, &between.low)?;
    let high = comparison(&between.expr, Operator::LtEq, &between.high)?;
    let within = Atom { yes: low.yes.and(high.yes), no: low.no.or(high.no) };
    Some(if between.negated { within.negated() } else { within })
}

/// `dst_port IN (80, 443)`
fn listed(list: &InList) -> Option<Atom> {
    let operand = Operand::of(&list.expr)?;
    let literals: Vec<ScalarValue> = list.list.iter().map(literal).collect::<Option<_>>()?;
    let (nulls, literals): (Vec<_>, Vec<_>) = literals.into_iter().partition(ScalarValue::is_null);
    let mut atom = Atom::splitting(operand.field(), operand.equal(&literals)?);
    if !nulls.is_empty() {
        // What is not among the others might be the one that is unknown.
        atom.no = Filter::nothing();
    }
    Some(if list.negated { atom.negated() } else { atom })
}
