//! What flows add up to.

use std::{borrow::Cow, ops::Range};

use arrow::array::{Array, ArrayRef};

use super::result::{Bytes, Totals};
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
    pub(in crate::query) source: u128,
    pub(in crate::query) dest: u128,
}

impl Sums {
    /// What some rows add up to. `source` and `dest` are the bytes of each row; they are empty where bytes are not added up.
    pub(in crate::query) fn of_rows(rows: Range<usize>, (source, dest): (&[u64], &[u64])) -> Self {
        let bytes = |bytes: &[u64]| total(bytes.get(rows.clone()).unwrap_or_default());
        Self { flows: rows.len() as u64, source: bytes(source), dest: bytes(dest) }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.source += other.source;
        self.dest += other.dest;
    }

    pub(super) fn totals(self, has_bytes: bool) -> Totals {
        let bytes = Bytes { source: self.source, dest: self.dest };
        Totals { flows: self.flows, bytes: has_bytes.then_some(bytes) }
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
