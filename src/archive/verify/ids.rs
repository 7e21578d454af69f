//! Which flow IDs were seen.

use std::collections::HashMap;

/// A set of numbers that lie mostly side by side: a bit each.
#[derive(Debug, Default)]
pub(in super::super) struct IdSet {
    chunks: HashMap<u64, Box<[u64; CHUNK_WORDS]>>,
}

const CHUNK_WORDS: usize = 1024;

impl IdSet {
    /// Whether a number is there.
    pub(in super::super) fn contains(&self, id: u64) -> bool {
        let (word, bit) = (id / 64, 1u64 << (id % 64));
        let chunk = self.chunks.get(&(word / CHUNK_WORDS as u64));
        chunk.and_then(|chunk| chunk.get((word % CHUNK_WORDS as u64) as usize)).is_some_and(|word| word & bit != 0)
    }

    /// Adds a number; whether it was not there yet.
    pub(in super::super) fn insert(&mut self, id: u64) -> bool {
        let (word, bit) = (id / 64, 1u64 << (id % 64));
        let chunk = self.chunks.entry(word / CHUNK_WORDS as u64).or_insert_with(|| Box::new([0; CHUNK_WORDS]));
        let Some(word) = chunk.get_mut((word % CHUNK_WORDS as u64) as usize) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_new_once() {
        let mut ids = IdSet::default();
        for id in [0, 1, 63, 64, 65_535, 65_536, u64::MAX] {
            assert!(!ids.contains(id) && ids.insert(id) && ids.contains(id) && !ids.insert(id), "{id}");
        }
    }
}
