//! The meaning of a filter for DataFusion: one expression of built-in nodes, so that a plan that holds it can travel.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{Case, Expr, Like, cast, lit, or},
    prelude::col,
};

use crate::{
    filter::{Filter, Operand, Pattern, Ranges, Set, Test},
    flow::{Field, Timestamp, Value, columns::ValueType},
    order::{Direction, Order, Position, Side, SortKey},
};

/// An expression is nested at most so deep before it becomes a list of decisions. DataFusion walks expressions by
/// recursion.
const DEEPEST: usize = 48;

/// A normal filter as an expression: true for just the flows that match, else false or null.
///
/// It is at most some hundred levels deep, however the filter is nested.
pub(crate) fn filter_expr(filter: &Filter) -> Expr {
    compiled(filter, DEEPEST).into_nested().expr
}

/// A filter whose expression becomes a list of decisions where it is deeper than `deepest`.
fn compiled(filter: &Filter, deepest: usize) -> Compiled {
    filter.fold(|part, parts: Vec<Compiled>| match part {
        Filter::Test(test) => Compiled::plain(test_expr(test), 1),
        Filter::And(_) => Compiled::joined(parts, true, deepest),
        Filter::Or(_) => Compiled::joined(parts, false, deepest),
        // A normal filter has none; were it one, null must count as false below the negation.
        Filter::Not(_) => {
            let Nested { expr, depth } = Compiled::joined(parts, true, deepest).into_nested();
            Compiled::plain(Nested { expr: expr.is_not_true(), depth: depth + 1 }, 1)
        }
    })
}

/// An expression, and how deep it is.
struct Nested {
    expr: Expr,
    depth: usize,
}

impl From<Expr> for Nested {
    /// Of a comparison: of a column, or of some bits of it, with a value.
    fn from(expr: Expr) -> Self {
        Self { expr, depth: 3 }
    }
}

/// A part of a filter as an expression that can grow without becoming deeper.
///
/// In `a and (b or (c and d))`, a flow without `a` is turned away, of the others one with `b` is let in, and so on: that
/// is a list of decisions, `CASE WHEN a IS NOT TRUE THEN false WHEN b THEN true ... ELSE d END`, as deep as its deepest
/// condition. A filter that is nested too deep for `AND` and `OR` becomes such a list along its heaviest parts; each of
/// the others has less than half of its tests, so that lists are nested in lists only a few times.
struct Compiled {
    /// Conditions and what each decides, the last one first.
    decisions: Vec<(Expr, bool)>,
    /// What the flows must pass that no condition decides.
    last: Nested,
    tests: usize,
}

impl Compiled {
    fn plain(last: Nested, tests: usize) -> Self {
        Self { decisions: Vec::new(), last, tests }
    }

    /// All parts, or where not `all` any.
    fn joined(mut parts: Vec<Self>, all: bool, deepest: usize) -> Self {
        let tests = parts.iter().map(|part| part.tests).sum();
        let heaviest = (0..parts.len()).max_by_key(|place| parts.get(*place).map(|part| part.tests));
        let is_list = parts.iter().any(|part| !part.decisions.is_empty());
        let depth = parts.iter().map(|part| part.last.depth).max().unwrap_or(0) + parts.len().max(1).ilog2() as usize;
        let Some(heaviest) = heaviest.filter(|_| parts.len() > 1 && (is_list || depth > deepest)) else {
            return match parts.pop() {
                Some(only) if parts.is_empty() => only,
                last => Self::plain(joined(parts.into_iter().chain(last).map(Self::into_nested), all), tests),
            };
        };
        let mut list = parts.swap_remove(heaviest);
        let others = joined(parts.into_iter().map(Self::into_nested), all);
        let condition = if all { others.expr.is_not_true() } else { others.expr };
        list.decisions.push((condition, !all));
        list.last.depth = list.last.depth.max(others.depth + 1);
        Self { tests, ..list }
    }

