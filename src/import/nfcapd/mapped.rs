//! Records of nfdump 1.6: fixed fields, and then what an extension map lists.
//!
//! A record has 32 bytes, of which bits of `flags` (at 4) say how large what follows is: both addresses, the packets and the
//! bytes. Then come the extensions of its map, one after the other. For instance, a record with the flags 0b100 whose map lists
//! the extensions 9 and 16 (4 bytes each) has the addresses at 32 and 36, the packets at 40, the bytes at 44, the next hop at
//! 52 and the bytes that were sent back at 56.

use super::{
    definitions::Definitions,
    draft::Draft,
    extension_map::{ExtensionMap, Place},
    fields::{ipv4_at, ipv6_at, u8_at, u16_at, u32_at},
};
use crate::import::Remarks;

/// Bytes of the fixed fields.
const FIXED_BYTES: usize = 32;
/// As many as there were up to nfdump 1.6.9: without the number of the exporter, which was beside the flags.
const OLD_FIXED_BYTES: usize = 28;

/// Bits of `flags`.
const IPV6: u16 = 1;
const WIDE_PACKETS: u16 = 2;
const WIDE_BYTES: u16 = 4;

/// Reads what a record says of a flow.
pub(super) fn read(record: &[u8], definitions: &Definitions, remarks: &mut Remarks) -> Result<Draft, String> {
    let fields = u16_at(record, 4).zip(u16_at(record, 28));
    let (flags, exporter) = fields.ok_or_else(|| cut_off(record))?;
    let mut draft = Draft { exporter, ..Draft::default() };
    draft.read(record, FIXED_BYTES, flags, definitions, remarks)?;
    Ok(draft)
}

/// [`read`] of a record of the first versions of nfdump 1.6.
pub(super) fn read_old(record: &[u8], definitions: &Definitions, remarks: &mut Remarks) -> Result<Draft, String> {
    let fields = u8_at(record, 4).zip(u8_at(record, 5));
    let (flags, exporter) = fields.ok_or_else(|| cut_off(record))?;
    let mut draft = Draft { exporter: exporter.into(), ..Draft::default() };
    draft.read(record, OLD_FIXED_BYTES, flags.into(), definitions, remarks)?;
    Ok(draft)
}

fn cut_off(record: &[u8]) -> String {
    format!("the record is cut off after {} bytes", record.len())
}

impl Draft {
    fn read(
        &mut self,
        record: &[u8],
        fixed: usize,
        flags: u16,
        definitions: &Definitions,
        remarks: &mut Remarks,
    ) -> Result<(), String> {
        let number = self.add_fixed(record).ok_or_else(|| cut_off(record))?;
        let at = self.add_sized(record, fixed, flags).ok_or_else(|| cut_off(record))?;
        // Where the block with the map was damaged, the rest of the record still means what it says.
        let Some(map) = definitions.map(number) else {
            remarks.ignored(&format!("extension map {number}"), 1, None);
            return Ok(());
        };
        if let Some(extension) = map.unknown {
            remarks.ignored(&format!("extension {extension}"), 1, None);
        }
        let extensions = record.get(at..).filter(|extensions| extensions.len() >= map.size);
        let extensions = extensions.ok_or_else(|| {
            format!("the record has {} bytes; its extension map {number} needs {}", record.len(), at + map.size)
        })?;
        self.add_mapped(extensions, map).ok_or_else(|| cut_off(record))
    }

    /// Adds the fields that are at the same place in every record; gives the number of its extension map.
    fn add_fixed(&mut self, record: &[u8]) -> Option<u16> {
        self.first = millis(u32_at(record, 12)?, u16_at(record, 8)?);
        self.last = millis(u32_at(record, 16)?, u16_at(record, 10)?);
        self.tcp_flags = u8_at(record, 21)?;
        self.protocol = u8_at(record, 22)?;
        self.src_port = u16_at(record, 24)?;
        self.dst_port = u16_at(record, 26)?;
        u16_at(record, 6)
    }

    /// Adds the addresses and counts; gives where they end.
    fn add_sized(&mut self, record: &[u8], at: usize, flags: u16) -> Option<usize> {
        let at = if flags & IPV6 != 0 {
            self.addresses = Some((ipv6_at(record, at)?, ipv6_at(record, at + 16)?));
            at + 32
        } else {
            self.addresses = Some((ipv4_at(record, at)?, ipv4_at(record, at + 4)?));
            at + 8
        };
        let packets = Place::new(at, flags & WIDE_PACKETS != 0);
        let bytes = Place::new(packets.end(), flags & WIDE_BYTES != 0);
        self.packets = packets.number(record)?;
        self.bytes = bytes.number(record)?;
        Some(bytes.end())
    }

    /// Adds what an extension map lists; `None` where it is cut off.
    fn add_mapped(&mut self, extensions: &[u8], map: &ExtensionMap) -> Option<()> {
        if let Some(place) = map.out_packets {
            self.out_packets = Some(place.number(extensions)?);
        }
        if let Some(place) = map.out_bytes {
            self.out_bytes = Some(place.number(extensions)?);
        }
        if let Some(place) = map.router {
            let Place { at, is_wide } = place;
            self.router = Some(if is_wide { ipv6_at(extensions, at) } else { ipv4_at(extensions, at) }?);
        }
        if let Some(place) = map.received {
            self.received = place.number(extensions)?;
        }
        if let Some(place) = map.event {
            self.event = place.number(extensions)?;
        }
        Some(())
    }
}

fn millis(seconds: u32, millis: u16) -> u64 {
    u64::from(seconds) * 1000 + u64::from(millis)
}
