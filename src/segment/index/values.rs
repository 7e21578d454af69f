//! How many flows have each value of a list.

use std::cmp::Ordering;

use super::{
    chunk::Chunk,
    entries::Entries,
    list::{List, number},
};
use crate::{
    error::Result,
    flow::{Field, ValueRef},
};

/// A value of a list: one of each of its columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListValue<'a> {
    list: &'a List,
    bytes: &'a [u8],
}

impl<'a> ListValue<'a> {
    /// The value of a column of the list; `None` where it is absent.
    pub(crate) fn get(&self, field: Field) -> Option<ValueRef<'a>> {
        self.list.value(self.bytes, field)
    }
}

/// Flows of the blocks of a segment that have a value in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Valued {
    /// Those whose value passes.
    pub(crate) passing: u64,
    /// The others.
    pub(crate) others: u64,
}

impl Chunk {
    /// Bytes that it has, decompressed.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.length.into()
    }

    /// Whether the flows of a number lie in this chunk or before it, by its first value.
    pub(in super::super) fn begins_at_or_before(&self, list: &List, number: u128) -> bool {
        self.first <= list.key(number)
    }

    /// How many flows of the chosen blocks have this number.
    pub(in super::super) fn count_value(
        &self,
        bytes: &[u8],
        list: &List,
        number: u128,
        chosen: &[bool],
    ) -> Result<u64> {
        let wanted = list.key(number);
        let mut entries = Entries::from(bytes, &self.first, list.width(), &wanted)?;
        while let Some((value, blocks)) = entries.next()? {
            let order = value.cmp(wanted.as_slice());
            let mut flows = 0;
            entries.holders(blocks, |holder| {
                let is_chosen = chosen.get(holder.block as usize) == Some(&true);
                flows += if is_chosen { u64::from(holder.count) } else { 0 };
            })?;
            match order {
                Ordering::Less => {}
                Ordering::Equal => return Ok(flows),
                Ordering::Greater => break,
            }
        }
        Ok(0)
    }

    /// The numbers of a list of numbers, ascending, and how many flows have each.
    pub(in super::super) fn numbers(&self, bytes: &[u8], list: &List) -> Result<Vec<(u128, u64)>> {
        let mut entries = Entries::from(bytes, &self.first, list.width(), &[])?;
        let mut numbers = Vec::new();
        while let Some((value, blocks)) = entries.next()? {
            let number = number(value);
            let mut flows = 0;
            entries.holders(blocks, |holder| flows += u64::from(holder.count))?;
            numbers.push((number, flows));
        }
        Ok(numbers)
    }

    /// Calls `each` with every value that passes and that flows of the chosen blocks have, and with how many these are.
    /// Adds to `valued`, block by block, the flows of the chosen blocks that have a value.
    pub(in super::super) fn count_values(
        &self,
        bytes: &[u8],
        list: &List,
        (chosen, valued): (&[bool], &mut [Valued]),
        passes: &impl Fn(&ListValue<'_>) -> bool,
        each: &mut impl FnMut(&ListValue<'_>, u64),
    ) -> Result<()> {
        let mut entries = Entries::from(bytes, &self.first, list.width(), &[])?;
        while let Some((value, blocks)) = entries.next()? {
            let passes = passes(&ListValue { list, bytes: value });
            let mut flows = 0;
            entries.holders(blocks, |holder| {
                let block = holder.block as usize;
                if let Some(valued) = valued.get_mut(block).filter(|_| chosen.get(block) == Some(&true)) {
                    let count = u64::from(holder.count);
                    flows += count;
                    *(if passes { &mut valued.passing } else { &mut valued.others }) += count;
                }
            })?;
            if passes && flows > 0 {
                each(&ListValue { list, bytes: entries.value() }, flows);
            }
        }
        Ok(())
    }
}
