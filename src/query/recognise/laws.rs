//! What is recognised of filters, of expressions at random, and of SQL.

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, TimeUnit},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Case, Expr, Operator, binary_expr, cast, lit, not, try_cast},
    prelude::col,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::recognise;
use crate::{
    filter::sample::of_fields,
    flow::{
        Address, StoredFlow, Timestamp,
        sample::{ADDRESSES, BYTES, FLAGS, NAMES, PORTS, PROTOCOLS, flows},
    },
    schema::{
        filter_expr,
        sample::{answers, batch},
    },
};

const COMPARISONS: [Operator; 8] = [
    Operator::Eq,
    Operator::NotEq,
    Operator::Lt,
    Operator::LtEq,
    Operator::Gt,
    Operator::GtEq,
    Operator::IsDistinctFrom,
    Operator::IsNotDistinctFrom,
];

/// A column, be it under a cast, and literals that it is compared with.
fn operands() -> impl Strategy<Value = (Expr, Vec<Expr>)> {
    prop_oneof![3 => numbers(), 3 => times(), 1 => addresses(), 1 => bits()]
}

fn literals(values: Vec<ScalarValue>) -> Vec<Expr> {
    values.into_iter().map(|value| Expr::Literal(value, None)).collect()
}

fn numbers() -> impl Strategy<Value = (Expr, Vec<Expr>)> {
    use DataType::{Decimal128, Float32, Float64, Int64, UInt16, UInt64};
    let columns = select(vec!["protocol", "src_port", "dst_port", "src_bytes", "tcp_flags"]);
    let types = select(vec![None, Some(Int64), Some(UInt64), Some(Decimal128(22, 2)), Some(Float64), Some(Float32)]);
    let number = prop_oneof![
        select(PORTS.map(i128::from).to_vec()),
        select(BYTES.map(i128::from).to_vec()),
        select(PROTOCOLS.map(i128::from).to_vec()),
        select(vec![-1, -65_536, 256, 65_536, 1 << 53, (1 << 53) + 1, i128::from(i64::MAX), i128::from(i64::MIN)]),
    ];
    (columns, types, vec(number, 2), any::<bool>()).prop_map(|(name, to, numbers, between)| {
        let as_literal = |number: i128| {
            let whole = ScalarValue::Decimal128(Some(number), 38, 0);
            match &to {
                None if name == "src_bytes" => whole.cast_to(&UInt64).unwrap_or(ScalarValue::UInt64(None)),
                None => ScalarValue::Int64(Some(i64::try_from(number).unwrap_or(7))),
                Some(Float64) if between => ScalarValue::Float64(Some(number as f64 + 0.5)),
                Some(Float64) => ScalarValue::Float64(Some(number as f64)),
                Some(Float32) => ScalarValue::Float32(Some(number as f32)),
                Some(to @ Decimal128(..)) if between => {
                    ScalarValue::Decimal128(Some(number * 100 + 50), 38, 2).cast_to(to).unwrap()
                }
                Some(to) => whole.cast_to(to).unwrap_or_else(|_| ScalarValue::try_from(to).unwrap()),
            }
        };
        let values: Vec<_> = numbers.into_iter().map(as_literal).collect();
        let operand = match &to {
            // What has no cast is compared with numbers of its own type.
            None if name == "src_bytes" => col(name),
            None => return (cast(col(name), Int64), literals(values)),
            Some(Int64) if name != "src_bytes" => try_cast(cast(col(name), UInt16), Int64),
            Some(to) => cast(col(name), to.clone()),
        };
        (operand, literals(values))
    })
}

