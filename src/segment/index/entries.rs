//! The entries of a chunk: each a value, and the blocks and pages that hold it.

use super::input::{Input, damaged};
use crate::{encoding::write_leb128, error::Result};

/// Every entry of this number says how its value differs from the first of the chunk, and not from the one before: a
/// search begins there.
pub(super) const RESTART: usize = 16;
/// The largest number of own bytes that the first byte of an entry holds.
const MOST_OWN: usize = 30;
/// The largest number of blocks that the first byte of an entry holds.
const MOST_BLOCKS: usize = 7;

/// A block that holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// The block.
    pub(super) block: u32,
    /// Which of its pages hold the value: bit 0 is the first.
    pub(super) pages: u8,
    /// How many flows of the block have it.
    pub(super) count: u32,
}

/// Writes the entries of a chunk.
#[derive(Default)]
pub(super) struct EntryWriter {
    bytes: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    restarts: Vec<u16>,
    entries: usize,
}

impl EntryWriter {
    /// Bytes that were written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A value that comes after all others, with the blocks that hold it, ascending. `width` is how many bytes every
    /// value has, unless they are names.
    pub(super) fn push(&mut self, value: &[u8], width: Option<usize>, holders: impl ExactSizeIterator<Item = Holder>) {
        if self.entries == 0 {
            self.first = value.to_vec();
        } else if self.entries.is_multiple_of(RESTART) {
            self.restarts.push(u16::try_from(self.bytes.len()).unwrap_or(u16::MAX));
            self.last.clone_from(&self.first);
        }
        let shared = self.last.iter().zip(value).take_while(|(left, right)| left == right).count();
        let own = value.get(shared..).unwrap_or_default();
        let blocks = holders.len();
        let short = |number: usize, most: usize| if number <= most { number as u8 } else { 0 };
        let length = if own.len() <= MOST_OWN { own.len() as u8 } else { 31 };
        self.bytes.push(length | short(blocks, MOST_BLOCKS) << 5);
        if own.len() > MOST_OWN {
            write_leb128(&mut self.bytes, own.len() as u64);
        }
        if width.is_none() {
            write_leb128(&mut self.bytes, shared as u64);
        }
        self.bytes.extend(own);
        if blocks > MOST_BLOCKS {
            write_leb128(&mut self.bytes, blocks as u64);
        }
        let mut before = 0;
        for holder in holders {
            let step = u64::from(holder.block - before);
            before = holder.block;
            if holder.count == 1 {
                write_leb128(&mut self.bytes, step << 3 | u64::from(holder.pages.trailing_zeros() & 3) << 1);
            } else {
                write_leb128(&mut self.bytes, step << 5 | u64::from(holder.pages & 15) << 1 | 1);
                write_leb128(&mut self.bytes, holder.count.into());
            }
        }
        self.last = value.to_vec();
        self.entries += 1;
    }

    /// The first value of the chunk, and its bytes.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        self.bytes.extend(self.restarts.iter().flat_map(|at| at.to_le_bytes()));
        self.bytes.extend((self.restarts.len() as u16).to_le_bytes());
        (self.first, self.bytes)
    }
}

/// Reads the entries of a chunk, one after the other.
pub(super) struct Entries<'a> {
    input: Input<'a>,
    value: Vec<u8>,
    first: &'a [u8],
    width: Option<usize>,
    number: usize,
    restarts: usize,
}

impl<'a> Entries<'a> {
    /// The entries of a chunk, whose first value is `first`, from `sought` on or from somewhat earlier.
    pub(super) fn from(bytes: &'a [u8], first: &'a [u8], width: Option<usize>, sought: &[u8]) -> Result<Self> {
        let (rest, count) = bytes.split_last_chunk::<2>().ok_or_else(damaged)?;
        let tail = usize::from(u16::from_le_bytes(*count)) * 2;
        let (all, restarts) = rest.split_at_checked(rest.len().wrapping_sub(tail)).ok_or_else(damaged)?;
        let (restarts, _) = restarts.as_chunks::<2>();
        let from = |restart: usize| {
            let place = match restart.checked_sub(1) {
                None => 0,
                Some(place) => usize::from(u16::from_le_bytes(*restarts.get(place).ok_or_else(damaged)?)),
            };
            Ok(Input::new(all.get(place..).ok_or_else(damaged)?))
        };
        let value = Vec::with_capacity(width.unwrap_or_default());
        let mut entries = Self { input: from(0)?, value, first, width, number: 0, restarts: restarts.len() };
        // The last restart whose value does not come after the one that is looked for.
        let (mut low, mut high) = (0, restarts.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            entries.begin(from(middle)?, middle);
            entries.read_value()?;
            if entries.value.as_slice() <= sought { low = middle } else { high = middle - 1 }
        }
        entries.begin(from(low)?, low);
        Ok(entries)
    }

    /// Goes to a restart, from which on these bytes are.
    fn begin(&mut self, input: Input<'a>, restart: usize) {
        self.input = input;
        self.number = restart * RESTART;
        self.value.clear();
    }

    /// How many restarts the chunk has, the first entry not counted, and how many of them lie before the next entry or at
    /// it.
    pub(super) fn restarts(&self) -> (usize, usize) {
        (self.restarts, self.number / RESTART)
    }

