//! The questions for groups that are answered without a row of SQL.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        aggregate::AggregateFunctionExpr,
        expressions::{BinaryExpr, CaseExpr, CastExpr, IsNotNullExpr, Literal},
    },
    physical_plan::aggregates::AggregateExec,
};

use super::{input::Input, key::Key};
use crate::{
    error::{Error, Result},
    flow::Field,
    query::summary::{Known, Numbers, bytes},
    segment::{PartColumns, PartRows},
};

/// A session adds numbers up in this type.
const SUMMED: DataType = DataType::Decimal128(20, 0);
/// Flows are grouped by so many columns at most.
const MOST_KEYS: usize = 2;
/// So many numbers are added up for each group at most, beside its flows.
const MOST_ADDED: usize = 2;

/// What is asked of groups: their keys, numbers of flows, and sums of bytes or packets.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) keys: Vec<Key>,
    /// What is added up for each group, beside its flows.
    pub(super) added: Vec<Added>,
    pub(super) answers: Vec<Answer>,
}

/// A number that each flow adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// That of a column, where the flow has one there.
    Number(Field),
    /// That of the first column, where the flow has one in the second.
    NumberWith(Field, Field),
    /// 1 where it has one in the column.
    Has(Field),
}

/// A column of the answer, behind the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// How many flows.
    Flows,
    /// What was added up at this place.
    Count(usize),
    /// The sum of what was added up at one place or two. There is none where no flow of the group has a number at the last.
    Sum { first: usize, second: Option<usize>, needs: Option<usize> },
}

/// A column that is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    /// Whether it counts as 0 where it is absent.
    or_zero: bool,
}

impl Shape {
    /// What `aggregate` asks of the flows of `input`; `None` where it asks for more than there is here:
    ///
    /// - `SELECT src_ip, dst_port, count(*), sum(src_bytes), sum(dst_bytes) .. GROUP BY src_ip, dst_port` is such a question, and so
    ///   are `sum(src_bytes + dst_bytes)` and `sum(coalesce(src_bytes, 0) + coalesce(dst_bytes, 0))`.
    /// - Three keys, buckets of time and another key, the least of a column, sums of three columns, or
    ///   `FILTER (WHERE ..)` are not.
    pub(super) fn of(aggregate: &AggregateExec, input: &Input<'_>) -> Option<Self> {
        let by = aggregate.group_expr();
        let is_plain = by.is_single() && aggregate.limit_options().is_none();
        if !is_plain
            || !(1..=MOST_KEYS).contains(&by.expr().len())
            || aggregate.filter_expr().iter().any(Option::is_some)
        {
            return None;
        }
        let keys = by.expr().iter().map(|(key, _)| Key::of(&input.resolved(key)?, input.scan));
        let keys = keys.collect::<Option<Vec<_>>>()?;
        if keys.len() > 1 && keys.iter().any(Key::is_bucket) {
            return None;
        }
        let mut shape = Self { keys, added: Vec::new(), answers: Vec::new() };
        for function in aggregate.aggr_expr() {
            let answer = shape.answer(function, input)?;
            shape.answers.push(answer);
        }
        (shape.added.len() <= MOST_ADDED).then_some(shape)
    }

    fn answer(&mut self, function: &AggregateFunctionExpr, input: &Input<'_>) -> Option<Answer> {
        let args = function.expressions();
        let [arg] = args.as_slice() else { return None };
        if function.is_distinct() || !function.order_bys().is_empty() {
            return None;
        }
        let arg = input.resolved(arg)?;
        match function.fun().name() {
            "count" => match arg.downcast_ref::<Literal>() {
                Some(literal) => (!literal.value().is_null()).then_some(Answer::Flows),
                None => match input.field(&arg)? {
                    field if input.scan.is_never_absent(field) => Some(Answer::Flows),
                    field if is_number(field) => Some(Answer::Count(self.place(Added::Has(field)))),
                    _ => None,
                },
            },
            "sum" => {
                let is_sum = matches!(function.field().data_type(), DataType::Decimal128(_, 0));
                Some(self.sum(terms(&arg, input).filter(|_| is_sum)?, input))
            }
            _ => None,
        }
    }

    /// The sum of one or two columns. A flow adds nothing where one of them is absent that does not count as 0 then.
    fn sum(&mut self, (first, second): (Term, Option<Term>), input: &Input<'_>) -> Answer {
        let needed = |term: &Term| !term.or_zero && !input.scan.is_never_absent(term.field);
        let needs = [Some(first), second].into_iter().flatten().find(needed);
        let mut place = |term: Term, other: Option<Term>| {
            self.place(match other.filter(needed) {
                Some(other) => Added::NumberWith(term.field, other.field),
                None => Added::Number(term.field),
            })
        };
        let first = (place(first, second), first);
        let second = second.map(|second| (place(second, Some(first.1)), second));
        let needs = needs.map(|needs| match second {
            Some((place, term)) if term == needs && first.1 != needs => place,
            _ => first.0,
        });
        Answer::Sum { first: first.0, second: second.map(|(place, _)| place), needs }
    }

    /// The place of what is added up.
    fn place(&mut self, added: Added) -> usize {
        self.added.iter().position(|known| *known == added).unwrap_or_else(|| {
            self.added.push(added);
            self.added.len() - 1
        })
    }

