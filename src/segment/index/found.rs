//! What a list tells of a part of a filter: how many flows of each block pass it, and where their rows are listed.

use std::{ops::Range, sync::OnceLock};

use super::{
    blocks::Blocks,
    entries::{Entries, Holder},
    input::damaged,
    list::List,
    positions,
    postings::{Listed, TouchedChunk},
};
use crate::{error::Result, filter::Filter, segment::RowSet};

/// The flows of a block that pass a part of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Tally {
    pub(in super::super) count: u32,
    /// The pages of the block that hold them: bit 0 is the first.
    pub(in super::super) pages: u8,
}

/// The values of a list that pass a part of a filter.
#[derive(Debug)]
pub(in super::super) struct Found {
    blocks: Blocks,
    /// Of each block, or once all is taken in of those that hold such values, ascending.
    tallies: Vec<(u32, Tally)>,
    /// Of other blocks nothing is wanted.
    wanted: Range<usize>,
    /// The blocks that hold such values, ascending.
    places: Vec<Place>,
    /// No more places are remembered; how many flows of each block pass is.
    most: usize,
    runs: Vec<Run>,
}

/// A block that holds a value that passes.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: u32,
    pages: u8,
    count: u32,
    /// Where its rows are listed: the number of the run, and the bit behind the beginning of the run.
    listed: Option<(u32, u32)>,
}

/// Entries of a chunk that were read one behind the other, and where their rows begin.
#[derive(Debug)]
struct Run {
    /// The byte of the string of rows that tells how many bits of the chunk lie before the run. None do where it is `None`.
    table: Option<u64>,
    /// The bit of the string where the rows of the chunk begin.
    chunk: u64,
    /// What the table tells, once it was read.
    before: OnceLock<u64>,
}

/// Rows of a block that have a value, packed.
pub(in super::super) struct Packed {
    place: Place,
    /// The bit of the string where they begin.
    bit: u64,
    universe: usize,
}

/// What is known of the rows of a block that have a value.
pub(in super::super) enum PlaceRows {
    /// Just those of these pages.
    Exact(u8),
    /// None but those of these pages, and maybe not all of them.
    AtMost(u8),
    /// They are listed, behind so many bits as these bytes tell.
    Untold(usize, Range<u64>),
    /// They are listed.
    Listed(Packed),
}

impl Found {
    /// Nothing as yet of the blocks that are `wanted`; of no more than `most` blocks with a value it will be remembered where
    /// their rows are listed.
    pub(in super::super) fn new(blocks: Blocks, wanted: Range<usize>, most: usize) -> Self {
        let tallies = (0..blocks.len() as u32).map(|block| (block, Tally::default())).collect();
        Self { blocks, tallies, wanted, places: Vec::new(), most, runs: Vec::new() }
    }

    /// Takes in what of a chunk passes `part`, a filter on the columns of the list.
    pub(in super::super) fn take(
        &mut self,
        listed: &Listed,
        touched: &TouchedChunk<'_>,
        bytes: &[u8],
        part: &Filter,
    ) -> Result<()> {
        let list: &List = &listed.list;
        let mut entries = Entries::from(bytes, &touched.chunk.first, list.width(), &touched.low)?;
        // Where nothing is remembered of places, nobody asks for their rows.
        let rows = listed.rows.as_ref().filter(|_| self.most > 0);
        let rows = rows.and_then(|rows| Some((&rows.totals, rows.of_chunk(touched.number)?)));
        let run = self.runs.len() as u32;
        if let Some((_, start)) = rows {
            let (restarts, before) = entries.restarts();
            let table = before.checked_sub(1).map(|restart| start + restart as u64 * 4);
            self.runs.push(Run { table, chunk: (start + restarts as u64 * 4) * 8, before: OnceLock::new() });
        }
        let totals = rows.map(|(totals, _)| totals);
        let mut bit = 0u32;
        while let Some((value, blocks)) = entries.next()? {
            if value > touched.high.as_slice() {
                break;
            }
            let passes = value >= touched.low.as_slice() && part.holds(&|field| list.value(value, field));
            let is_listed = match totals {
                None => false,
                Some(totals) => {
                    let mut total = 0u32;
                    entries.ahead(blocks, |holder| total = total.saturating_add(holder.count))?;
                    totals.contains(&total)
                }
            };
            if !is_listed && !passes {
                entries.skip(blocks)?;
                continue;
            }
            let mut is_damaged = false;
            entries.holders(blocks, |holder| {
                let listed = is_listed.then_some((run, bit));
                if is_listed {
                    let universe = self.blocks.rows_of(holder.block as usize, holder.pages);
                    is_damaged |= holder.count as usize > universe;
                    bit = bit.saturating_add(positions::bits(universe, holder.count as usize) as u32);
                }
                if passes {
                    self.pass(holder, listed);
                }
            })?;
            if is_damaged {
                return Err(damaged());
            }
        }
        Ok(())
    }

