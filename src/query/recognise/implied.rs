//! What a filter tells of a condition that a plan evaluates.

use std::sync::Arc;

use datafusion::{
    common::Column as Named,
    logical_expr::{
        BinaryExpr as Binary, Expr, Operator,
        expr::{Cast, InList},
    },
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr,
            Literal, NotExpr,
        },
    },
};

use super::recognise;
use crate::filter::Filter;

/// Conditions are walked by recursion, so deep at most. What lies deeper tells nothing.
const DEEPEST: usize = 64;

/// A normal filter that every flow passes for which `expr` is true. It may let in more: what no filter tells is left out.
///
/// For example, where a join has found its keys on one side, the other side is to pass `dst_ip >= a AND dst_ip <= b AND
/// dst_ip IN (..)`, and that is the filter. Where they are too many for a list, it is `dst_ip >= a AND dst_ip <= b AND
/// hash_lookup(dst_ip)`, and the filter is the range. With several partitions, it is a list of decisions by partition:
/// `CASE hash % 2 WHEN 0 THEN .. WHEN 1 THEN .. END`, and the filter passes what any of them lets in.
pub(in crate::query) fn implied(expr: &Arc<dyn PhysicalExpr>) -> Filter {
    weakened(expr, DEEPEST).normal()
}

fn weakened(expr: &Arc<dyn PhysicalExpr>, depth: usize) -> Filter {
    let Some(depth) = depth.checked_sub(1) else { return Filter::all() };
    if let Some(dynamic) = expr.downcast_ref::<DynamicFilterPhysicalExpr>() {
        return dynamic.current().map_or_else(|_| Filter::all(), |current| weakened(&current, depth));
    }
    if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        let branches = case.when_then_expr().iter().map(|(_, then)| then).chain(case.else_expr());
        return branches.map(|branch| weakened(branch, depth)).reduce(Filter::or).unwrap_or_else(Filter::nothing);
    }
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        let both = || (weakened(binary.left(), depth), weakened(binary.right(), depth));
        match binary.op() {
            Operator::And => {
                let (left, right) = both();
                return left.and(right);
            }
            Operator::Or => {
                let (left, right) = both();
                return left.or(right);
            }
            _ => {}
        }
    }
    logical(expr, depth).and_then(|expr| recognise(&expr)).unwrap_or_else(Filter::all)
}

/// The same as an expression of a query, where it is a plain one.
fn logical(expr: &Arc<dyn PhysicalExpr>, depth: usize) -> Option<Expr> {
    let depth = depth.checked_sub(1)?;
    let operand = |expr| logical(expr, depth).map(Box::new);
    if let Some(column) = expr.downcast_ref::<Column>() {
        return Some(Expr::Column(Named::from_name(column.name())));
    }
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return Some(Expr::Literal(literal.value().clone(), None));
    }
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return Some(Expr::BinaryExpr(Binary::new(operand(binary.left())?, *binary.op(), operand(binary.right())?)));
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        let values = list.list().iter().map(|value| logical(value, depth)).collect::<Option<_>>()?;
        return Some(Expr::InList(InList::new(operand(list.expr())?, values, list.negated())));
    }
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return Some(Expr::Cast(Cast::new(operand(cast.expr())?, cast.cast_type().clone())));
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return operand(not.arg()).map(Expr::Not);
    }
    if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
        return operand(test.arg()).map(Expr::IsNull);
    }
    if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
        return operand(test.arg()).map(Expr::IsNotNull);
    }
    None
}

#[cfg(test)]
mod tests {
    use datafusion::physical_expr::expressions::{case, col, in_list, lit};

    use super::*;
    use crate::{
        filter::{dst_port, src_port},
        schema::schema,
    };

    type Physical = Arc<dyn PhysicalExpr>;

    fn compared(column: &str, op: Operator, value: u16) -> Physical {
        joined(col(column, &schema()).unwrap(), op, lit(value))
    }

    fn joined(left: Physical, op: Operator, right: Physical) -> Physical {
        Arc::new(BinaryExpr::new(left, op, right))
    }

    /// True where no filter tells: the sum of two columns.
    fn unknown() -> Physical {
        let sum = joined(col("dst_port", &schema()).unwrap(), Operator::Plus, col("src_port", &schema()).unwrap());
        joined(sum, Operator::Eq, lit(7u16))
    }

    #[test]
    fn what_a_filter_tells_is_left_of_a_condition() {
        let column = col("dst_port", &schema()).unwrap();
        let listed = in_list(Arc::clone(&column), vec![lit(53u16), lit(443u16)], &false, &schema()).unwrap();
        let from = compared("dst_port", Operator::GtEq, 50);
        let to = compared("dst_port", Operator::LtEq, 443);
        let range = joined(from, Operator::And, to);
        let keys = dst_port().eq(53).or(dst_port().eq(443)).normal();
        assert_eq!(implied(&listed), keys);
        assert_eq!(implied(&joined(Arc::clone(&range), Operator::And, Arc::clone(&listed))), keys);
        assert_eq!(
            implied(&joined(Arc::clone(&range), Operator::And, unknown())),
            dst_port().within(50..=443).normal()
        );
        assert_eq!(implied(&joined(Arc::clone(&range), Operator::Or, unknown())), Filter::all());
        assert_eq!(implied(&unknown()), Filter::all());

        let other = compared("src_port", Operator::Eq, 9);
        let by_partition = |otherwise| {
            let branches = vec![(lit(0u64), Arc::clone(&listed)), (lit(1u64), Arc::clone(&other))];
            case(Some(unknown()), branches, otherwise).unwrap()
        };
        let either = keys.or(src_port().eq(9)).normal();
        assert_eq!(implied(&by_partition(Some(lit(false)))), either);
        assert_eq!(implied(&by_partition(None)), either);
        assert_eq!(implied(&by_partition(Some(lit(true)))), Filter::all());
    }

    #[test]
    fn a_filter_that_becomes_known_later_is_known_then() {
        let column = col("dst_port", &schema()).unwrap();
        let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![column], lit(true)));
        let expr = Arc::clone(&dynamic) as Physical;
        assert_eq!(implied(&expr), Filter::all());
        dynamic.update(compared("dst_port", Operator::Eq, 443)).unwrap();
        assert_eq!(implied(&expr), dst_port().eq(443).normal());
    }

    #[test]
    fn however_deep_a_condition_is_it_is_walked() {
        let one = || compared("dst_port", Operator::GtEq, 50);
        let deep = (0..500).fold(one(), |all, _| joined(all, Operator::And, one()));
        assert_eq!(implied(&deep), dst_port().within(50..).normal());
        let deep = (0..500).fold(one(), |all, _| joined(all, Operator::Or, one()));
        assert_eq!(implied(&deep), Filter::all());
    }
}
