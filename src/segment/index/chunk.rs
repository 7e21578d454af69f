//! A run of the entries of a list.

use std::ops::Range;

use bytes::Bytes;
use twox_hash::XxHash64;

use super::{entries::Entries, input::damaged, list::List};
use crate::{error::Result, filter::Filter, segment::Tally};

/// No chunk has more bytes: a value that is in every block of the largest segment takes less.
const LARGEST: usize = 64 << 20;

/// A run of entries of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Chunk {
    /// The value of its first entry.
    pub(in super::super) first: Vec<u8>,
    /// Where its bytes lie in the file.
    pub(in super::super) place: Range<u64>,
    /// Bytes that it has, decompressed.
    pub(super) length: u32,
    /// The XXH64 of its bytes in the file.
    pub(super) checksum: u64,
}

impl Chunk {
    /// Whether these, in the file, are the bytes that were written.
    pub(in super::super) fn is_of(&self, packed: &[u8]) -> bool {
        XxHash64::oneshot(0, packed) == self.checksum
    }

    /// Its bytes, from those in the file.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where they are not those that were written.
    pub(in super::super) fn unpack(&self, packed: &[u8]) -> Result<Bytes> {
        let length = self.length as usize;
        if !self.is_of(packed) || length > LARGEST {
            return Err(damaged());
        }
        let bytes = zstd::bulk::decompress(packed, length).map_err(|_| damaged())?;
        if bytes.len() == length { Ok(bytes.into()) } else { Err(damaged()) }
    }

    /// Adds to `tallies`, block by block, the flows that pass `part`, a filter on the columns of `list`, whose values
    /// lie from `low` to `high`.
    pub(in super::super) fn tally(
        &self,
        bytes: &[u8],
        list: &List,
        part: &Filter,
        (low, high): (&[u8], &[u8]),
        tallies: &mut [Tally],
    ) -> Result<()> {
        let mut entries = Entries::from(bytes, &self.first, list.width(), low)?;
        while let Some((value, blocks)) = entries.next()? {
            if value > high {
                break;
            }
            let passes = part.holds(&|field| list.value(value, field));
            entries.holders(blocks, |holder| {
                if passes && let Some(tally) = tallies.get_mut(holder.block as usize) {
                    tally.count = tally.count.saturating_add(holder.count);
                    tally.pages |= holder.pages;
                }
            })?;
        }
        Ok(())
    }
}