    /// Takes note of a block that holds a value that passes, and where its rows are listed.
    fn pass(&mut self, Holder { block, pages, count }: Holder, listed: Option<(u32, u32)>) {
        let Some((_, tally)) = self.tallies.get_mut(block as usize) else { return };
        if !self.wanted.contains(&(block as usize)) {
            return;
        }
        tally.count = tally.count.saturating_add(count);
        tally.pages |= pages;
        if self.places.len() <= self.most {
            self.places.push(Place { block, pages, count, listed });
        }
    }

    /// Once all chunks are taken in.
    pub(in super::super) fn sorted(mut self) -> Self {
        self.tallies.retain(|(_, tally)| tally.count > 0);
        self.tallies.shrink_to_fit();
        if !self.is_much() && !self.places.is_sorted_by_key(|place| place.block) {
            self.places.sort_by_key(|place| place.block);
        }
        self
    }

    /// Forgets which blocks hold the values, but not how many flows of each pass.
    pub(in super::super) fn forget(&mut self) {
        self.places = Vec::new();
        self.runs = Vec::new();
    }

    /// Whether where the rows are listed is more than is remembered.
    pub(in super::super) fn is_much(&self) -> bool {
        self.places.len() > self.most
    }

    /// How many flows of a block pass.
    pub(in super::super) fn tally(&self, block: usize) -> Tally {
        let place = match self.tallies.len() == self.blocks.len() {
            true => Some(block),
            false => self.tallies.binary_search_by_key(&block, |(block, _)| *block as usize).ok(),
        };
        place.and_then(|place| self.tallies.get(place)).map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// How many flows of the segment pass.
    pub(in super::super) fn total(&self) -> u64 {
        self.tallies.iter().map(|(_, tally)| u64::from(tally.count)).sum()
    }

    /// How many rows the segment has.
    pub(in super::super) fn all_rows(&self) -> usize {
        self.blocks.rows
    }

    /// About how many bytes of memory it takes.
    pub(in super::super) fn memory(&self) -> usize {
        let places = size_of_val(self.places.as_slice()) + size_of_val(self.runs.as_slice());
        places + size_of_val(self.tallies.as_slice()) + size_of::<Self>()
    }

    /// How many rows a block has.
    pub(in super::super) fn size(&self, block: usize) -> usize {
        self.blocks.block(block).len()
    }

    /// The blocks that hold flows that pass, ascending.
    pub(in super::super) fn held(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.tallies.iter().map(|(block, _)| *block as usize)
    }

    /// All rows of some pages of a block.
    pub(in super::super) fn pages(&self, block: usize, pages: u8) -> RowSet {
        self.blocks.whole(block, pages)
    }

    /// Whether a row of a block is on some of its pages.
    pub(in super::super) fn is_in(&self, pages: u8, row: u32) -> bool {
        pages & self.blocks.page(row as usize) != 0
    }

    /// The places of a block, as a range of numbers.
    pub(in super::super) fn places(&self, block: usize) -> Range<usize> {
        let before = |end: usize| self.places.partition_point(|place| (place.block as usize) < end);
        before(block)..before(block + 1)
    }

    /// The same, where the places of the blocks before end at `from`.
    pub(in super::super) fn places_from(&self, from: usize, block: usize) -> Range<usize> {
        let left = self.places.get(from..).unwrap_or_default();
        let before = left.iter().take_while(|place| (place.block as usize) < block).count();
        let of_block = left.iter().skip(before).take_while(|place| place.block as usize == block).count();
        from + before..from + before + of_block
    }

    /// The pages that hold values of some places whose rows are not listed: bit 0 is the first.
    pub(in super::super) fn unlisted(&self, places: &Range<usize>) -> u8 {
        let places = self.places.get(places.clone()).unwrap_or_default().iter();
        let unlisted = places.filter(|place| {
            place.listed.is_none() && place.count as usize != self.blocks.rows_of(place.block as usize, place.pages)
        });
        unlisted.fold(0, |pages, place| pages | place.pages)
    }

    /// The rows of a place.
    pub(in super::super) fn rows(&self, place: usize) -> Option<PlaceRows> {
        let place = *self.places.get(place)?;
        let block = place.block as usize;
        let universe = self.blocks.rows_of(block, place.pages);
        if place.count as usize == universe {
            return Some(PlaceRows::Exact(place.pages));
        }
        let Some((run, bit)) = place.listed else {
            return Some(PlaceRows::AtMost(place.pages));
        };
        let number = run as usize;
        let run = self.runs.get(number)?;
        let before = match (run.table, run.before.get()) {
            (None, _) => 0,
            (Some(_), Some(before)) => *before,
            (Some(table), None) => return Some(PlaceRows::Untold(number, table..table + 4)),
        };
        Some(PlaceRows::Listed(Packed { place, bit: run.chunk + before + u64::from(bit), universe }))
    }

    /// Takes in what the table of a run tells.
    pub(in super::super) fn tell(&self, run: usize, bytes: &[u8]) -> Result<()> {
        let before = bytes.first_chunk::<4>().ok_or_else(damaged)?;
        if let Some(run) = self.runs.get(run) {
            run.before.get_or_init(|| u32::from_le_bytes(*before).into());
        }
        Ok(())
    }

    /// The rows that are packed in the bytes of the string at [`Packed::bytes`].
    pub(in super::super) fn unpack(&self, packed: &Packed, bytes: &[u8]) -> Result<RowSet> {
        let Place { block, pages, count, .. } = packed.place;
        let rows = positions::unpack(bytes, (packed.bit % 8) as usize, packed.universe, count as usize)?;
        Ok(self.blocks.spread(block as usize, pages, rows))
    }
}

impl Found {
    /// Puts the rows that are packed, ascending, behind `rows`. For few rows this is less work than to unpack them.
    pub(in super::super) fn append(&self, packed: &Packed, bytes: &[u8], rows: &mut Vec<u32>) -> Result<()> {
        let Place { block, pages, count, .. } = packed.place;
        let before = rows.len();
        positions::append(bytes, (packed.bit % 8) as usize, packed.universe, count as usize, rows)?;
        let added = rows.get_mut(before..).unwrap_or_default();
        let is_within = self.blocks.spread_few(block as usize, pages, added);
        if is_within { Ok(()) } else { Err(damaged()) }
    }

    /// Calls `held` with the place of each of `rows`, ascending, that is packed.
    pub(in super::super) fn find(
        &self,
        packed: &Packed,
        bytes: &[u8],
        rows: &[u32],
        mut held: impl FnMut(usize),
    ) -> Result<()> {
        let Place { block, pages, count, .. } = packed.place;
        let (bit, size) = ((packed.bit % 8) as usize, (packed.universe, count as usize));
        if packed.universe == self.size(block as usize) {
            return positions::find(bytes, bit, size, rows, held);
        }
        let (places, numbers) = self.blocks.gather_few(pages, rows);
        let held = |place: usize| numbers.get(place).into_iter().for_each(|number| held(*number));
        positions::find(bytes, bit, size, &places, held)
    }
}

impl Packed {
    /// The bytes of the string of rows that hold them.
    pub(in super::super) fn bytes(&self) -> Range<u64> {
        let bits = positions::bits(self.universe, self.place.count as usize) as u64;
        self.bit / 8..(self.bit + bits).div_ceil(8)
    }
}
