//! Arithmetic and times in SQL that are exact for whatever flows have.

use arrow::{
    compute::kernels::cast_utils::string_to_datetime,
    datatypes::{DataType, TimeUnit},
};
use chrono::{DateTime, Utc};
use datafusion::{
    common::{
        DFSchema, Result as DataFusionResult, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{
        BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, WindowFunctionDefinition,
        expr::{Between, InList},
        expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// Holds every integer of 64 bits, with or without a sign.
const WIDE: DataType = DataType::Decimal128(20, 0);
/// Sums of decimals with more digits might not fit into 128 bits.
const SUMMABLE_DIGITS: u8 = 28;
/// As many numbers within these bounds as a table can have do not overflow 64 bits.
const SUMMABLE: (i128, i128) = (-(1 << 31), 1 << 31);
/// The milliseconds of no time that a flow can have.
const NO_TIME: i64 = i64::MIN;

/// Before types are made equal: widens integers where their sums, differences and products might not fit, and compares
/// milliseconds with the texts of times without a way over nanoseconds, which end in the year 2262.
#[derive(Debug)]
pub(super) struct Exact;

impl AnalyzerRule for Exact {
    fn name(&self) -> &str {
        "exact_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite_plan)?.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| Ok(rewrite(expr, &schema)))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })?;
    rewritten.map_data(LogicalPlan::recompute_schema)
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let rewritten =
        match &expr {
            Expr::BinaryExpr(BinaryExpr {
                left, op: Operator::Plus | Operator::Minus | Operator::Multiply, ..
            }) if left.get_type(schema).is_ok_and(|left| left.is_integer()) => arithmetic(&expr, schema),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                comparison(left, *op, right, schema).or_else(|| comparison(right, op.swap()?, left, schema))
            }
            Expr::Between(between) => within(between, schema),
            Expr::InList(list) => listed(list, schema),
            Expr::AggregateFunction(function) => {
                let args = widened(function.func.name(), &function.params.args, schema);
                args.map(|args| {
                    let mut function = function.clone();
                    function.params.args = args;
                    Expr::AggregateFunction(function)
                })
            }
            Expr::WindowFunction(function) => match &function.fun {
                WindowFunctionDefinition::AggregateUDF(aggregate) => {
                    let args = widened(aggregate.name(), &function.params.args, schema);
                    args.map(|args| {
                        let mut function = function.clone();
                        function.params.args = args;
                        Expr::WindowFunction(function)
                    })
                }
                WindowFunctionDefinition::WindowUDF(_) => None,
            },
            _ => None,
        };
    rewritten.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

/// A sum, difference or product of integers, where its own type might not hold it: `None` where it does.
///
/// - `dst_port - src_port`: both become 64 bits wide, as ports have 16 and the difference may be negative.
/// - `src_bytes - dst_bytes`: both become decimals, whose result is one digit wider.
/// - `a + b` of signed 64 bits: the result has the same type, and an error takes the place of what does not fit.
fn arithmetic(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let types = [left.get_type(schema).ok()?, right.get_type(schema).ok()?];
    if !types.iter().all(DataType::is_integer) {
        return None;
    }
    let both = |to: &DataType| {
        let [left, right] = [left, right].map(|side| Box::new(cast(side.as_ref().clone(), to.clone())));
        Expr::BinaryExpr(BinaryExpr { left, op: *op, right })
    };
    if types.contains(&DataType::UInt64) {
        return Some(both(&WIDE));
    }
    let result = result(*op, bounds(left, schema)?, bounds(right, schema)?)?;
    if fits(result, type_bounds(&expr.get_type(schema).ok()?)?) {
        return None;
    }
    if fits(result, type_bounds(&DataType::Int64)?) {
        return Some(both(&DataType::Int64));
    }
    Some(cast(both(&WIDE), DataType::Int64))
}

/// The arguments of an aggregate function that adds, where what it adds might not fit into its type.
fn widened(function: &str, args: &[Expr], schema: &DFSchema) -> Option<Vec<Expr>> {
    let [arg] = args else { return None };
    if !["sum", "avg", "mean", "median"].contains(&function) {
        return None;
    }
    let wide = match arg.get_type(schema).ok()? {
        DataType::Int64 | DataType::UInt64 if matches!(function, "sum" | "median") => {
            let is_small = bounds(arg, schema).is_some_and(|bounds| fits(bounds, SUMMABLE));
            if is_small { None } else { Some(WIDE) }
        }
        DataType::Decimal128(digits, scale) if digits > SUMMABLE_DIGITS => Some(DataType::Decimal256(digits, scale)),
        _ => None,
    };
    wide.map(|wide| vec![cast(arg.clone(), wide)])
}

/// The least and the greatest value that an expression can have, as far as its form tells.
fn bounds(expr: &Expr, schema: &DFSchema) -> Option<(i128, i128)> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_integer() && !value.is_null() => {
            let ScalarValue::Decimal128(Some(number), ..) = value.cast_to(&WIDE).ok()? else { return None };
            Some((number, number))
        }
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            let branches = branches.map(|branch| bounds(branch, schema)).collect::<Option<Vec<_>>>()?;
            branches.into_iter().reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)))
        }
        Expr::Alias(alias) => bounds(&alias.expr, schema),
        _ => type_bounds(&expr.get_type(schema).ok()?),
    }
}