    fn into_nested(self) -> Nested {
        if self.decisions.is_empty() {
            return self.last;
        }
        let decisions = self.decisions.into_iter().rev();
        let when_then_expr = decisions.map(|(when, then)| (Box::new(when), Box::new(lit(then)))).collect();
        let list = Case { expr: None, when_then_expr, else_expr: Some(Box::new(self.last.expr)) };
        Nested { expr: Expr::Case(list), depth: self.last.depth + 1 }
    }
}

/// The flows that are still to come after a position of an order.
pub(crate) fn after_expr(order: &Order, position: &Position) -> Expr {
    let parts = order.keys().iter().zip(&position.key).rev();
    parts.fold(lit(position.side == Side::Before), |rest, (key, value)| {
        let column = || col(key.field.name());
        let Some(value) = value else {
            // Absent values are last: nothing of this key comes after them.
            return column().is_null().and(rest);
        };
        let value = || Expr::Literal(scalar(key.field, value), None);
        let beyond = match key.direction {
            Direction::Ascending => column().gt(value()),
            Direction::Descending => column().lt(value()),
        };
        let later = if key.field.always_present() { beyond } else { beyond.or(column().is_null()) };
        later.or(column().eq(value()).and(rest))
    })
}

/// The flows whose value of a sort key does not come before `value`, or where `reversed` does not come after it.
pub(crate) fn lead_expr(key: SortKey, value: Option<&Value>, reversed: bool) -> Expr {
    let column = || col(key.field.name());
    // Absent values are last.
    let Some(value) = value else {
        return if reversed { lit(true) } else { column().is_null() };
    };
    let value = Expr::Literal(scalar(key.field, value), None);
    let within = match (key.direction, reversed) {
        (Direction::Ascending, false) | (Direction::Descending, true) => column().gt_eq(value),
        (Direction::Descending, false) | (Direction::Ascending, true) => column().lt_eq(value),
    };
    if reversed || key.field.always_present() { within } else { within.or(column().is_null()) }
}

/// All parts, or where not `all` any: in halves and not in a chain, the shallowest first, so that the whole is hardly deeper
/// than the deepest part.
fn joined(parts: impl IntoIterator<Item = impl Into<Nested>>, all: bool) -> Nested {
    let mut levels: BTreeMap<usize, Vec<Expr>> = BTreeMap::new();
    for Nested { expr, depth } in parts.into_iter().map(Into::into) {
        levels.entry(depth).or_default().push(expr);
    }
    while let Some((depth, level)) = levels.pop_first() {
        let mut level = level.into_iter();
        if let (true, 1, Some(expr)) = (levels.is_empty(), level.len(), level.as_slice().first()) {
            return Nested { expr: expr.clone(), depth };
        }
        let pairs = levels.entry(depth + 1).or_default();
        while let Some(left) = level.next() {
            pairs.push(match level.next() {
                Some(right) if all => left.and(right),
                Some(right) => or(left, right),
                None => left,
            });
        }
    }
    lit(all).into()
}

fn test_expr(test: &Test) -> Nested {
    let Some(field) = test.field() else { return derived_expr(test) };
    let column = || col(field.name());
    let present = match test.set() {
        Set::Numbers(ranges) => numbers_expr(field, ranges),
        Set::Texts { texts, listed } => {
            let list: Vec<Expr> = texts.iter().map(|text| lit(text.as_str())).collect();
            let expr = match (<[Expr; 1]>::try_from(list), listed) {
                (Ok([text]), true) => column().eq(text),
                (Ok([text]), false) => column().not_eq(text),
                // Of an empty list, the negation is every name that is not absent.
                (Err(list), listed) if list.is_empty() => {
                    if *listed {
                        lit(false)
                    } else {
                        column().is_not_null()
                    }
                }
                (Err(list), listed) => column().in_list(list, !listed),
            };
            expr.into()
        }
        Set::Flags { masks, carried } => {
            let flags = |mask: u64| Expr::Literal(scalar(field, &Value::Number(mask.into())), None);
            let carries = |mask: &u64| (column() & flags(*mask)).eq(flags(*mask));
            let lacks = |mask: &u64| (column() & flags(*mask)).not_eq(flags(*mask));
            match (carried, masks.is_empty()) {
                (false, true) => column().is_not_null().into(),
                (true, _) => joined(masks.iter().map(carries), false),
                (false, false) => joined(masks.iter().map(lacks), true),
            }
        }
        Set::Patterns { patterns, matched } => {
            let like = |pattern: &Pattern| {
                let (expr, pattern) = (Box::new(column()), Box::new(lit(pattern.like())));
                Expr::Like(Like::new(!matched, expr, pattern, None, false))
            };
            match patterns.is_empty() {
                true if *matched => lit(false).into(),
                true => column().is_not_null().into(),
                false => joined(patterns.iter().map(like), !matched),
            }
        }
    };
    if test.passes_absent() { joined([present, column().is_null().into()], false) } else { present }
}

