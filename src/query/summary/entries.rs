//! Groups of which several may have the same key, and their sums.

use std::{
    hash::{BuildHasher, Hasher},
    ops::Range,
};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::{
    sums::{Known, Sums},
    words::Word,
};

/// The word of each field that flows are grouped by; 0 where there is no second one.
pub(in crate::query) type Key = [Word; 2];

/// Some flows of a group, or all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) counted: Counted,
    pub(super) source: u64,
    pub(super) dest: u64,
}

/// How many flows there are, and, in the two highest bits, of which numbers any of them has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted(u64);

impl Counted {
    const KNOWN_SHIFT: u32 = u64::BITS - 2;
    const FLOWS: u64 = (1 << Self::KNOWN_SHIFT) - 1;

    pub(super) fn new(flows: u64, known: Known) -> Self {
        Self(flows | u64::from(known.bits()) << Self::KNOWN_SHIFT)
    }

    pub(super) fn flows(self) -> u64 {
        self.0 & Self::FLOWS
    }

    pub(super) fn known(self) -> Known {
        Known::from_bits((self.0 >> Self::KNOWN_SHIFT) as u8)
    }

    fn add(&mut self, other: Self) {
        *self = Self((self.flows() + other.flows()) | ((self.0 | other.0) & !Self::FLOWS));
    }
}

/// Fewer entries than this are not put together.
const FEW: usize = 128;
/// So many shards there are, by the highest bits of a hash: of ten million groups those of a shard lie in the cache of a
/// processor.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 10;
/// No place.
const FREE: u32 = u32::MAX;

/// Entries, one behind the other. Those with the same key are put together whenever their number has doubled: so they take
/// at most about twice the memory of the groups, and are seldom looked at.
///
/// ```text
/// a 1, b 1, a 1, c 1      ->  a 2, b 1, c 1      ->  a 2, b 1, c 1, c 1, a 1, d 1   ->  a 3, b 1, c 2, d 1
/// ```
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    /// So many of the first have different keys.
    different: usize,
    /// How often the bytes of a group have passed 2^64, those of sources and those of destinations.
    carried: HashMap<Key, (u64, u64)>,
}

impl Entries {
    /// Adds entries.
    pub(super) fn extend(&mut self, entries: &[Entry], hasher: &DefaultHashBuilder) {
        if self.all.len() >= 2 * self.different.max(FEW) {
            self.join(hasher);
        }
        self.all.extend_from_slice(entries);
    }

    /// Puts entries with the same key together.
    pub(super) fn join(&mut self, hasher: &DefaultHashBuilder) {
        let Self { all, different, carried } = self;
        if *different == all.len() {
            return;
        }
        // The places of entries, by their hashes: at most half of them are taken.
        let mut places = vec![FREE; (2 * all.len()).next_power_of_two()];
        let mask = places.len() - 1;
        let mut joined = 0;
        for next in 0..all.len() {
            #[expect(clippy::indexing_slicing, reason = "places are within the entries, and slots within the mask")]
            {
                let entry = all[next];
                let mut slot = hash(entry.key, hasher) as usize & mask;
                while places[slot] != FREE && all[places[slot] as usize].key != entry.key {
                    slot = (slot + 1) & mask;
                }
                if places[slot] == FREE {
                    places[slot] = joined as u32;
                    all[joined] = entry;
                    joined += 1;
                } else {
                    add(&mut all[places[slot] as usize], &entry, carried);
                }
            }
        }
        all.truncate(joined);
        *different = joined;
    }

    /// Lets go of memory that is not in use.
    pub(super) fn shrink(&mut self) {
        self.all.shrink_to_fit();
    }

    /// The entries.
    pub(super) fn as_slice(&self) -> &[Entry] {
        &self.all
    }

    /// What an entry adds up to. Its key is that of no other.
    pub(super) fn sums(&self, entry: &Entry) -> Sums {
        let carried = self.carried.get(&entry.key).filter(|_| !self.carried.is_empty()).copied().unwrap_or_default();
        let bytes = |carried: u64, rest: u64| u128::from(carried) << 64 | u128::from(rest);
        Sums {
            flows: entry.counted.flows(),
            known: entry.counted.known(),
            source: bytes(carried.0, entry.source),
            dest: bytes(carried.1, entry.dest),
        }
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        self.all.capacity() * size_of::<Entry>() + self.carried.allocation_size()
    }
}

/// Adds the sums of an entry to those of another with the same key.
fn add(to: &mut Entry, entry: &Entry, carried: &mut HashMap<Key, (u64, u64)>) {
    to.counted.add(entry.counted);
    let (source, is_source_carried) = to.source.overflowing_add(entry.source);
    let (dest, is_dest_carried) = to.dest.overflowing_add(entry.dest);
    (to.source, to.dest) = (source, dest);
    if is_source_carried || is_dest_carried {
        let carried = carried.entry(to.key).or_default();
        carried.0 += u64::from(is_source_carried);
        carried.1 += u64::from(is_dest_carried);
    }
}

fn hash([first, second]: Key, hasher: &DefaultHashBuilder) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u64(first);
    hasher.write_u64(second);
    hasher.finish()
}

/// Entries in the order of the shards that they belong to, and which of them belong to each.
pub(super) fn parted(entries: &[Entry], hasher: &DefaultHashBuilder) -> (Vec<Entry>, Vec<Range<usize>>) {
    // Within a shard, entries are told apart by the lowest bits.
    let shard = |entry: &Entry| (hash(entry.key, hasher) >> (u64::BITS - SHARD_BITS)) as u16;
    let shards: Vec<u16> = entries.iter().map(shard).collect();
    let mut ranges = vec![0..0; SHARDS];
    for shard in &shards {
        ranges.iter_mut().skip(usize::from(*shard)).take(1).for_each(|range| range.end += 1);
    }
    let mut start = 0;
    for range in &mut ranges {
        let length = range.end;
        *range = start..start;
        start += length;
    }
    let mut parted = vec![Entry::default(); entries.len()];
    for (entry, shard) in entries.iter().zip(shards) {
        #[expect(clippy::indexing_slicing, reason = "it has one place for each entry")]
        {
            let range = &mut ranges[usize::from(shard)];
            parted[range.end] = *entry;
            range.end += 1;
        }
    }
    (parted, ranges)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn joined_entries_add_up_to_what_the_single_ones_do(
            batches in vec(vec((0u64..40, 0u64..3, any::<u64>(), 0u8..4), 0..700), 1..6),
        ) {
            let hasher = DefaultHashBuilder::default();
            let (mut entries, mut expected) = (Entries::default(), BTreeMap::<Key, Sums>::new());
            for batch in batches {
                let entry = |(a, b, source, known)| {
                    let counted = Counted::new(1, Known::from_bits(known));
                    Entry { key: [a, b], counted, source, dest: !source }
                };
                let batch: Vec<Entry> = batch.into_iter().map(entry).collect();
                for entry in &batch {
                    let known = entry.counted.known();
                    let one = Sums { flows: 1, known, source: entry.source.into(), dest: entry.dest.into() };
                    expected.entry(entry.key).or_default().add(&one);
                }
                let (parted, ranges) = parted(&batch, &hasher);
                prop_assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), batch.len());
                ranges.iter().for_each(|range| entries.extend(&parted[range.clone()], &hasher));
            }
            entries.join(&hasher);
            entries.shrink();
            let found = entries.as_slice().iter().map(|entry| (entry.key, entries.sums(entry)));
            let (found, count) = (found.collect::<BTreeMap<_, _>>(), entries.as_slice().len());
            prop_assert_eq!((found, count), (expected.clone(), expected.len()));
        }
    }
}
