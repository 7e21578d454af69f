//! A run of the entries of a list.

use std::ops::Range;

use twox_hash::XxHash64;

use super::{entries::Entries, input::damaged, postings::List};
use crate::{error::Result, filter::Filter, segment::Tally};

/// A run of entries of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Chunk {
    /// The value of its first entry.
    pub(in super::super) first: Vec<u8>,
    /// Where its bytes lie in the file.
    pub(in super::super) place: Range<u64>,
    /// The XXH64 of its bytes.
    pub(super) checksum: u64,
}

impl Chunk {
    /// Whether these are its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where they are not those that were written.
    pub(in super::super) fn check(&self, bytes: &[u8]) -> Result<()> {
        if XxHash64::oneshot(0, bytes) == self.checksum { Ok(()) } else { Err(damaged()) }
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