/// A test on a number that two fields make.
fn derived_expr(test: &Test) -> Nested {
    let (value, literal): (Expr, fn(u128) -> ScalarValue) = match test.operand() {
        Operand::Duration => (col(Field::EndTime.name()) - col(Field::StartTime.name()), milliseconds),
        operand => (sum_of(&operand.fields()), decimal),
    };
    let Set::Numbers(ranges) = test.set() else { return lit(false).into() };
    let literal = |number| Expr::Literal(literal(number), None);
    let within = |(first, last): &(u128, u128)| {
        // An end before the start is a duration of 0.
        let low = (*first > 0).then(|| value.clone().gt_eq(literal(*first)));
        let high = (*last < test.operand().greatest()).then(|| value.clone().lt_eq(literal(*last)));
        match (low, high) {
            (Some(low), Some(high)) => low.and(high),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => value.clone().is_not_null(),
        }
    };
    let mut parts: Vec<Nested> =
        ranges.as_slice().iter().map(|range| Nested { expr: within(range), depth: DERIVED_DEPTH }).collect();
    if test.passes_absent() {
        parts.push(Nested { expr: value.clone().is_null(), depth: DERIVED_DEPTH });
    }
    joined(parts, false)
}

/// How deep an expression is that makes a number of two columns and compares it.
const DERIVED_DEPTH: usize = 6;
/// Decimal digits that hold every sum.
const DIGITS: u8 = 38;

/// The sum of the columns that are not absent, in a type that holds it.
fn sum_of(fields: &[Field]) -> Expr {
    let mut columns = fields.iter().map(|field| cast(col(field.name()), DataType::Decimal128(DIGITS, 0)));
    let first = columns.next().unwrap_or_else(|| lit(ScalarValue::Null));
    columns.fold(first, |sum, column| {
        let when_then_expr = vec![
            (Box::new(sum.clone().is_null()), Box::new(column.clone())),
            (Box::new(column.clone().is_null()), Box::new(sum.clone())),
        ];
        Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(Box::new(sum + column)) })
    })
}

fn decimal(number: u128) -> ScalarValue {
    ScalarValue::Decimal128(i128::try_from(number).ok(), DIGITS, 0)
}

