//! A list as it is built, and which of its rows are written.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    blocks::Blocks,
    entries::{Holder, RESTART},
    list::List,
    positions::{self, BitWriter},
};
use crate::error::Result;

/// A list as it is built.
pub(in super::super) struct Built {
    pub(super) list: List,
    pub(super) chunks: Vec<BuiltChunk>,
}

/// A chunk as it is built.
pub(super) struct BuiltChunk {
    /// The value of its first entry.
    pub(super) first: Vec<u8>,
    /// Its entries.
    pub(super) bytes: Vec<u8>,
    /// The rows of each entry.
    pub(super) rows: PackedRows,
}

/// The rows of the entries of a chunk, packed.
#[derive(Default)]
pub(super) struct PackedRows {
    /// For each entry how many flows have its value, and how many bits its rows take.
    entries: Vec<(u32, usize)>,
    bits: BitWriter,
}

impl PackedRows {
    /// Adds an entry: the blocks that hold its value, and the rows of each block.
    pub(super) fn push<'r>(&mut self, blocks: &Blocks, holders: impl Iterator<Item = (Holder, &'r [u32])>) {
        let before = self.bits.bits();
        let mut total = 0u32;
        for (holder, rows) in holders {
            total = total.saturating_add(holder.count);
            let block = holder.block as usize;
            let places = blocks.places(block, holder.pages, rows);
            positions::pack(&mut self.bits, blocks.rows_of(block, holder.pages), &places);
        }
        self.entries.push((total, self.bits.bits() - before));
    }

    /// The rows as they are written, of the entries alone that so many flows have: where every 16th entry begins but the
    /// first (4 bytes each, in bits), and the bits of all. No bytes where there are no bits.
    pub(super) fn select(&self, totals: &RangeInclusive<u32>) -> Result<Vec<u8>> {
        let (mut table, mut selected) = (Vec::new(), BitWriter::default());
        let mut at = 0;
        for (number, (total, bits)) in self.entries.iter().enumerate() {
            if number > 0 && number.is_multiple_of(RESTART) {
                table.extend(u32::try_from(selected.bits()).unwrap_or(u32::MAX).to_le_bytes());
            }
            if totals.contains(total) {
                selected.copy(self.bits.bytes(), at, *bits)?;
            }
            at += bits;
        }
        if selected.bits() == 0 {
            return Ok(Vec::new());
        }
        table.extend(selected.bytes());
        Ok(table)
    }
}

/// The bits that the rows of values take, by how many flows have the value.
type Costs = BTreeMap<u32, usize>;

/// Of which values of each list the rows are written, by how many flows have the value, so that all of them take about
/// `bytes` bytes at most. `blocks` is how many blocks there are.
///
/// The lists share the bytes evenly, and what one does not need goes to the others. Where its share does not suffice for a
/// list, the rarer values come first, from those on that one block has once: the rows of these say more than their pages, a
/// conjunction reads as many rows as its rarest value has, and the commonest values take most bytes. Of still rarer values
/// the pages are known, and they are few.
pub(in super::super) fn choose(lists: &[Built], bytes: usize, blocks: usize) -> Vec<RangeInclusive<u32>> {
    let costs: Vec<Costs> = lists.iter().map(Built::costs).collect();
    let mut order: Vec<(usize, usize)> = costs.iter().map(|costs| costs.values().sum()).zip(0..).collect();
    order.sort_unstable();
    let mut chosen = vec![NONE; lists.len()];
    let mut left = bytes.saturating_mul(8);
    for (rank, (_, list)) in order.iter().enumerate() {
        let share = left / (lists.len() - rank);
        if let (Some(costs), Some(chosen)) = (costs.get(*list), chosen.get_mut(*list)) {
            let (totals, taken) = affordable(costs, share, u32::try_from(blocks).unwrap_or(u32::MAX));
            *chosen = totals;
            left -= taken;
        }
    }
    chosen
}

/// No value: each has a flow.
const NONE: RangeInclusive<u32> = 0..=0;

/// The values whose rows take at most `bits` bits: all, or those from `usual` flows on up to a number of flows, and then
/// rarer ones.
fn affordable(costs: &Costs, bits: usize, usual: u32) -> (RangeInclusive<u32>, usize) {
    let mut taken = 0;
    let mut fits = |bit: usize| {
        let fits = taken + bit <= bits;
        taken += if fits { bit } else { 0 };
        fits
    };
    let common: Vec<u32> = costs.range(usual..).map_while(|(total, bit)| fits(*bit).then_some(*total)).collect();
    let is_whole = common.len() == costs.range(usual..).count();
    let rare: Vec<u32> = match is_whole {
        true => costs.range(..usual).rev().map_while(|(total, bit)| fits(*bit).then_some(*total)).collect(),
        false => Vec::new(),
    };
    let least = rare.last().or(common.first()).copied();
    let most = common.last().or(rare.first()).copied();
    match (least, most) {
        (Some(least), Some(most)) => (least..=most, taken),
        _ => (NONE, 0),
    }
}

impl Built {
    /// The same numbers of flows, from the least to the greatest that a value of the list has.
    pub(super) fn occurring(&self, totals: &RangeInclusive<u32>) -> RangeInclusive<u32> {
        let all = self.chunks.iter().flat_map(|chunk| &chunk.rows.entries).map(|(total, _)| *total);
        let within: Vec<u32> = all.filter(|total| totals.contains(total)).collect();
        within.iter().min().zip(within.iter().max()).map_or(NONE, |(least, most)| *least..=*most)
    }

    fn costs(&self) -> Costs {
        let mut costs = Costs::new();
        for (total, bits) in self.chunks.iter().flat_map(|chunk| &chunk.rows.entries) {
            *costs.entry(*total).or_default() += bits;
        }
        costs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_and_the_commonest_is_left_out_first() {
        let costs = Costs::from([(1, 40), (3, 20), (10, 5), (20, 7), (300, 50)]);
        assert_eq!(affordable(&costs, 122, 10), (1..=300, 122));
        assert_eq!(affordable(&costs, 121, 10), (3..=300, 82));
        assert_eq!(affordable(&costs, 62, 10), (10..=300, 62));
        assert_eq!(affordable(&costs, 61, 10), (10..=20, 12));
        assert_eq!(affordable(&costs, 6, 10), (10..=10, 5));
        assert_eq!(affordable(&costs, 4, 10), (NONE, 0));
        assert_eq!(affordable(&costs, 60, 301), (20..=300, 57));
        assert_eq!(affordable(&Costs::new(), 4, 10), (NONE, 0));
    }
}