fn times() -> impl Strategy<Value = (Expr, Vec<Expr>)> {
    use DataType::{Date32, Date64, Int64, Timestamp as Time};
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let zones = [None, Some("UTC".into()), Some("+05:30".into())];
    let mut types: Vec<DataType> = vec![Date32, Date64, Int64];
    types.extend(units.iter().flat_map(|unit| zones.clone().map(|zone| Time(*unit, zone))));
    let finer = prop_oneof![3 => Just(0i128), 1 => -1500i128..1500];
    let millis = prop_oneof![
        4 => 1_666_000_000_000i64..1_666_000_000_006,
        1 => select(vec![Timestamp::MIN.as_millis(), Timestamp::MAX.as_millis(), -86_400_000, -1, 0, 1, 86_400_000]),
    ];
    let literal = |to: DataType, (millis, finer): (i64, i128)| {
        let nanos = i128::from(millis) * 1_000_000 + finer;
        let long = |divisor: i128| i64::try_from(nanos.div_euclid(divisor)).ok();
        match to {
            Date32 => ScalarValue::Date32(long(86_400_000_000_000).map(|days| days as i32)),
            Date64 => ScalarValue::Date64(long(1_000_000)),
            Time(TimeUnit::Second, zone) => ScalarValue::TimestampSecond(long(1_000_000_000), zone),
            Time(TimeUnit::Millisecond, zone) => ScalarValue::TimestampMillisecond(long(1_000_000), zone),
            Time(TimeUnit::Microsecond, zone) => ScalarValue::TimestampMicrosecond(long(1000), zone),
            Time(TimeUnit::Nanosecond, zone) => ScalarValue::TimestampNanosecond(long(1), zone),
            _ => ScalarValue::Int64(long(1_000_000)),
        }
    };
    let columns = select(vec!["start_time", "end_time"]);
    (columns, select(types), vec((millis, finer), 2)).prop_map(move |(name, to, times)| {
        let values = times.into_iter().map(|time| literal(to.clone(), time)).collect();
        (cast(col(name), to), literals(values))
    })
}

fn addresses() -> impl Strategy<Value = (Expr, Vec<Expr>)> {
    let lengths = select(vec![0usize, 1, 12, 16, 17]);
    (vec((select(&ADDRESSES[..]), lengths), 2), any::<bool>()).prop_map(|(texts, as_binary)| {
        let literal = |(text, length): (&str, usize)| {
            let mut bytes = text.parse::<Address>().unwrap().to_bytes().to_vec();
            if as_binary {
                bytes.resize(length, 0);
                return ScalarValue::Binary(Some(bytes));
            }
            ScalarValue::FixedSizeBinary(16, Some(bytes))
        };
        let operand = if as_binary { cast(col("src_ip"), DataType::Binary) } else { col("src_ip") };
        (operand, literals(texts.into_iter().map(literal).collect()))
    })
}

/// Some bits of the flags, as a column that is compared with numbers.
fn bits() -> impl Strategy<Value = (Expr, Vec<Expr>)> {
    let masks = (select(&FLAGS[..]), select(&FLAGS[..]), any::<bool>());
    masks.prop_map(|(mask, value, widened)| {
        if widened {
            let masked =
                binary_expr(cast(col("tcp_flags"), DataType::Int64), Operator::BitwiseAnd, lit(i64::from(mask)));
            return (masked, vec![lit(i64::from(value)), lit(0i64)]);
        }
        (binary_expr(col("tcp_flags"), Operator::BitwiseAnd, lit(mask)), vec![lit(mask), lit(0u8)])
    })
}

