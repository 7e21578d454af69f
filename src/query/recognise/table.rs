//! Whatever looks at nothing but a column of few values: it is evaluated for each of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt8Array, UInt16Array},
    datatypes::{DataType, Field as Column, Schema},
};
use datafusion::{
    common::{
        DFSchema,
        cast::as_boolean_array,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::context::ExecutionProps,
    logical_expr::{Expr, ScalarUDF, physical_planning_context::PhysicalPlanningContext},
    physical_expr::create_physical_expr,
    prelude::col,
};

use super::atom::{Atom, absence, field};
use crate::{
    filter::{Filter, Operand, Ranges, Set, Test},
    flow::Field,
    query::functions,
    schema::column_type,
};

/// Functions that answer the same in every session.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 5]> = LazyLock::new(|| functions().map(Arc::new));

/// A filter with more ranges is slower than the expression.
const MOST_RANGES: usize = 256;

/// For which values of the only column of `expr` it is true, and for which it is false: `tcp_flags & 18 = 2`.
pub(super) fn atom(expr: &Expr) -> Option<Atom> {
    let field = only_column(expr)?;
    let column: ArrayRef = match column_type(field) {
        DataType::UInt8 => Arc::new(UInt8Array::from_iter((0..=u8::MAX).map(Some).chain([None]))),
        DataType::UInt16 => Arc::new(UInt16Array::from_iter((0..=u16::MAX).map(Some).chain([None]))),
        _ => return None,
    };
    let answers = evaluated(expr, field, column)?;
    let passing = |truth: bool| {
        let is = |row: usize| answers.is_valid(row) && answers.value(row) == truth;
        let absent = is(answers.len().checked_sub(1)?);
        let present = values(field, &is)?;
        Some(if absent { present.or(absence(field).yes) } else { present })
    };
    Some(Atom { yes: passing(true)?, no: passing(false)? })
}

/// The column of an expression that looks at one, and of which no value depends on a session.
fn only_column(expr: &Expr) -> Option<Field> {
    let mut fields = BTreeSet::new();
    let is_plain = expr.apply(|part| {
        let is_plain = match part {
            Expr::ScalarFunction(call) => FUNCTIONS.contains(&call.func),
            Expr::Column(column) => field(column).map(|field| fields.insert(field)).is_some(),
            Expr::Alias(_)
            | Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Not(_)
            | Expr::Negative(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::InList(_) => true,
            Expr::Cast(cast) => !cast.field.data_type().is_temporal(),
            Expr::TryCast(cast) => !cast.field.data_type().is_temporal(),
            _ => false,
        };
        Ok(if is_plain { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    let is_plain = is_plain.is_ok_and(|end| end == TreeNodeRecursion::Continue);
    fields.pop_first().filter(|_| is_plain && fields.is_empty())
}

/// What an expression answers for these values; `None` where it fails for one of them.
fn evaluated(expr: &Expr, field: Field, values: ArrayRef) -> Option<BooleanArray> {
    let named = |part: Expr| {
        Ok(match part {
            Expr::Column(_) => Transformed::yes(col(field.name())),
            part => Transformed::no(part),
        })
    };
    let expr = expr.clone().transform_up(named).ok()?.data;
    let columns = Arc::new(Schema::new(vec![Column::new(field.name(), column_type(field), true)]));
    let schema = DFSchema::try_from(Arc::clone(&columns)).ok()?;
    let planning = PhysicalPlanningContext::default();
    let expr = create_physical_expr(&expr, &schema, &ExecutionProps::new(), &planning).ok()?;
    let rows = values.len();
    let batch = RecordBatch::try_new(columns, vec![values]).ok()?;
    let answers = expr.evaluate(&batch).and_then(|answers| answers.into_array(rows)).ok()?;
    as_boolean_array(&answers).ok().cloned()
}

/// The flows whose value of a field is one for which `is` holds.
fn values(field: Field, is: &impl Fn(usize) -> bool) -> Option<Filter> {
    if field == Field::TcpFlags {
        let others = |flags: usize| !is(flags);
        let flags = masks(is).map(|masks| flags(masks, true));
        let flags = flags.or_else(|| Some(self::flags(masks(&others)?, false)));
        let flags = flags.or_else(|| pattern(is).map(|(set, unset)| set.and(unset)));
        let flags = flags.or_else(|| pattern(&others).map(|(set, unset)| other(set).or(other(unset))));
        if flags.is_some() {
            return flags;
        }
    }
    let mut ranges: Vec<(u128, u128)> = Vec::new();
    for value in (0..=usize::try_from(field.greatest()).ok()?).filter(|value| is(*value)) {
        let value = value as u128;
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => ranges.push((value, value)),
        }
    }
    (ranges.len() <= MOST_RANGES).then(|| Test::numbers(field, Ranges::from_iter(ranges)))
}

fn flags(masks: BTreeSet<u8>, carried: bool) -> Filter {
    let masks = masks.into_iter().map(u64::from).collect();
    Filter::Test(Test::new(Operand::Field(Field::TcpFlags), Set::Flags { masks, carried }))
}

/// The other flags.
fn other(test: Filter) -> Filter {
    match &test {
        Filter::Test(test) => Filter::Test(Test { absent: false, ..test.negated() }),
        _ => !test,
    }
}

/// The masks of which flows carry at least one just where `is` holds, where there are such: more flags never leave
/// the set then. The masks are its flags that leave it without any of their bits.
fn masks(is: &impl Fn(usize) -> bool) -> Option<BTreeSet<u8>> {
    let holds = |flags: u8| is(usize::from(flags));
    let grows = (0..=u8::MAX).all(|flags| !holds(flags) || bits().all(|bit| holds(flags | bit)));
    let is_least = |flags: &u8| holds(*flags) && bits().all(|bit| flags & bit == 0 || !holds(flags & !bit));
    grows.then(|| (0..=u8::MAX).filter(is_least).collect())
}

/// The flags that must be set and those that must not be where `is` holds, where it looks at nothing else:
/// `tcp_flags & 18 = 2` is SYN without ACK.
fn pattern(is: &impl Fn(usize) -> bool) -> Option<(Filter, Filter)> {
    let holding = || (0..=u8::MAX).filter(|flags| is(usize::from(*flags)));
    let set = holding().reduce(|left, right| left & right)?;
    let unset = !holding().reduce(|left, right| left | right)?;
    // One value alone is a number.
    let is_pattern =
        holding().count() > 1 && holding().count() == 1 << (u8::BITS - set.count_ones() - unset.count_ones());
    let unset = bits().filter(|bit| unset & bit != 0).collect();
    is_pattern.then(|| (flags(BTreeSet::from([set]), true), flags(unset, false)))
}

fn bits() -> impl Iterator<Item = u8> {
    (0..u8::BITS).map(|bit| 1 << bit)
}
