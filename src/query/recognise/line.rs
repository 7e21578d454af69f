//! A column whose values are numbers, as an expression compares it: under casts that keep its order.

use std::cmp::Ordering;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Cast, Expr, TryCast},
};

use super::atom::field;
use crate::{
    filter::Ranges,
    flow::{Field, Kind, Timestamp},
    schema::column_type,
};

/// A column of numbers, times or addresses under casts, none of which puts a greater value before a lesser one.
///
/// So the values that compare in some way with a literal lie next to each other, and where they begin and end is found by
/// halving: `CAST(start_time AS DATE) = '2025-01-29'` is a day of milliseconds.
pub(super) struct Line {
    pub(super) field: Field,
    casts: Vec<Step>,
    to: DataType,
}

/// How a cast changes a number.
#[derive(Clone, Copy)]
enum Step {
    Times(i128),
    /// Divided, and cut towards zero.
    Cut(i128),
    /// Divided, and cut towards the past.
    Floor(i128),
}

impl Line {
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Column(column) => {
                let field = field(column)?;
                (field.kind() != Kind::Text).then(|| Self { field, casts: Vec::new(), to: column_type(field) })
            }
            Expr::Alias(alias) => Self::of(&alias.expr),
            Expr::Cast(Cast { expr, field }) => Self::of(expr)?.cast(field.data_type(), false),
            Expr::TryCast(TryCast { expr, field }) => Self::of(expr)?.cast(field.data_type(), true),
            _ => None,
        }
    }

    /// The same under a cast. One that fails for some values answers null for them where it `is_tried`: it is not
    /// exact then. Where it fails with an error, a comparison of numbers that have no end takes its place.
    fn cast(mut self, to: &DataType, is_tried: bool) -> Option<Self> {
        use DataType::{
            Binary, BinaryView, Date32, Date64, Decimal32, Decimal64, Decimal128, FixedSizeBinary, Float32, Float64,
            Int64, LargeBinary, Timestamp as Time,
        };
        if *to == self.to {
            return Some(self);
        }
        let step = match (&self.to, to) {
            (FixedSizeBinary(_) | Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => None,
            (Time(from, from_zone), Time(unit, zone)) => {
                if from_zone.is_none() && !is_utc(zone.as_deref()) {
                    return None;
                }
                let (from, to) = (per_second(*from), per_second(*unit));
                match from.cmp(&to) {
                    Ordering::Less if is_tried => return None,
                    Ordering::Less => Some(Step::Times(to / from)),
                    Ordering::Equal => None,
                    Ordering::Greater => Some(Step::Cut(from / to)),
                }
            }
            (Time(unit, zone), Date32) if is_utc(zone.as_deref()) => Some(Step::Floor(per_second(*unit) * 86_400)),
            (Time(TimeUnit::Millisecond, _), Date64) | (Time(..), Int64) => None,
            (from, Float64 | Float32) if from.is_integer() => None,
            (from, Decimal32(digits, scale) | Decimal64(digits, scale) | Decimal128(digits, scale))
                if from.is_unsigned_integer() =>
            {
                let scale = u32::try_from(*scale).ok()?;
                let whole = 10_u128.checked_pow(u32::from(*digits).checked_sub(scale)?)?;
                (self.field.greatest() < whole).then_some(Step::Times(10_i128.checked_pow(scale)?)).map(Some)?
            }
            (from, to) if from.is_integer() && to.is_integer() && self.field.kind() == Kind::Number => {
                let fits = self.field.greatest() <= greatest(to)?;
                (fits || *to == Int64 && !is_tried).then_some(None)?
            }
            _ => return None,
        };
        self.casts.extend(step);
        self.to = to.clone();
        Some(self)
    }

    /// The values that are equal to a literal, from the first to the last, and those that are less and greater.
    pub(super) fn split(&self, literal: &ScalarValue) -> Option<Split> {
        let compare = self.comparison(literal)?;
        let greatest = self.field.greatest();
        let begin = first(greatest, |number| compare(number).is_ge());
        let end = first(greatest, |number| compare(number).is_gt());
        Some(Split { begin, end })
    }

    /// What compares a value of the column with a literal.
    fn comparison(&self, literal: &ScalarValue) -> Option<Box<dyn Fn(u128) -> Ordering + '_>> {
        if self.field.kind() == Kind::Address {
            let bytes = match literal {
                ScalarValue::FixedSizeBinary(_, bytes)
                | ScalarValue::Binary(bytes)
                | ScalarValue::LargeBinary(bytes)
                | ScalarValue::BinaryView(bytes) => bytes.clone()?,
                _ => return None,
            };
            return Some(Box::new(move |number| number.to_be_bytes().as_slice().cmp(&bytes)));
        }
        // DataFusion orders floats in a way of its own where they are no numbers, or zero with a sign.
        let is_plain = |float: f64| !float.is_nan() && (float != 0.0 || float.is_sign_positive());
        match (&self.to, literal) {
            (DataType::Float64, ScalarValue::Float64(Some(bound))) if is_plain(*bound) => {
                let bound = *bound;
                Some(Box::new(move |number| (self.number(number) as f64).total_cmp(&bound)))
            }
            (DataType::Float32, ScalarValue::Float32(Some(bound))) if is_plain((*bound).into()) => {
                let bound = *bound;
                Some(Box::new(move |number| (self.number(number) as f32).total_cmp(&bound)))
            }
            _ => {
                let (bound, factor) = self.bound(literal)?;
                Some(Box::new(move |number| (self.number(number) * factor).cmp(&bound)))
            }
        }
    }

    /// A literal as a number, and what numbers of the column are multiplied with to be compared with it.
    fn bound(&self, literal: &ScalarValue) -> Option<(i128, i128)> {
        use ScalarValue as Value;
        let number = match literal {
            Value::Int8(number) => (*number)?.into(),
            Value::Int16(number) => (*number)?.into(),
            Value::Int32(number) | Value::Date32(number) => (*number)?.into(),
            Value::Int64(number)
            | Value::Date64(number)
            | Value::TimestampSecond(number, _)
            | Value::TimestampMillisecond(number, _)
            | Value::TimestampMicrosecond(number, _)
            | Value::TimestampNanosecond(number, _) => (*number)?.into(),
            Value::UInt8(number) => (*number)?.into(),
            Value::UInt16(number) => (*number)?.into(),
            Value::UInt32(number) => (*number)?.into(),
            Value::UInt64(number) => (*number)?.into(),
            Value::Decimal32(number, ..) => (*number)?.into(),
            Value::Decimal64(number, ..) => (*number)?.into(),
            Value::Decimal128(number, ..) => (*number)?,
            _ => return None,
        };
        match (&self.to, &literal.data_type()) {
            (DataType::Timestamp(unit, zone), DataType::Timestamp(literal_unit, literal_zone)) => {
                let is_same = zone.is_some() == literal_zone.is_some()
                    || is_utc(zone.as_deref()) && is_utc(literal_zone.as_deref());
                let nanos = |unit| per_second(TimeUnit::Nanosecond) / per_second(unit);
                is_same.then(|| (number * nanos(*literal_unit), nanos(*unit)))
            }
            (column, literal) if column == literal || column.is_integer() && literal.is_integer() => Some((number, 1)),
            _ => None,
        }
    }

    /// A value of the column, after all casts but that to a float.
    fn number(&self, number: u128) -> i128 {
        let number = match self.field.kind() {
            // Both have at most 64 bits.
            Kind::Time => Timestamp::ordinal_millis(u64::try_from(number).unwrap_or(u64::MAX)).into(),
            _ => i128::try_from(number).unwrap_or(i128::MAX),
        };
        self.casts.iter().fold(number, |number, step| match step {
            Step::Times(factor) => number * factor,
            Step::Cut(divisor) => number / divisor,
            Step::Floor(divisor) => number.div_euclid(*divisor),
        })
    }
}