    /// The columns of the keys.
    pub(super) fn key_fields(&self) -> Vec<Field> {
        self.keys.iter().map(|key| key.field).collect()
    }

    /// The columns of what is added up.
    pub(super) fn added_fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for field in self.added.iter().flat_map(Added::fields) {
            fields.extend((!fields.contains(&field)).then_some(field));
        }
        fields
    }

    /// The buckets of time that flows are grouped by, if they are.
    pub(super) fn bucket(&self) -> Option<&Key> {
        self.keys.first().filter(|key| key.is_bucket())
    }

    /// The numbers that each of some rows of a page adds, of which the columns of what is added up come behind `before`
    /// others.
    pub(super) fn numbers<'p>(&self, page: &PartColumns<'p>, before: usize, rows: &PartRows) -> Result<Numbers<'p>> {
        let fields = self.added_fields();
        let column = |field: Field| {
            let place = fields.iter().position(|known| *known == field);
            let column = place.and_then(|place| page.column(before + place));
            column.ok_or_else(|| Error::internal("a page was not read"))
        };
        let mut numbers = self.added.iter().map(|added| added.of(column, rows));
        let Some((source, first)) = numbers.next().transpose()? else { return Ok(Numbers::default()) };
        let (dest, second) = match numbers.next().transpose()? {
            Some(second) => second,
            None => (vec![0; source.len()].into(), None),
        };
        let has = |known: &Option<Vec<bool>>, row: usize| {
            known.as_ref().is_none_or(|known| known.get(row).copied().unwrap_or_default())
        };
        let known = (first.is_some() || second.is_some())
            .then(|| (0..source.len()).map(|row| Known::of(has(&first, row), has(&second, row))).collect());
        Ok(Numbers { source, dest, known })
    }
}

/// The numbers of some rows, and which rows have one; `None` where all have.
type Numbered<'p> = (Cow<'p, [u64]>, Option<Vec<bool>>);

impl Added {
    fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let (first, second) = match *self {
            Self::Number(field) | Self::Has(field) => (field, None),
            Self::NumberWith(field, other) => (field, Some(other)),
        };
        std::iter::once(first).chain(second)
    }

    fn of<'p>(&self, column: impl Fn(Field) -> Result<&'p ArrayRef>, rows: &PartRows) -> Result<Numbered<'p>> {
        let valid = |column: &ArrayRef| (column.null_count() > 0).then(|| rows.map(|row| column.is_valid(row)));
        match *self {
            Self::Number(field) => {
                let column = column(field)?;
                Ok((bytes(column, field, rows)?, valid(column)))
            }
            Self::NumberWith(field, other) => {
                let (own, other) = (column(field)?, column(other)?);
                let (mut numbers, own_valid) = (bytes(own, field, rows)?, valid(own));
                let Some(mut has) = valid(other) else { return Ok((numbers, own_valid)) };
                numbers.to_mut().iter_mut().zip(&has).for_each(|(number, has)| *number *= u64::from(*has));
                for (has, own) in has.iter_mut().zip(own_valid.into_iter().flatten()) {
                    *has &= own;
                }
                Ok((numbers, Some(has)))
            }
            Self::Has(field) => {
                let column = column(field)?;
                Ok((rows.map(|row| u64::from(column.is_valid(row))).into(), None))
            }
        }
    }
}

/// Whether a column holds numbers that are added up.
fn is_number(field: Field) -> bool {
    matches!(field, Field::SrcBytes | Field::DstBytes | Field::SrcPackets | Field::DstPackets)
}

/// The columns that an expression adds:
///
/// - `CAST(src_bytes AS Decimal128(20, 0))`;
/// - `CASE WHEN c IS NOT NULL THEN c ELSE 0 END`, where `c` is such a cast: what `coalesce(src_bytes, 0)` becomes;
/// - two of these with `+` between them.
fn terms(expr: &Arc<dyn PhysicalExpr>, input: &Input<'_>) -> Option<(Term, Option<Term>)> {
    if let Some(first) = term(expr, input) {
        return Some((first, None));
    }
    let sum = expr.downcast_ref::<BinaryExpr>().filter(|sum| *sum.op() == Operator::Plus)?;
    let (first, second) = (term(sum.left(), input)?, term(sum.right(), input)?);
    (first.field != second.field).then_some((first, Some(second)))
}

fn term(expr: &Arc<dyn PhysicalExpr>, input: &Input<'_>) -> Option<Term> {
    let Some(case) = expr.downcast_ref::<CaseExpr>() else {
        let cast = expr.downcast_ref::<CastExpr>().filter(|cast| *cast.cast_type() == SUMMED)?;
        let field = input.field(cast.expr()).filter(|field| is_number(*field))?;
        return Some(Term { field, or_zero: false });
    };
    let [(when, then)] = case.when_then_expr() else { return None };
    let is_zero = |expr: &Arc<dyn PhysicalExpr>| {
        let literal = expr.downcast_ref::<Literal>().map(Literal::value);
        matches!(literal, Some(ScalarValue::Decimal128(Some(0), 20, 0)))
    };
    let is_coalesce = case.expr().is_none()
        && case.else_expr().is_some_and(is_zero)
        && when.downcast_ref::<IsNotNullExpr>().is_some_and(|tested| tested.arg() == then);
    let term = term(then, input).filter(|term| is_coalesce && !term.or_zero)?;
    Some(Term { or_zero: true, ..term })
}
