//! What flows add up to.

use std::{borrow::Cow, ops::Range};

use arrow::array::{Array, ArrayRef};

use super::result::Totals;
use crate::{
    error::{Error, Result},
    flow::Field,
    schema::Values,
    segment::PartRows,
};

/// What flows add up to. Bytes are below 2^64 a flow, so that their sums are below 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::query) struct Sums {
    pub(in crate::query) flows: u64,
    /// Of which numbers any of the flows has one.
    pub(in crate::query) known: Known,
    pub(in crate::query) source: u128,
    pub(in crate::query) dest: u128,
}

/// Which bytes of flows are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::query) struct Added {
    pub(super) source: bool,
    pub(super) dest: bool,
}

impl Added {
    /// Whether any are.
    pub(super) fn any(self) -> bool {
        self.source || self.dest
    }

    /// Their fields, those of sources first.
    pub(super) fn fields(self) -> impl Iterator<Item = Field> {
        [(Field::SrcBytes, self.source), (Field::DstBytes, self.dest)]
            .into_iter()
            .filter_map(|(field, is_added)| is_added.then_some(field))
    }
}

/// Which of its two numbers a flow has: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::query) struct Known(u8);

impl Known {
    pub(in crate::query) const BOTH: Self = Self(3);

    pub(in crate::query) fn of(first: bool, second: bool) -> Self {
        Self(u8::from(first) | u8::from(second) << 1)
    }

    /// Whether the number at a place, 0 or 1, is among them.
    pub(in crate::query) fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits & Self::BOTH.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Two numbers of each of some rows: what is added up. They are empty where flows alone are counted.
#[derive(Debug, Default)]
pub(in crate::query) struct Numbers<'p> {
    /// 0 where a row has none.
    pub(in crate::query) source: Cow<'p, [u64]>,
    pub(in crate::query) dest: Cow<'p, [u64]>,
    /// Which of them each row has; `None` where all rows have both, or nobody asks.
    pub(in crate::query) known: Option<Vec<Known>>,
}

impl Sums {
    /// What some rows add up to.
    pub(in crate::query) fn of_rows(rows: Range<usize>, numbers: &Numbers<'_>) -> Self {
        let sum = |numbers: &[u64]| total(numbers.get(rows.clone()).unwrap_or_default());
        let known = match &numbers.known {
            None => Known::BOTH,
            Some(known) => {
                known.get(rows.clone()).unwrap_or_default().iter().copied().fold(Known::default(), Known::or)
            }
        };
        Self { flows: rows.len() as u64, known, source: sum(&numbers.source), dest: sum(&numbers.dest) }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.known = self.known.or(other.known);
        self.source += other.source;
        self.dest += other.dest;
    }

    pub(super) fn totals(self, added: Added) -> Totals {
        Totals {
            flows: self.flows,
            source_bytes: added.source.then_some(self.source),
            dest_bytes: added.dest.then_some(self.dest),
        }
    }
}

/// The bytes of some rows; 0 where they are not known.
pub(in crate::query) fn bytes<'c>(column: &'c ArrayRef, field: Field, rows: &PartRows) -> Result<Cow<'c, [u64]>> {
    let Values::Large(array) = Values::new(column.as_ref(), field)? else {
        return Err(Error::internal("bytes are not numbers"));
    };
    if array.null_count() == 0 {
        return rows.gather(array.values());
    }
    let bytes = |row: usize| if row < array.len() && array.is_valid(row) { array.value(row) } else { 0 };
    Ok(rows.map(bytes).into())
}

/// What bytes of flows add up to.
fn total(bytes: &[u64]) -> u128 {
    // In 64 bits where so many flows of so many bytes fit into them, as nearly all do: some at a time.
    const FLOWS: usize = 1 << 12;
    let few = |bytes: &[u64]| match bytes.iter().fold(0, |all, bytes| all | bytes) {
        0..0x000f_ffff_ffff_ffff => u128::from(bytes.iter().sum::<u64>()),
        _ => bytes.iter().map(|bytes| u128::from(*bytes)).sum(),
    };
    bytes.chunks(FLOWS).map(few).sum()
}