fn milliseconds(number: u128) -> ScalarValue {
    ScalarValue::DurationMillisecond(Some(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn numbers_expr(field: Field, ranges: &Ranges) -> Nested {
    let greatest = field.greatest();
    let within: Ranges = [(0, greatest)].into_iter().collect();
    let gaps = ranges.complement().intersection(&within);
    if gaps.is_empty() {
        return col(field.name()).is_not_null().into();
    }
    // Whichever is shorter: what is in the set, or what is not.
    if gaps.as_slice().len() < ranges.as_slice().len() {
        return listed(field, &gaps, true);
    }
    listed(field, ranges, false)
}

/// The values in `ranges`, or where `negated` the others.
fn listed(field: Field, ranges: &Ranges, negated: bool) -> Nested {
    let column = || col(field.name());
    let value = |number: u128| Expr::Literal(scalar(field, &Value::Number(number)), None);
    let (single, wide): (Vec<_>, Vec<_>) = ranges.as_slice().iter().partition(|(first, last)| first == last);
    let mut parts: Vec<Nested> = Vec::with_capacity(wide.len() + 1);
    match single.as_slice() {
        [] => {}
        [(number, _)] if negated => parts.push(column().not_eq(value(*number)).into()),
        [(number, _)] => parts.push(column().eq(value(*number)).into()),
        several => {
            let values = several.iter().map(|(number, _)| value(*number)).collect();
            parts.push(column().in_list(values, negated).into());
        }
    }
    for (first, last) in wide {
        let low = (first != 0).then_some(first);
        let high = (last < field.greatest()).then_some(last);
        let expr = match (low, high, negated) {
            (Some(low), Some(high), false) => column().gt_eq(value(low)).and(column().lt_eq(value(high))),
            (Some(low), Some(high), true) => column().lt(value(low)).or(column().gt(value(high))),
            (Some(low), None, false) => column().gt_eq(value(low)),
            (Some(low), None, true) => column().lt(value(low)),
            (None, Some(high), false) => column().lt_eq(value(high)),
            (None, Some(high), true) => column().gt(value(high)),
            (None, None, false) => column().is_not_null(),
            (None, None, true) => lit(false),
        };
        parts.push(expr.into());
    }
    joined(parts, negated)
}

/// A value as a literal of its column's type: of another, a cast would land on the column.
fn scalar(field: Field, value: &Value) -> ScalarValue {
    let number = match value {
        Value::Text(text) => return ScalarValue::Utf8(Some(text.clone())),
        Value::Number(number) => (*number).min(field.greatest()),
    };
    // `greatest` has made the casts exact.
    #[expect(clippy::cast_possible_truncation, reason = "at most the field's greatest value")]
    match field.column().values {
        ValueType::Time => {
            ScalarValue::TimestampMillisecond(Some(Timestamp::ordinal_millis(number as u64)), Some(Arc::from("UTC")))
        }
        ValueType::Protocol | ValueType::TcpFlags => ScalarValue::UInt8(Some(number as u8)),
        ValueType::Port => ScalarValue::UInt16(Some(number as u16)),
        ValueType::Id | ValueType::Bytes | ValueType::Packets | ValueType::FlowFlags => {
            ScalarValue::UInt64(Some(number as u64))
        }
        ValueType::Address | ValueType::Name | ValueType::Meta => {
            ScalarValue::FixedSizeBinary(16, Some(number.to_be_bytes().to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        filter::sample::{narrow, wide},
        flow::sample,
        order::sample::order,
        schema::sample::{batch, passes},
    };

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn an_expression_is_true_for_just_the_flows_that_match(
            filters in vec(prop_oneof![narrow(), wide()], 4),
            flows in sample::flows(12),
        ) {
            let (batch, flows) = batch(&flows);
            for filter in filters.iter().map(Filter::normal) {
                let matching: Vec<bool> = flows.iter().map(|flow| filter.matches(flow)).collect();
                prop_assert_eq!(passes(&filter_expr(&filter), &batch), matching.clone(), "{}", filter);
                // So is the list of decisions that it would be, were it nested deep.
                prop_assert_eq!(passes(&compiled(&filter, 0).into_nested().expr, &batch), matching, "{}", filter);
            }
        }

        #[test]
        fn what_is_to_come_after_a_position_is_what_an_order_says(order in order(), flows in sample::flows(10)) {
            let (batch, flows) = batch(&flows);
            for at in &flows {
                let key = order.key(at);
                for position in [Position::after(key.clone()), Position::before(key)] {
                    let ahead: Vec<bool> = flows.iter().map(|flow| position.precedes(&order, &order.key(flow))).collect();
                    prop_assert_eq!(passes(&after_expr(&order, &position), &batch), ahead.clone());
                    // Its first key alone lets in all of them; and reversed, all that come before.
                    let Some((lead, value)) = order.keys().iter().zip(&position.key).next() else { continue };
                    let lets_in = passes(&lead_expr(*lead, value.as_ref(), false), &batch);
                    prop_assert!(lets_in.iter().zip(&ahead).all(|(lets_in, ahead)| *lets_in || !ahead));
                    let lets_in = passes(&lead_expr(*lead, value.as_ref(), true), &batch);
                    prop_assert!(lets_in.iter().zip(&ahead).all(|(lets_in, ahead)| *lets_in || *ahead));
                }
            }
        }
    }
}