fn type_bounds(of: &DataType) -> Option<(i128, i128)> {
    Some(match of {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// The least and the greatest result of an operation on values within bounds of at most 64 bits.
fn result(operator: Operator, left: (i128, i128), right: (i128, i128)) -> Option<(i128, i128)> {
    let all = |apply: fn(i128, i128) -> i128| {
        let results = [left.0, left.1].map(|left| [apply(left, right.0), apply(left, right.1)]);
        let results = results.as_flattened().iter().copied();
        Some((results.clone().min()?, results.max()?))
    };
    match operator {
        Operator::Plus => all(i128::saturating_add),
        Operator::Minus => all(i128::saturating_sub),
        Operator::Multiply => all(i128::saturating_mul),
        _ => None,
    }
}

fn fits(inner: (i128, i128), outer: (i128, i128)) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to))
}

/// A time that a text names, as a bound of milliseconds.
#[derive(Clone, Copy)]
struct Bound {
    millis: i64,
    /// Whether it lies between this millisecond and the next.
    is_between: bool,
}

impl Bound {
    /// The time of a text, which may be written as a timestamp or a date.
    fn of(expr: &Expr) -> Option<Self> {
        let time: DateTime<Utc> = match expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => match field.data_type() {
                DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_utc(zone.as_deref()) => return Self::of(expr),
                DataType::Date32 => text(expr).filter(|text| text.len() == "2025-01-29".len()).and_then(time)?,
                _ => return None,
            },
            expr => text(expr).and_then(time)?,
        };
        let is_between = !time.timestamp_subsec_nanos().is_multiple_of(1_000_000);
        Some(Self { millis: time.timestamp_millis(), is_between })
    }

    /// What compares milliseconds with it. A time between two milliseconds is greater than the one and all before it.
    fn compare(self, millis: Expr, operator: Operator, literal: impl Fn(i64) -> Expr) -> Option<Expr> {
        use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
        let (operator, bound) = match operator {
            Eq | NotEq | IsDistinctFrom | IsNotDistinctFrom => (operator, self.equal()),
            Lt | LtEq if self.is_between => (LtEq, self.millis),
            Gt | GtEq if self.is_between => (Gt, self.millis),
            Lt | LtEq | Gt | GtEq => (operator, self.millis),
            _ => return None,
        };
        let (left, right) = (Box::new(millis), Box::new(literal(bound)));
        Some(Expr::BinaryExpr(BinaryExpr { left, op: operator, right }))
    }

    /// The only milliseconds that are equal to it.
    fn equal(self) -> i64 {
        if self.is_between { NO_TIME } else { self.millis }
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    string_to_datetime(&Utc, text).ok()
}

/// Whether the times of a zone are those of UTC; without a zone they are.
pub(super) fn is_utc(zone: Option<&str>) -> bool {
    zone.is_none_or(|zone| ["UTC", "+00:00"].contains(&zone))
}

/// What makes literals of the type of an expression; `None` where that is not of milliseconds.
fn literals(expr: &Expr, schema: &DFSchema) -> Option<impl Fn(i64) -> Expr + use<>> {
    let DataType::Timestamp(TimeUnit::Millisecond, zone) = expr.get_type(schema).ok()? else { return None };
    let is_comparable = is_utc(zone.as_deref());
    is_comparable
        .then_some(move |millis| Expr::Literal(ScalarValue::TimestampMillisecond(Some(millis), zone.clone()), None))
}

/// `start_time < '9999-12-31T00:00:00Z'`
fn comparison(millis: &Expr, operator: Operator, bound: &Expr, schema: &DFSchema) -> Option<Expr> {
    let bound = Bound::of(bound)?;
    bound.compare(millis.clone(), operator, literals(millis, schema)?)
}

/// `start_time BETWEEN '0001-01-01' AND '9999-12-31'`
fn within(between: &Between, schema: &DFSchema) -> Option<Expr> {
    let (low, high) = (Bound::of(&between.low)?, Bound::of(&between.high)?);
    let literal = literals(&between.expr, schema)?;
    let low = low.compare(between.expr.as_ref().clone(), Operator::GtEq, &literal)?;
    let high = high.compare(between.expr.as_ref().clone(), Operator::LtEq, &literal)?;
    let within = low.and(high);
    Some(if between.negated { Expr::Not(Box::new(within)) } else { within })
}

/// `start_time IN ('2025-01-29T10:00:00Z', '9999-12-31T23:59:59.999Z')`
fn listed(list: &InList, schema: &DFSchema) -> Option<Expr> {
    let literal = literals(&list.expr, schema)?;
    let times = list.list.iter().map(|time| Bound::of(time).map(|time| literal(time.equal())));
    Some(Expr::InList(InList { list: times.collect::<Option<_>>()?, ..list.clone() }))
}
