//! The filter that an expression of DataFusion means: the inverse of [`filter_expr`](crate::schema::filter_expr).
//!
//! An expression is true, false or null for a flow, and a condition lets in only those for which it is true. So two
//! filters are asked of an expression: when it is true, and when it is false. `NOT` exchanges them, `a AND b` is false when
//! either is, and null is what neither of them passes: `dst_port = 443` is false for all other ports, but not where the
//! port is absent.

mod atom;
mod compare;
mod implied;
mod line;
mod table;

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Expr, Operator},
};

pub(super) use self::implied::implied;
use self::{atom::Atom, compare::comparing};
use crate::filter::Filter;

/// The normal filter that passes just the flows for which `expr` is true; `None` where no filter does, or where that is
/// not known.
///
/// Columns are known by their names alone: `expr` must be of one table of flows, and its types must be equal already,
/// as they are when DataFusion asks a table.
pub(super) fn recognise(expr: &Expr) -> Option<Filter> {
    let mut left = vec![Step::Look { expr, truth: true }];
    let mut made = Vec::new();
    while let Some(step) = left.pop() {
        match step {
            Step::Look { expr, truth } => left.extend(look(expr, truth, &mut made)?),
            Step::Not => {
                let filter: Filter = made.pop()?;
                made.push(!filter);
            }
            Step::Join { all } => {
                let (second, first) = (made.pop()?, made.pop()?);
                made.push(if all { first.and(second) } else { first.or(second) });
            }
        }
    }
    made.pop().map(|filter| filter.normal())
}

/// What is still to be done, the next step last. Each makes a filter of those that were made last.
enum Step<'e> {
    /// Make the filter of the flows for which `expr` is true, or where not `truth` false.
    Look { expr: &'e Expr, truth: bool },
    /// Negate the filter.
    Not,
    /// Join both filters: into one of the flows that pass `all`, or either.
    Join { all: bool },
}

/// Makes the filter of an expression, or tells the steps that make it.
fn look<'e>(expr: &'e Expr, truth: bool, made: &mut Vec<Filter>) -> Option<Vec<Step<'e>>> {
    // Whether the operand is true, or where not `of` false, is itself never null.
    let is = |expr, of, holds: bool| {
        let look = Step::Look { expr, truth: of };
        if holds == truth { vec![look] } else { vec![Step::Not, look] }
    };
    Some(match expr {
        Expr::Alias(alias) => vec![Step::Look { expr: &alias.expr, truth }],
        Expr::Not(operand) => vec![Step::Look { expr: operand, truth: !truth }],
        Expr::IsTrue(operand) => is(operand, true, true),
        Expr::IsNotTrue(operand) => is(operand, true, false),
        Expr::IsFalse(operand) => is(operand, false, true),
        Expr::IsNotFalse(operand) => is(operand, false, false),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let join = Step::Join { all: (*op == Operator::And) == truth };
            vec![join, Step::Look { expr: right, truth }, Step::Look { expr: left, truth }]
        }
        Expr::Literal(ScalarValue::Boolean(value), _) => {
            made.push(if *value == Some(truth) { Filter::all() } else { Filter::nothing() });
            Vec::new()
        }
        _ => {
            if let Some(steps) = decisions(expr, truth) {
                return Some(steps);
            }
            let Atom { yes, no } = comparing(expr)?;
            made.push(if truth { yes } else { no });
            Vec::new()
        }
    })
}

/// A list of decisions: `CASE WHEN a THEN true WHEN b THEN false ELSE c END` is true where `a or (not b and c)` is. A
/// condition that is null decides nothing.
fn decisions(expr: &Expr, truth: bool) -> Option<Vec<Step<'_>>> {
    let Expr::Case(case @ Case { expr: None, .. }) = expr else { return None };
    let decides = case.when_then_expr.iter().map(|(_, then)| match then.as_ref() {
        Expr::Literal(ScalarValue::Boolean(then), _) => Some(*then == Some(truth)),
        Expr::Literal(ScalarValue::Null, _) => Some(false),
        _ => None,
    });
    let decides: Vec<bool> = decides.collect::<Option<_>>()?;
    let mut steps: Vec<Step<'_>> = decides.iter().map(|lets_in| Step::Join { all: !lets_in }).collect();
    steps.push(Step::Look { expr: case.else_expr.as_deref().unwrap_or(&NULL), truth });
    for ((when, _), lets_in) in case.when_then_expr.iter().zip(&decides).rev() {
        steps.extend((!lets_in).then_some(Step::Not));
        steps.push(Step::Look { expr: when, truth: true });
    }
    Some(steps)
}

/// What a list of decisions without `ELSE` answers.
static NULL: Expr = Expr::Literal(ScalarValue::Boolean(None), None);

#[cfg(test)]
mod laws;
#[cfg(test)]
#[cfg(feature = "sql")]
mod sql;
