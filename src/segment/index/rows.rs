//! Where the lists of rows lie: for values of a list, which rows hold them.
//!
//! The rows of a list are one string of bytes, cut into pieces that are read one by one. What follows from the entries of
//! the list is not in it: how many rows a value has in a block, and so how many bits they take.

use std::ops::{Range, RangeInclusive};

use twox_hash::XxHash64;

use super::{
    chunk::{Chunk, pack},
    input::{Input, damaged, too_large},
};
use crate::error::Result;

/// Bytes of a piece, but the last.
pub(in super::super) const PIECE_BYTES: usize = 16_384;

/// The rows of the values of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct RowLists {
    /// The rows of a value are listed where so many flows have it.
    pub(super) totals: RangeInclusive<u32>,
    /// For each chunk of the list the byte of the string where its rows begin, and where the last ones end.
    pub(super) starts: Vec<u64>,
    /// The pieces of the string.
    pub(super) pieces: Vec<Chunk>,
}

impl RowLists {
    /// Cuts a string into pieces, which lie in the file one behind the other from byte `start` on; and their bytes.
    pub(super) fn place(
        totals: RangeInclusive<u32>,
        chunks: &[Vec<u8>],
        start: u64,
        file: &mut Vec<u8>,
    ) -> Result<Self> {
        let ends = chunks.iter().scan(0, |end, chunk| {
            *end += chunk.len() as u64;
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        let string = chunks.concat();
        let mut pieces = Vec::with_capacity(string.len().div_ceil(PIECE_BYTES));
        for piece in string.chunks(PIECE_BYTES) {
            let packed = pack(piece)?;
            let from = start + file.len() as u64;
            file.extend(&packed);
            let length = u32::try_from(piece.len()).map_err(|_| too_large())?;
            let checksum = XxHash64::oneshot(0, &packed);
            let place = from..start + file.len() as u64;
            pieces.push(Chunk { first: Vec::new(), place, length, checksum });
        }
        Ok(Self { totals, starts, pieces })
    }

    /// Whether any of the rows of a chunk are listed; and the byte of the string where they begin.
    pub(super) fn of_chunk(&self, chunk: usize) -> Option<u64> {
        let (start, end) = (self.starts.get(chunk)?, self.starts.get(chunk + 1)?);
        (start < end).then_some(*start)
    }

    /// The pieces of some bytes of the string, and where in these the bytes begin.
    pub(in super::super) fn pieces(&self, bytes: &Range<u64>) -> (Range<usize>, usize) {
        let piece = PIECE_BYTES as u64;
        let first = bytes.start / piece;
        let of = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (of(first)..of(bytes.end.div_ceil(piece).max(first)), of(bytes.start - first * piece))
    }

    /// A piece of the string.
    pub(in super::super) fn piece(&self, piece: usize) -> Option<&Chunk> {
        self.pieces.get(piece)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.totals.start().to_le_bytes());
        out.extend(self.totals.end().to_le_bytes());
        for start in &self.starts {
            out.extend(u32::try_from(*start).map_err(|_| too_large())?.to_le_bytes());
        }
        for piece in &self.pieces {
            let length = u32::try_from(piece.place.end - piece.place.start).map_err(|_| too_large())?;
            out.extend(length.to_le_bytes());
            out.extend(piece.checksum.to_le_bytes());
        }
        Ok(())
    }

    /// Reads them, for a list of so many chunks, whose pieces lie in the file from byte `start` on.
    pub(super) fn decode(input: &mut Input<'_>, chunks: usize, mut start: u64) -> Result<Self> {
        let totals = input.number()?..=input.number()?;
        // Checked before anything of that size is made.
        if input.left() / 4 < chunks {
            return Err(damaged());
        }
        let starts = (0..=chunks).map(|_| input.number().map(u64::from)).collect::<Result<Vec<_>>>()?;
        let length = starts.last().copied().unwrap_or(0);
        if !starts.is_sorted() || starts.first() != Some(&0) || input.left() as u64 / 12 < length / PIECE_BYTES as u64 {
            return Err(damaged());
        }
        let mut pieces = Vec::new();
        for from in (0..length).step_by(PIECE_BYTES) {
            let end = start.checked_add(input.number()?.into()).ok_or_else(damaged)?;
            let length = (length - from).min(PIECE_BYTES as u64) as u32;
            let checksum = u64::from_le_bytes(input.array()?);
            pieces.push(Chunk { first: Vec::new(), place: start..end, length, checksum });
            start = end;
        }
        Ok(Self { totals, starts, pieces })
    }

    /// The byte of the file where the last piece ends; `start` where there is none.
    pub(super) fn end(&self, start: u64) -> u64 {
        self.pieces.last().map_or(start, |piece| piece.place.end)
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.starts.as_slice()) + size_of_val(self.pieces.as_slice())
    }
}