    /// Reads the next value; `None` behind the last. Its blocks must be read before the next one.
    pub(super) fn next(&mut self) -> Result<Option<(&[u8], usize)>> {
        if self.input.left() == 0 {
            return Ok(None);
        }
        let blocks = self.read_value()?;
        Ok(Some((&self.value, blocks)))
    }

    /// The value that was read last.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Passes over so many blocks.
    pub(super) fn skip(&mut self, blocks: usize) -> Result<()> {
        for _ in 0..blocks {
            if self.input.leb128()? & 1 == 1 {
                self.input.leb128()?;
            }
        }
        Ok(())
    }

    /// Reads so many blocks, and stays before them.
    pub(super) fn ahead(&self, blocks: usize, each: impl FnMut(Holder)) -> Result<()> {
        read_holders(&mut self.input.clone(), blocks, each)
    }

    /// Reads so many blocks.
    pub(super) fn holders(&mut self, blocks: usize, each: impl FnMut(Holder)) -> Result<()> {
        read_holders(&mut self.input, blocks, each)
    }

    /// Reads a value, and answers how many blocks hold it.
    fn read_value(&mut self) -> Result<usize> {
        let [head] = self.input.array()?;
        let own = match usize::from(head & 31) {
            31 => self.input.leb128()?,
            own => own,
        };
        if self.number > 0 && self.number.is_multiple_of(RESTART) {
            self.value.clear();
            self.value.extend_from_slice(self.first);
        }
        self.number += 1;
        let shared = match self.width {
            Some(width) => width.checked_sub(own).ok_or_else(damaged)?,
            None => self.input.leb128()?,
        };
        if shared > self.value.len() {
            return Err(damaged());
        }
        self.value.truncate(shared);
        self.value.extend(self.input.take(own)?);
        match usize::from(head >> 5) {
            0 => self.input.leb128(),
            blocks => Ok(blocks),
        }
    }
}

fn read_holders(input: &mut Input<'_>, blocks: usize, mut each: impl FnMut(Holder)) -> Result<()> {
    let mut block = 0u64;
    for _ in 0..blocks {
        let number = input.leb128()? as u64;
        let (step, pages, count) = match number & 1 {
            0 => (number >> 3, 1 << (number >> 1 & 3), 1),
            _ => (number >> 5, (number >> 1 & 15) as u8, input.leb128()?),
        };
        block = block.saturating_add(step);
        let block = u32::try_from(block).map_err(|_| damaged())?;
        each(Holder { block, pages, count: u32::try_from(count).map_err(|_| damaged())? });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with blocks; every third is held more than once.
    fn sample(value: impl Fn(u32) -> Vec<u8>) -> Vec<(Vec<u8>, Vec<Holder>)> {
        let holder = |block| match block % 3 {
            0 => Holder { block, pages: 5, count: 300 },
            rest => Holder { block, pages: 1 << rest, count: 1 },
        };
        (0..200).map(|n| (value(n), (n..n + n % 11 + 1).map(holder).collect())).collect()
    }

    fn check(sample: &[(Vec<u8>, Vec<Holder>)], width: Option<usize>) {
        let mut writer = EntryWriter::default();
        sample.iter().for_each(|(value, holders)| writer.push(value, width, holders.iter().copied()));
        let (first, bytes) = writer.finish();
        for (place, (value, _)) in sample.iter().enumerate() {
            let mut entries = Entries::from(&bytes, &first, width, value).unwrap();
            let mut read = Vec::new();
            while let Some((value, blocks)) = entries.next().unwrap() {
                let value = value.to_vec();
                let mut holders = Vec::new();
                entries.holders(blocks, |holder| holders.push(holder)).unwrap();
                read.push((value, holders));
            }
            assert!(read.len() >= sample.len() - place && read.len() < sample.len() - place + RESTART, "{place}");
            assert_eq!(read, sample[sample.len() - read.len()..]);
        }
    }

    #[test]
    fn entries_are_read_from_any_value_on() {
        check(&sample(|n| (n * 7919).to_be_bytes().to_vec()), Some(4));
        let mut names = sample(|n| format!("{}-{n:03}", "name".repeat(n as usize % 40)).into_bytes());
        names.sort_by(|left, right| left.0.cmp(&right.0));
        check(&names, None);
    }

    #[test]
    fn a_cut_or_changed_chunk_is_an_error_or_other_entries_but_no_panic() {
        let mut writer = EntryWriter::default();
        let sample = sample(|n| n.to_be_bytes().to_vec());
        sample.iter().for_each(|(value, holders)| writer.push(value, Some(4), holders.iter().copied()));
        let (first, bytes) = writer.finish();
        let read = |bytes: &[u8]| -> Result<()> {
            let mut entries = Entries::from(bytes, &first, Some(4), &[0, 0, 0, 90])?;
            while let Some((_, blocks)) = entries.next()? {
                entries.holders(blocks, |_| {})?;
            }
            Ok(())
        };
        for at in 0..bytes.len() {
            let _ = read(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let _ = read(&changed);
        }
    }
}