/// Where the values of a column that are equal to a literal begin and end.
pub(super) struct Split {
    /// The first value that is not less.
    begin: Option<u128>,
    /// The first value that is greater.
    end: Option<u128>,
}

impl Split {
    pub(super) fn less(&self) -> Ranges {
        between(Some(0), self.begin)
    }

    pub(super) fn greater(&self) -> Ranges {
        between(self.end, None)
    }

    pub(super) fn equal(&self) -> Option<(u128, u128)> {
        pair(self.begin, self.end)
    }
}

/// The numbers from `begin` on, before `end`; `None` is behind all numbers.
fn between(begin: Option<u128>, end: Option<u128>) -> Ranges {
    pair(begin, end).into_iter().collect()
}

fn pair(begin: Option<u128>, end: Option<u128>) -> Option<(u128, u128)> {
    let last = end.map_or(Some(u128::MAX), |end| end.checked_sub(1))?;
    begin.map(|begin| (begin, last)).filter(|(begin, last)| begin <= last)
}

/// The first number up to `greatest` for which `holds`, which holds for all behind it.
fn first(greatest: u128, holds: impl Fn(u128) -> bool) -> Option<u128> {
    if !holds(greatest) {
        return None;
    }
    let (mut low, mut high) = (0, greatest);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    Some(high)
}

/// The greatest value of an integer type.
fn greatest(of: &DataType) -> Option<u128> {
    Some(match of {
        DataType::Int8 => i8::MAX as u128,
        DataType::Int16 => i16::MAX as u128,
        DataType::Int32 => i32::MAX as u128,
        DataType::Int64 => i64::MAX as u128,
        DataType::UInt8 => u8::MAX.into(),
        DataType::UInt16 => u16::MAX.into(),
        DataType::UInt32 => u32::MAX.into(),
        DataType::UInt64 => u64::MAX.into(),
        _ => return None,
    })
}

fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Whether times without a shift are meant.
fn is_utc(zone: Option<&str>) -> bool {
    zone.is_none_or(|zone| ["UTC", "+00:00"].contains(&zone))
}