/// An expression that is recognised.
fn expression() -> impl Strategy<Value = Expr> {
    let comparison = (operands(), select(&COMPARISONS[..]), any::<bool>()).prop_map(|(operand, operator, swapped)| {
        let (operand, mut literals) = operand;
        let literal = literals.remove(0);
        let swap = operator.swap().filter(|_| swapped && operator.swap() != Some(operator));
        match swap {
            Some(swap) => binary_expr(literal, swap, operand),
            None if swapped => binary_expr(literal, operator, operand),
            None => binary_expr(operand, operator, literal),
        }
    });
    let lists = (operands(), any::<bool>(), any::<bool>()).prop_map(|((operand, mut list), negated, null)| {
        if null && let Expr::Literal(value, _) = &list[0] {
            list.push(Expr::Literal(ScalarValue::try_from(value.data_type()).unwrap(), None));
        }
        operand.in_list(list, negated)
    });
    let ranges = (operands(), any::<bool>()).prop_map(|((operand, mut ends), negated)| {
        let (high, low) = (ends.remove(1), ends.remove(0));
        if negated { operand.not_between(low, high) } else { operand.between(low, high) }
    });
    let columns = select(vec!["end_time", "src_ip", "dst_port", "src_node", "tcp_flags", "flow_id"]);
    let nulls = (columns, any::<bool>())
        .prop_map(|(name, null)| if null { col(name).is_null() } else { col(name).is_not_null() });
    let names = (select(&NAMES[..]), 0..5).prop_map(|(name, form)| match form {
        0 => col("src_node").eq(lit(name)),
        1 => lit(name).not_eq(col("node_id")),
        2 => col("src_node").in_list(vec![lit(name), lit(ScalarValue::Utf8(None))], true),
        3 => cast(col("src_node"), DataType::Utf8View).eq(lit(ScalarValue::Utf8View(Some(name.to_owned())))),
        _ => binary_expr(col("src_node"), Operator::IsDistinctFrom, lit(name)),
    });
    let filters = of_fields().prop_map(|filter| filter_expr(&filter.normal()));
    let constants = select(vec![Some(true), Some(false), None]).prop_map(|value| lit(ScalarValue::Boolean(value)));
    let leaf = prop_oneof![
        6 => comparison, 2 => lists, 2 => ranges, 1 => nulls, 1 => names, 1 => filters, 1 => constants,
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let decisions = (vec((inner.clone(), select(vec![Some(true), Some(false), None])), 1..3), inner.clone());
        prop_oneof![
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            2 => inner.clone().prop_map(not),
            1 => (inner, 0..4).prop_map(|(operand, form)| match form {
                0 => operand.is_true(),
                1 => operand.is_not_true(),
                2 => operand.is_false(),
                _ => operand.is_not_false(),
            }),
            1 => decisions.prop_map(|(whens, last)| Expr::Case(Case {
                expr: None,
                when_then_expr: whens
                    .into_iter()
                    .map(|(when, then)| (Box::new(when), Box::new(lit(ScalarValue::Boolean(then)))))
                    .collect(),
                else_expr: Some(Box::new(last)),
            })),
        ]
    })
}

/// For which rows an expression is true; `None` where DataFusion cannot tell, as of times that a unit cannot hold.
fn passing(expr: &Expr, rows: &RecordBatch) -> Vec<Option<bool>> {
    let is_true = |row| {
        let answers = answers(expr, &rows.slice(row, 1)).ok()?;
        Some(answers.is_valid(0) && answers.value(0))
    };
    match answers(expr, rows) {
        Ok(answers) => answers.iter().map(|answer| Some(answer == Some(true))).collect(),
        Err(_) => (0..rows.num_rows()).map(is_true).collect(),
    }
}

fn assert_same(expr: &Expr, rows: &RecordBatch, flows: &[StoredFlow]) -> Result<(), TestCaseError> {
    let Some(filter) = recognise(expr) else { return Err(TestCaseError::fail(format!("not recognised: {expr}"))) };
    for (flow, passes) in flows.iter().zip(passing(expr, rows)) {
        if let Some(passes) = passes {
            prop_assert_eq!(filter.matches(flow), passes, "{} as {} of {:?}", expr, filter, flow);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_is_recognised_in_its_expression(filter in of_fields()) {
        let filter = filter.normal();
        prop_assert_eq!(recognise(&filter_expr(&filter)), Some(filter));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_recognised_filter_passes_just_the_flows_for_which_the_expression_is_true(
        exprs in vec(expression(), 4),
        flows in flows(8),
    ) {
        let (rows, flows) = batch(&flows);
        for expr in &exprs {
            assert_same(expr, &rows, &flows)?;
        }
    }
}
