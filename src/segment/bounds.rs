//! Bounds of the blocks of a segment, in columns.

use std::{collections::BTreeSet, ops::Range};

use arrow::{
    array::{Array, ArrowNumericType, PrimitiveArray, RecordBatch},
    compute,
};

use super::{
    cores::on_all_cores,
    names::{AllRanks, Ranks},
    shape::block_range,
    zone_map::{prefix, rounded_up},
};
use crate::{
    error::Result,
    filter::Bounds,
    flow::{Field, Kind, MAX_TEXT_BYTES, Span, Timestamp, ValueRef},
    schema::Values,
};

/// The bounds of several blocks: of the blocks of a segment, or of the segment as its one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundsTable {
    pub(super) rows: Vec<u32>,
    /// One for each column that the segment has; without any, nothing is known.
    pub(super) lanes: Vec<Lane>,
    /// For each block the OR and the AND of the TCP flags.
    pub(super) flags: Vec<(u8, u8)>,
}

/// The bounds of one field, block by block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) extents: Extents,
    /// For each block whether some flow has a value, and whether some has none.
    pub(super) presence: Vec<(bool, bool)>,
}

/// The least and greatest values, block by block; zeros where a block has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extents {
    /// Of fields of at most 8 bytes.
    Numbers(Vec<(u64, u64)>),
    /// Of addresses.
    Addresses(Vec<(u128, u128)>),
    /// Of names: places in the sorted names that are the bounds of any block.
    Texts {
        /// The names.
        names: Vec<String>,
        /// The places.
        places: Vec<(u32, u32)>,
    },
}

impl BoundsTable {
    /// The bounds of the blocks of `block_rows` rows each, the last one maybe shorter, that `batch` is cut into.
    pub(super) fn build(
        batch: &RecordBatch,
        fields: &[Field],
        block_rows: usize,
        names: &AllRanks<'_>,
    ) -> Result<Self> {
        let starts = || (0..batch.num_rows()).step_by(block_rows.max(1));
        let blocks: Vec<_> = starts().map(|start| start..(start + block_rows).min(batch.num_rows())).collect();
        let lanes = on_all_cores(fields.to_vec(), |field| {
            let spans: Vec<Span<'_>> = match names.get(&field) {
                Some(names) => blocks.iter().map(|rows| names_span(names, rows)).collect(),
                None => {
                    let values = Values::of(batch, field)?;
                    blocks.iter().map(|rows| values.span(rows.clone())).collect()
                }
            };
            Ok(Lane::of(field, &spans))
        })?;
        let flags = Values::of(batch, Field::TcpFlags)?;
        let masks = |rows: Range<usize>| {
            let values = rows.filter_map(|row| match flags.get(row) {
                Some(ValueRef::Number(bits)) => u8::try_from(bits).ok(),
                _ => None,
            });
            values.fold((0, u8::MAX), |(any, all), bits| (any | bits, all & bits))
        };
        Ok(Self {
            rows: blocks.iter().map(|rows| u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect(),
            flags: blocks.iter().cloned().map(masks).collect(),
            lanes,
        })
    }

    /// Bounds that say nothing of so many rows, in blocks of `block_rows`.
    pub(super) fn unknown(rows: usize, block_rows: usize) -> Self {
        let blocks = 0..rows.div_ceil(block_rows.max(1));
        let rows = blocks.map(|block| u32::try_from(block_range(block, block_rows, rows).len()).unwrap_or(u32::MAX));
        Self { rows: rows.collect(), lanes: Vec::new(), flags: Vec::new() }
    }

    /// The bounds of all blocks together, as those of one.
    pub(super) fn folded(&self) -> Self {
        let fold = |(field, lane): (Field, &Lane)| {
            let spans = (0..self.len()).map(|block| lane.span(block));
            let values = spans.clone().filter_map(|span| span.values);
            let values = values.reduce(|(least, greatest), (low, high)| (least.min(low), greatest.max(high)));
            Lane::of(field, &[Span { values, absent: spans.clone().any(|span| span.absent) }])
        };
        let flags = self.flags.iter().fold((0, u8::MAX), |(any, all), (or, and)| (any | or, all & and));
        Self {
            rows: vec![self.rows.iter().fold(0, |sum: u32, rows| sum.saturating_add(*rows))],
            lanes: Field::all().zip(&self.lanes).map(fold).collect(),
            flags: vec![flags],
        }
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The bounds of a block, numbered from 0.
    pub(crate) fn block(&self, block: usize) -> BlockBounds<'_> {
        BlockBounds { table: self, block }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let lane = |lane: &Lane| match &lane.extents {
            Extents::Numbers(extents) => size_of_val(extents.as_slice()),
            Extents::Addresses(extents) => size_of_val(extents.as_slice()),
            Extents::Texts { names, places } => {
                size_of_val(places.as_slice())
                    + names.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>()
            }
        };
        self.lanes.iter().map(|each| lane(each) + each.presence.len() * 2).sum::<usize>() + self.rows.len() * 6
    }
}

