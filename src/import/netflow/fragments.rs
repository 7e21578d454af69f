//! Datagrams of UDP that were sent in several packets.

use std::collections::HashMap;

use super::ip::{Fragment, Hosts};

/// The most datagrams that wait for the rest of them. The oldest gives way.
const MAX_DATAGRAMS: usize = 256;
/// The most fragments of one: there are fewer in 64 KiB of packets of 576 bytes, which every network carries.
const MAX_FRAGMENTS: usize = 128;
/// The longest datagram.
const MAX_BYTES: usize = 65_535;

/// Puts fragments together. It holds at most 16 MiB.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: HashMap<(Hosts, u32), Waiting>,
    number: u64,
    lost: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The offsets and bytes of the fragments that are there.
    fragments: Vec<(usize, Vec<u8>)>,
    /// Of all of them, once the last is there.
    length: Option<usize>,
    /// When the first one came.
    since: u64,
}

impl Fragments {
    /// Adds a fragment. The answer is the datagram, once it is whole.
    pub(super) fn add(&mut self, fragment: Fragment<'_>) -> Option<Vec<u8>> {
        let key = (fragment.hosts, fragment.id);
        if !self.waiting.contains_key(&key) {
            self.make_room();
            self.number += 1;
            self.waiting.insert(key, Waiting { since: self.number, ..Waiting::default() });
        }
        let waiting = self.waiting.get_mut(&key)?;
        match waiting.add(fragment) {
            Ok(false) => None,
            Ok(true) => self.waiting.remove(&key).map(Waiting::join),
            Err(Contradiction) => {
                self.waiting.remove(&key);
                self.lost += 1;
                None
            }
        }
    }

    /// How many datagrams were not whole, since this was last asked, and at the end those that still wait.
    pub(super) fn take_lost(&mut self, is_end: bool) -> u64 {
        let waiting = if is_end { self.waiting.drain().count() as u64 } else { 0 };
        std::mem::take(&mut self.lost) + waiting
    }

    fn make_room(&mut self) {
        if self.waiting.len() < MAX_DATAGRAMS {
            return;
        }
        let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.since).map(|(key, _)| *key);
        if oldest.is_some_and(|key| self.waiting.remove(&key).is_some()) {
            self.lost += 1;
        }
    }
}

/// Fragments that cannot be of one datagram.
struct Contradiction;

impl Waiting {
    /// Adds a fragment; whether all are there.
    fn add(&mut self, fragment: Fragment<'_>) -> Result<bool, Contradiction> {
        let end = fragment.offset + fragment.bytes.len();
        let is_known = |(offset, bytes): &(usize, Vec<u8>)| *offset == fragment.offset && *bytes == fragment.bytes;
        if self.fragments.iter().any(is_known) {
            return Ok(false);
        }
        let overlaps = |(offset, bytes): &(usize, Vec<u8>)| *offset < end && fragment.offset < offset + bytes.len();
        // RFC 5722, section 3: no fragments that overlap.
        if end > MAX_BYTES || self.fragments.len() == MAX_FRAGMENTS || self.fragments.iter().any(overlaps) {
            return Err(Contradiction);
        }
        if fragment.is_last && self.length.replace(end).is_some() {
            return Err(Contradiction);
        }
        self.fragments.push((fragment.offset, fragment.bytes.to_vec()));
        let there: usize = self.fragments.iter().map(|(_, bytes)| bytes.len()).sum();
        // As none overlap, their lengths tell whether there is a gap.
        match self.length {
            Some(length) if there > length => Err(Contradiction),
            Some(length) => Ok(there == length),
            None => Ok(false),
        }
    }

    fn join(mut self) -> Vec<u8> {
        self.fragments.sort_unstable_by_key(|(offset, _)| *offset);
        self.fragments.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}
