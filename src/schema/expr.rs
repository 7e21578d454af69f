//! The meaning of a filter for DataFusion: one expression of built-in nodes, so that a plan that holds it can travel.

use std::sync::Arc;

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, lit, or},
    prelude::col,
};

use crate::{
    filter::{Filter, Ranges, Set, Test},
    flow::{Field, Timestamp, Value},
    order::{Direction, Order, Position, Side, SortKey},
};

/// A normal filter as an expression: true for just the flows that match, else false or null.
pub(crate) fn filter_expr(filter: &Filter) -> Expr {
    match filter {
        Filter::Test(test) => test_expr(test),
        Filter::And(filters) => joined(filters.iter().map(filter_expr), Expr::and, true),
        Filter::Or(filters) => joined(filters.iter().map(filter_expr), or, false),
        // A normal filter has none; were it one, null must count as false below the negation.
        Filter::Not(filter) => filter_expr(filter).is_not_true(),
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

fn joined(parts: impl Iterator<Item = Expr>, join: fn(Expr, Expr) -> Expr, empty: bool) -> Expr {
    let mut parts: Vec<Expr> = parts.collect();
    // Halves, not a chain: an expression over thousands of parts must not be thousands deep.
    while parts.len() > 1 {
        let mut pairs = std::mem::take(&mut parts).into_iter();
        while let Some(left) = pairs.next() {
            parts.push(match pairs.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
    }
    parts.pop().unwrap_or_else(|| lit(empty))
}

fn test_expr(test: &Test) -> Expr {
    let column = || col(test.field.name());
    let present = match &test.set {
        Set::Numbers(ranges) => numbers_expr(test.field, ranges),
        Set::Texts { texts, listed } => {
            let list: Vec<Expr> = texts.iter().map(|text| lit(text.as_str())).collect();
            match (<[Expr; 1]>::try_from(list), listed) {
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
            }
        }
        Set::Flags { masks, carried } => {
            let carries = |mask: &u8| (column() & lit(*mask)).eq(lit(*mask));
            let lacks = |mask: &u8| (column() & lit(*mask)).not_eq(lit(*mask));
            match (carried, masks.is_empty()) {
                (false, true) => column().is_not_null(),
                (true, _) => joined(masks.iter().map(carries), or, false),
                (false, false) => joined(masks.iter().map(lacks), Expr::and, true),
            }
        }
    };
    if test.absent { present.or(column().is_null()) } else { present }
}

fn numbers_expr(field: Field, ranges: &Ranges) -> Expr {
    let greatest = field.greatest();
    let within: Ranges = [(0, greatest)].into_iter().collect();
    let gaps = ranges.complement().intersection(&within);
    if gaps.is_empty() {
        return col(field.name()).is_not_null();
    }
    // Whichever is shorter: what is in the set, or what is not.
    if gaps.as_slice().len() < ranges.as_slice().len() {
        return listed(field, &gaps, true);
    }
    listed(field, ranges, false)
}

/// The values in `ranges`, or where `negated` the others.
fn listed(field: Field, ranges: &Ranges, negated: bool) -> Expr {
    let column = || col(field.name());
    let value = |number: u128| Expr::Literal(scalar(field, &Value::Number(number)), None);
    let (single, wide): (Vec<_>, Vec<_>) = ranges.as_slice().iter().partition(|(first, last)| first == last);
    let mut parts: Vec<Expr> = Vec::with_capacity(wide.len() + 1);
    match single.as_slice() {
        [] => {}
        [(number, _)] if negated => parts.push(column().not_eq(value(*number))),
        [(number, _)] => parts.push(column().eq(value(*number))),
        several => parts.push(column().in_list(several.iter().map(|(number, _)| value(*number)).collect(), negated)),
    }
    for (first, last) in wide {
        let low = (first != 0).then_some(first);
        let high = (last < field.greatest()).then_some(last);
        parts.push(match (low, high, negated) {
            (Some(low), Some(high), false) => column().gt_eq(value(low)).and(column().lt_eq(value(high))),
            (Some(low), Some(high), true) => column().lt(value(low)).or(column().gt(value(high))),
            (Some(low), None, false) => column().gt_eq(value(low)),
            (Some(low), None, true) => column().lt(value(low)),
            (None, Some(high), false) => column().lt_eq(value(high)),
            (None, Some(high), true) => column().gt(value(high)),
            (None, None, false) => column().is_not_null(),
            (None, None, true) => lit(false),
        });
    }
    if negated { joined(parts.into_iter(), Expr::and, true) } else { joined(parts.into_iter(), or, false) }
}

/// A value as a literal of its column's type: of another, a cast would land on the column.
fn scalar(field: Field, value: &Value) -> ScalarValue {
    let number = match value {
        Value::Text(text) => return ScalarValue::Utf8(Some(text.clone())),
        Value::Number(number) => (*number).min(field.greatest()),
    };
    // `greatest` has made the casts exact.
    #[expect(clippy::cast_possible_truncation, reason = "at most the field's greatest value")]
    match field {
        Field::StartTime | Field::EndTime => {
            ScalarValue::TimestampMillisecond(Some(Timestamp::ordinal_millis(number as u64)), Some(Arc::from("UTC")))
        }
        Field::Protocol | Field::TcpFlags => ScalarValue::UInt8(Some(number as u8)),
        Field::SrcPort | Field::DstPort => ScalarValue::UInt16(Some(number as u16)),
        _ if field.greatest() == u128::from(u64::MAX) => ScalarValue::UInt64(Some(number as u64)),
        _ => ScalarValue::FixedSizeBinary(16, Some(number.to_be_bytes().to_vec())),
    }
}