impl Lane {
    fn of(field: Field, spans: &[Span<'_>]) -> Self {
        let numbers = |span: &Span<'_>| match span.values {
            Some((ValueRef::Number(least), ValueRef::Number(greatest))) => (least, greatest),
            _ => (0, 0),
        };
        let narrow =
            |(least, greatest)| (u64::try_from(least).unwrap_or(0), u64::try_from(greatest).unwrap_or(u64::MAX));
        let extents = match field.kind() {
            Kind::Address => Extents::Addresses(spans.iter().map(numbers).collect()),
            Kind::Time | Kind::Number => Extents::Numbers(spans.iter().map(numbers).map(narrow).collect()),
            Kind::Text => texts(spans),
        };
        Self { extents, presence: spans.iter().map(|span| (span.values.is_some(), span.absent)).collect() }
    }

    fn span(&self, block: usize) -> Span<'_> {
        // Of a block that is not there nothing is known: every value may be there, and absence.
        let (present, absent) = self.presence.get(block).copied().unwrap_or((false, true));
        let number = |number: u64| ValueRef::Number(u128::from(number));
        let values = match &self.extents {
            Extents::Numbers(extents) => {
                extents.get(block).map(|(least, greatest)| (number(*least), number(*greatest)))
            }
            Extents::Addresses(extents) => {
                extents.get(block).map(|(least, greatest)| (ValueRef::Number(*least), ValueRef::Number(*greatest)))
            }
            Extents::Texts { names, places } => {
                let name = |place: u32| names.get(place as usize).map(|name| ValueRef::Text(name));
                places.get(block).and_then(|(least, greatest)| name(*least).zip(name(*greatest)))
            }
        };
        Span { values: values.filter(|_| present), absent }
    }
}

fn texts(spans: &[Span<'_>]) -> Extents {
    let bounds = |span: &Span<'_>| match span.values {
        // No index is to grow with long texts. Those of names are never longer.
        Some((ValueRef::Text(least), ValueRef::Text(greatest))) => {
            Some((prefix(least, MAX_TEXT_BYTES).to_owned(), rounded_up(greatest, MAX_TEXT_BYTES)))
        }
        _ => None,
    };
    let bounds: Vec<_> = spans.iter().map(bounds).collect();
    let names: BTreeSet<&String> = bounds.iter().flatten().flat_map(|(least, greatest)| [least, greatest]).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let place = |name: &String| u32::try_from(names.partition_point(|each| each < name)).unwrap_or(u32::MAX);
    let places = bounds.iter().map(|pair| pair.as_ref().map_or((0, 0), |(low, high)| (place(low), place(high))));
    Extents::Texts { places: places.collect(), names }
}

impl<'a> Values<'a> {
    /// The bounds of the values in some rows.
    fn span(&self, rows: Range<usize>) -> Span<'a> {
        let number = |number: u64| ValueRef::Number(u128::from(number));
        match self {
            Self::Times(array) => extent(array, rows, |millis| number(Timestamp::millis_ordinal(millis))),
            Self::Small(array) => extent(array, rows, |value| number(value.into())),
            Self::Ports(array) => extent(array, rows, |value| number(value.into())),
            Self::Large(array) => extent(array, rows, number),
            Self::Addresses(_) | Self::Texts(_) => {
                let mut span = Span { values: None, absent: false };
                for value in rows.map(|row| self.get(row)) {
                    match (value, span.values) {
                        (None, _) => span.absent = true,
                        (Some(value), None) => span.values = Some((value, value)),
                        (Some(value), Some((least, greatest))) => {
                            span.values = Some((least.min(value), greatest.max(value)));
                        }
                    }
                }
                span
            }
        }
    }
}

/// The bounds of the names in some rows.
fn names_span<'a>(names: &Ranks<'a>, rows: &Range<usize>) -> Span<'a> {
    let ranks = names.rows().get(rows.clone()).unwrap_or_default();
    let present = || ranks.iter().flatten().copied();
    let name = |rank| ValueRef::Text(names.name(rank));
    let values = present().min().zip(present().max()).map(|(least, greatest)| (name(least), name(greatest)));
    Span { values, absent: ranks.iter().any(Option::is_none) }
}

fn extent<'a, T: ArrowNumericType>(
    array: &PrimitiveArray<T>,
    rows: Range<usize>,
    value: impl Fn(T::Native) -> ValueRef<'a>,
) -> Span<'a> {
    let part = array.slice(rows.start, rows.len());
    let values = compute::min(&part).zip(compute::max(&part));
    Span { values: values.map(|(least, greatest)| (value(least), value(greatest))), absent: part.null_count() > 0 }
}

/// The bounds of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockBounds<'a> {
    table: &'a BoundsTable,
    block: usize,
}

impl BlockBounds<'_> {
    /// How many rows the block has.
    pub(crate) fn rows(&self) -> usize {
        self.table.rows.get(self.block).map_or(0, |rows| *rows as usize)
    }
}

impl Bounds for BlockBounds<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        match self.table.lanes.get(field as usize) {
            Some(lane) => Some(lane.span(self.block)),
            None if self.table.lanes.is_empty() => None,
            // A segment without the column has no value of it.
            None => Some(Span { values: None, absent: true }),
        }
    }

    fn rows(&self) -> Option<u64> {
        self.table.rows.get(self.block).map(|rows| u64::from(*rows))
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.table.flags.get(self.block).copied().unwrap_or((u8::MAX, 0))
    }
}
