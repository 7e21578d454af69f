//! Where the extensions of a record of nfdump 1.6 are.

use super::fields::{u16_at, u32_at, u64_at};

/// Where a field is, and whether it is the larger of the two that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) is_wide: bool,
}

impl Place {
    pub(super) const fn new(at: usize, is_wide: bool) -> Self {
        Self { at, is_wide }
    }

    /// The number of 4 or 8 bytes there.
    pub(super) fn number(self, bytes: &[u8]) -> Option<u64> {
        if self.is_wide { u64_at(bytes, self.at) } else { u32_at(bytes, self.at).map(u64::from) }
    }

    /// Where a number ends.
    pub(super) const fn end(self) -> usize {
        self.at + if self.is_wide { 8 } else { 4 }
    }
}

/// Where the extensions of records are, from the end of their counts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtensionMap {
    /// Bytes of all.
    pub(super) size: usize,
    /// The first one of unknown size: where others are behind it is not known.
    pub(super) unknown: Option<u16>,
    pub(super) out_packets: Option<Place>,
    pub(super) out_bytes: Option<Place>,
    pub(super) router: Option<Place>,
    pub(super) received: Option<Place>,
    pub(super) event: Option<Place>,
}

impl ExtensionMap {
    /// Reads the record of a map: its number, and the numbers of the extensions from byte 8 on, up to a 0.
    pub(super) fn read(record: &[u8]) -> Option<(u16, Self)> {
        let number = u16_at(record, 6).and(u16_at(record, 4))?;
        let mut map = Self::default();
        let listed = record.get(8..)?.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
        for extension in listed.take_while(|extension| *extension != 0) {
            match size(extension) {
                Some(size) => map.add(extension, size),
                None => {
                    map.unknown = Some(extension);
                    break;
                }
            }
        }
        Some((number, map))
    }

    fn add(&mut self, extension: u16, size: usize) {
        let place = |is_wide| Some(Place::new(self.size, is_wide));
        match extension {
            14 => self.out_packets = place(false),
            15 => self.out_packets = place(true),
            16 => self.out_bytes = place(false),
            17 => self.out_bytes = place(true),
            23 => self.router = place(false),
            24 => self.router = place(true),
            27 => self.received = place(true),
            37 => self.event = place(true),
            _ => {}
        }
        self.size += size;
    }
}

/// Bytes of an extension.
const fn size(extension: u16) -> Option<usize> {
    Some(match extension {
        // The addresses and counts, which every record has.
        1..=3 => 0,
        4 | 6 | 8 | 9 | 11 | 13 | 14 | 16 | 18 | 23 | 25 | 38 => 4,
        5 | 7 | 15 | 17 | 19 | 26 | 27 | 39 | 47 | 48 => 8,
        46 => 12,
        10 | 12 | 20 | 21 | 24 => 16,
        37 => 20,
        41 | 42 | 45 => 24,
        40 => 32,
        22 => 40,
        43 => 72,
        _ => return None,
    })
}
