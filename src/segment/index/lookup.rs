//! Single values of a list, looked up without reading which blocks hold others.

use super::{chunk::Chunk, entries::Entries, postings::Listed};
use crate::error::Result;

/// Where the values of a list lie that are in a range.
#[derive(Debug)]
pub(in super::super) enum Within<'a> {
    /// There are none.
    Nothing,
    /// In this chunk, if there are any.
    Chunk(&'a Chunk),
    /// In several chunks.
    Several,
}

impl Listed {
    /// Where its values from `low` to `high` lie.
    ///
    /// A value lies in the last chunk that begins at or before it. For example, of chunks that begin with 10, 20 and 30 the
    /// values from 12 to 19 are in the first, those from 12 to 20 in the first and the second, and there are none up to 9.
    pub(in super::super) fn within(&self, low: &[u8], high: &[u8]) -> Within<'_> {
        let from = self.chunks.partition_point(|chunk| chunk.first.as_slice() <= low).saturating_sub(1);
        match self.chunks.get(from..).unwrap_or_default() {
            [] => Within::Nothing,
            [only, ..] if only.first.as_slice() > high => Within::Nothing,
            [_, next, ..] if next.first.as_slice() <= high => Within::Several,
            [only, ..] => Within::Chunk(only),
        }
    }

    /// Whether any flow has a value from `low` to `high`, by the bytes of the chunk that all these lie in.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where the bytes are no chunk.
    pub(in super::super) fn holds(&self, chunk: &Chunk, bytes: &[u8], low: &[u8], high: &[u8]) -> Result<bool> {
        let mut entries = Entries::from(bytes, &chunk.first, self.list.width(), low)?;
        while let Some((value, blocks)) = entries.next()? {
            if value >= low {
                return Ok(value <= high);
            }
            entries.skip(blocks)?;
        }
        Ok(false)
    }

    /// How many flows have a value from `low` to `high`, by the bytes of the chunk that all these lie in.
    ///
    /// # Errors
    /// As [`holds`](Self::holds).
    pub(in super::super) fn total(&self, chunk: &Chunk, bytes: &[u8], low: &[u8], high: &[u8]) -> Result<u64> {
        let mut entries = Entries::from(bytes, &chunk.first, self.list.width(), low)?;
        let mut total = 0u64;
        while let Some((value, blocks)) = entries.next()? {
            if value > high {
                break;
            }
            let is_within = value >= low;
            let mut count = 0u64;
            entries.holders(blocks, |holder| count += u64::from(holder.count))?;
            total = total.saturating_add(if is_within { count } else { 0 });
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            entries::{EntryWriter, Holder},
            list::List,
        },
        *,
    };
    use crate::flow::Field;

    /// A list of ports, of which each chunk holds some.
    fn listed(chunks: &[&[u16]]) -> (Listed, Vec<Vec<u8>>) {
        let list = List(vec![Field::DstPort]);
        let (mut placed, mut all) = (Vec::new(), Vec::new());
        for ports in chunks {
            let mut writer = EntryWriter::default();
            for port in *ports {
                let holders =
                    [Holder { block: 3, pages: 5, count: 2 }, Holder { block: 9, pages: 1, count: (*port).into() }];
                writer.push(&list.key((*port).into()), list.width(), holders.into_iter());
            }
            let (first, bytes) = writer.finish();
            placed.push(Chunk { first, place: 0..0, length: bytes.len() as u32, checksum: 0 });
            all.push(bytes);
        }
        (Listed { list, chunks: placed, rows: None }, all)
    }

    #[test]
    fn every_range_has_the_total_of_its_values() {
        let many: Vec<u16> = (100..300).step_by(3).collect();
        let chunks = [&[10u16, 12, 19] as &[u16], &[20, 29], &many];
        let (listed, bytes) = listed(&chunks);
        let key = |port: u16| listed.list.key(port.into());
        for low in 0..310u16 {
            for high in [low, low + 1, low + 7, low + 90] {
                let values = || chunks.iter().flat_map(|ports| ports.iter()).filter(|port| (low..=high).contains(port));
                let expected: u64 = values().map(|port| u64::from(*port) + 2).sum();
                let holding =
                    chunks.iter().filter(|ports| ports.iter().any(|port| (low..=high).contains(port))).count();
                match listed.within(&key(low), &key(high)) {
                    Within::Nothing => assert_eq!(expected, 0, "{low} to {high}"),
                    Within::Several => assert!(holding > 0, "{low} to {high}"),
                    Within::Chunk(chunk) => {
                        let place = listed.chunks.iter().position(|each| each == chunk).unwrap();
                        let total = listed.total(chunk, &bytes[place], &key(low), &key(high)).unwrap();
                        let holds = listed.holds(chunk, &bytes[place], &key(low), &key(high)).unwrap();
                        assert_eq!((total, holds), (expected, expected > 0), "{low} to {high}");
                    }
                }
            }
        }
    }
}
