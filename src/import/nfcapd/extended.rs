//! Records of nfdump 1.7: extensions, each with its type and length.
//!
//! A record has 12 bytes, among them its size (at 2), the number of its extensions (at 4) and that of its exporter (at 8). Each
//! extension has 4 bytes, its type and its length with these, and then its fields.

use super::{
    draft::Draft,
    fields::{ipv4_at, ipv6_at, u8_at, u16_at, u64_at},
};

/// Bytes of a record before its extensions.
const RECORD_BYTES: usize = 12;
/// Bytes of an extension before its fields.
const EXTENSION_BYTES: usize = 4;

/// Times, ports and counts, which every flow has.
const GENERIC: u16 = 1;

/// Reads what a record says of a flow.
pub(super) fn read(record: &[u8]) -> Result<Draft, String> {
    let (Some(count), Some(exporter), Some(mut rest)) =
        (u16_at(record, 4), u16_at(record, 8), record.get(RECORD_BYTES..))
    else {
        return Err(format!("the record has {} bytes; allowed are {RECORD_BYTES} or more", record.len()));
    };
    let mut draft = Draft { exporter, ..Draft::default() };
    let mut is_flow = false;
    for _ in 0..count {
        let (kind, fields, others) = split(rest)?;
        draft.add(kind, fields).ok_or_else(|| format!("extension {kind} is cut off after {} bytes", fields.len()))?;
        is_flow |= kind == GENERIC;
        rest = others;
    }
    match (rest.len(), is_flow) {
        (0, true) => Ok(draft),
        (0, false) => Err(format!("the record lacks extension {GENERIC}, which has the times and counts")),
        (left, _) => Err(format!("the record has {left} bytes behind its {count} extensions")),
    }
}

/// The type and the fields of the first extension, and what follows it.
fn split(rest: &[u8]) -> Result<(u16, &[u8], &[u8]), String> {
    let left = rest.len();
    let (Some(kind), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else {
        return Err(format!("the record has {left} bytes where an extension should be"));
    };
    let extension = rest.split_at_checked(length.into());
    extension.and_then(|(extension, others)| Some((kind, extension.get(EXTENSION_BYTES..)?, others))).ok_or_else(|| {
        format!(
            "extension {kind} has a length of {length} bytes; allowed are {EXTENSION_BYTES} to the {left} that are left"
        )
    })
}

impl Draft {
    /// Adds the fields of an extension; `None` where they are cut off.
    fn add(&mut self, kind: u16, fields: &[u8]) -> Option<()> {
        match kind {
            GENERIC => {
                self.first = u64_at(fields, 0)?;
                self.last = u64_at(fields, 8)?;
                self.received = u64_at(fields, 16)?;
                self.packets = u64_at(fields, 24)?;
                self.bytes = u64_at(fields, 32)?;
                self.src_port = u16_at(fields, 40)?;
                self.dst_port = u16_at(fields, 42)?;
                self.protocol = u8_at(fields, 44)?;
                self.tcp_flags = u8_at(fields, 45)?;
            }
            2 => self.addresses = Some((ipv4_at(fields, 0)?, ipv4_at(fields, 4)?)),
            3 => self.addresses = Some((ipv6_at(fields, 0)?, ipv6_at(fields, 16)?)),
            // Before these, the number of flows that were aggregated.
            5 => (self.out_packets, self.out_bytes) = (Some(u64_at(fields, 8)?), Some(u64_at(fields, 16)?)),
            12 => self.router = Some(ipv4_at(fields, 0)?),
            13 => self.router = Some(ipv6_at(fields, 0)?),
            // An event of a firewall or of address translation.
            19 | 25 => self.event = u64_at(fields, 0)?,
            _ => {}
        }
        Some(())
    }
}
