//! Whether a list that lies in a file is the one that is built of its rows.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use twox_hash::XxHash64;

use super::{
    blocks::Blocks,
    built::Built,
    chunk::Chunk,
    entries::{Entries, RESTART},
    input::damaged,
    positions,
    postings::Listed,
};
use crate::error::{Error, Result};

impl Built {
    /// Whether it has the same entries and rows as `listed`, whose parts `read` reads, however these are cut, and whether
    /// it says truly which rows are listed, and each chunk begins with the value by which a question finds it.
    pub(in super::super) fn is_of(
        &self,
        listed: &Listed,
        blocks: &Blocks,
        mut read: impl FnMut(&Chunk) -> Result<Bytes>,
    ) -> Result<bool> {
        let (mut built, mut stored) = (Digest::new(blocks), Digest::new(blocks));
        let width = self.list.width();
        let totals = listed.rows.as_ref().map(|rows| &rows.totals);
        for chunk in &self.chunks {
            let rows = totals.map(|totals| chunk.rows.select(totals)).transpose()?;
            let rows = totals.zip(rows.as_deref());
            built.chunk(&chunk.bytes, &chunk.first, width, |total| {
                rows.filter(|(totals, _)| totals.contains(&total)).map(|(_, rows)| rows)
            })?;
        }
        let mut string = Vec::new();
        if let Some(rows) = &listed.rows {
            rows.pieces.iter().try_for_each(|piece| {
                string.extend(read(piece)?);
                Ok::<_, Error>(())
            })?;
        }
        // Neither more nor less is said to be listed than is.
        let mut begins = totals.is_none_or(|totals| self.occurring(totals) == *totals);
        for (number, chunk) in listed.chunks.iter().enumerate() {
            let bytes = read(chunk)?;
            let mut entries = Entries::from(&bytes, &chunk.first, width, &[])?;
            begins &= entries.next()?.is_some_and(|(value, _)| value == chunk.first.as_slice());
            let rows = listed.rows.as_ref().map(|rows| {
                let of = |number: usize| rows.starts.get(number).and_then(|start| usize::try_from(*start).ok());
                let bytes = of(number).zip(of(number + 1)).and_then(|(start, end)| string.get(start..end));
                (&rows.totals, bytes.unwrap_or_default())
            });
            stored.chunk(&bytes, &chunk.first, width, |total| {
                rows.filter(|(totals, _)| totals.contains(&total)).map(|(_, rows)| rows)
            })?;
        }
        Ok(begins && built.sum.finish() == stored.sum.finish())
    }
}

/// A checksum of entries and of rows.
struct Digest<'a> {
    blocks: &'a Blocks,
    sum: XxHash64,
}

impl<'a> Digest<'a> {
    fn new(blocks: &'a Blocks) -> Self {
        Self { blocks, sum: XxHash64::with_seed(0) }
    }

    /// Takes in a chunk. `rows` answers the rows of all its values, if those of a value that so many flows have are among
    /// them.
    fn chunk<'r>(
        &mut self,
        bytes: &[u8],
        first: &[u8],
        width: Option<usize>,
        rows: impl Fn(u32) -> Option<&'r [u8]>,
    ) -> Result<()> {
        let mut entries = Entries::from(bytes, first, width, &[])?;
        let (restarts, _) = entries.restarts();
        let (mut bit, mut number) = (0, 0usize);
        let mut table: Vec<(usize, usize)> = Vec::new();
        let mut all: Option<&[u8]> = None;
        while let Some((value, count)) = entries.next()? {
            value.hash(&mut self.sum);
            let mut holders = Vec::new();
            entries.holders(count, |holder| holders.push(holder))?;
            if number > 0 && number.is_multiple_of(RESTART) {
                table.push((table.len(), bit));
            }
            number += 1;
            let total = holders.iter().fold(0u32, |total, holder| total.saturating_add(holder.count));
            let rows = rows(total);
            all = all.or(rows);
            for holder in holders {
                (holder.block, holder.pages, holder.count).hash(&mut self.sum);
                let Some(rows) = rows else { continue };
                let (universe, count) =
                    (self.blocks.rows_of(holder.block as usize, holder.pages), holder.count as usize);
                if count > universe {
                    return Err(damaged());
                }
                let bits = positions::bits(universe, count);
                if bits > 0 {
                    let places = positions::unpack(rows, restarts * 32 + bit, universe, count)?;
                    places.iter().for_each(|place| place.hash(&mut self.sum));
                }
                bit += bits;
            }
        }
        // The table by which a question finds the rows, and nothing behind them.
        let Some(rows) = all.filter(|_| bit > 0) else { return Ok(()) };
        let (told, _) = rows.as_chunks::<4>();
        let is_true = |(number, bit): &(usize, usize)| {
            told.get(*number).is_some_and(|told| u32::from_le_bytes(*told) as usize == *bit)
        };
        if table.iter().all(is_true) && rows.len() == restarts * 4 + bit.div_ceil(8) { Ok(()) } else { Err(damaged()) }
    }
}
