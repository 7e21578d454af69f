//! The questions for groups that are answered without a row of SQL.

use std::borrow::Cow;

use arrow::{array::Array, datatypes::DataType};
use datafusion::{
    physical_expr::{
        PhysicalExpr,
        aggregate::AggregateFunctionExpr,
        expressions::{CastExpr, Column, Literal},
    },
    physical_plan::aggregates::AggregateExec,
};

use super::key::Key;
use crate::{
    error::{Error, Result},
    flow::Field,
    query::{flow_scan::FlowScanExec, summary::bytes},
    segment::{PartColumns, PartRows},
};

/// A session adds bytes up in this type.
const SUMMED: DataType = DataType::Decimal128(20, 0);
/// Flows are grouped by so many columns at most.
const MOST_KEYS: usize = 2;
/// So many numbers are added up for each group at most, beside its flows.
pub(super) const MOST_ADDED: usize = 2;

/// What is asked of groups: their keys, numbers of flows, and sums of bytes.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) keys: Vec<Key>,
    /// What is added up for each group, beside its flows.
    pub(super) added: Vec<Added>,
    pub(super) answers: Vec<Answer>,
}

/// A number of each of some rows.
pub(super) type Numbers<'p> = Cow<'p, [u64]>;

/// A number that each flow adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Its bytes, 0 where they are not known.
    Bytes(Field),
    /// 1 where its bytes are known, and else 0.
    Known(Field),
}

/// A column of the answer, behind the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// How many flows.
    Flows,
    /// What was added up at this place.
    Count(usize),
    /// The sum at the first place; none where the number at the other is 0.
    Sum(usize, Option<usize>),
}

impl Shape {
    /// What `aggregate` asks of the flows of `scan`; `None` where it asks for more than there is here:
    ///
    /// - `SELECT src_ip, dst_port, count(*), sum(src_bytes) .. GROUP BY src_ip, dst_port` is such a question.
    /// - Three keys, buckets of time and another key, the least of a column, sums of two columns that may be null, or
    ///   `FILTER (WHERE ..)` are not.
    pub(super) fn of(aggregate: &AggregateExec, scan: &FlowScanExec) -> Option<Self> {
        let by = aggregate.group_expr();
        let is_plain = by.is_single() && aggregate.limit_options().is_none();
        if !is_plain
            || !(1..=MOST_KEYS).contains(&by.expr().len())
            || aggregate.filter_expr().iter().any(Option::is_some)
        {
            return None;
        }
        let keys = by.expr().iter().map(|(key, _)| Key::of(key, scan)).collect::<Option<Vec<_>>>()?;
        if keys.len() > 1 && keys.iter().any(Key::is_bucket) {
            return None;
        }
        let mut shape = Self { keys, added: Vec::new(), answers: Vec::new() };
        for function in aggregate.aggr_expr() {
            let answer = shape.answer(function, scan)?;
            shape.answers.push(answer);
        }
        (shape.added.len() <= MOST_ADDED).then_some(shape)
    }

    fn answer(&mut self, function: &AggregateFunctionExpr, scan: &FlowScanExec) -> Option<Answer> {
        let args = function.expressions();
        let [arg] = args.as_slice() else { return None };
        if function.is_distinct() || !function.order_bys().is_empty() {
            return None;
        }
        match function.fun().name() {
            "count" => match arg.downcast_ref::<Literal>() {
                Some(literal) => (!literal.value().is_null()).then_some(Answer::Flows),
                None => {
                    let field = column(arg.as_ref(), scan)?;
                    match field {
                        field if scan.is_never_absent(field) => Some(Answer::Flows),
                        Field::SrcBytes | Field::DstBytes => Some(Answer::Count(self.place(Added::Known(field)))),
                        _ => None,
                    }
                }
            },
            "sum" => {
                let cast = arg.downcast_ref::<CastExpr>().filter(|cast| *cast.cast_type() == SUMMED)?;
                let field = column(cast.expr().as_ref(), scan)?;
                let is_bytes = matches!(field, Field::SrcBytes | Field::DstBytes);
                let is_sum = is_bytes && matches!(function.field().data_type(), DataType::Decimal128(_, 0));
                is_sum.then(|| {
                    let sum = self.place(Added::Bytes(field));
                    Answer::Sum(sum, (!scan.is_never_absent(field)).then(|| self.place(Added::Known(field))))
                })
            }
            _ => None,
        }
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
        for Added::Bytes(field) | Added::Known(field) in &self.added {
            fields.extend((!fields.contains(field)).then_some(*field));
        }
        fields
    }

    /// The buckets of time that flows are grouped by, if they are.
    pub(super) fn bucket(&self) -> Option<&Key> {
        self.keys.first().filter(|key| key.is_bucket())
    }

    /// The numbers that each of some rows of a page adds, of which the columns of what is added up come behind `before`
    /// others. Either there are both, or none.
    pub(super) fn numbers<'p>(
        &self,
        page: &PartColumns<'p>,
        before: usize,
        rows: &PartRows,
    ) -> Result<(Numbers<'p>, Numbers<'p>)> {
        let fields = self.added_fields();
        let number = |added: &Added| {
            let (Added::Bytes(field) | Added::Known(field)) = added;
            let place = fields.iter().position(|known| known == field).and_then(|place| page.column(before + place));
            let column = place.ok_or_else(|| Error::internal("a page was not read"))?;
            match added {
                Added::Bytes(field) => bytes(column, *field, rows),
                Added::Known(_) => Ok(rows.map(|row| u64::from(column.is_valid(row))).into()),
            }
        };
        let mut numbers = self.added.iter().map(number).collect::<Result<Vec<_>>>()?.into_iter();
        let first = numbers.next().unwrap_or_default();
        let second = numbers.next().unwrap_or_else(|| vec![0; first.len()].into());
        Ok((first, second))
    }
}

/// The field of which an expression is the column.
fn column(expr: &dyn PhysicalExpr, scan: &FlowScanExec) -> Option<Field> {
    scan.field(expr.downcast_ref::<Column>()?.index())
}
