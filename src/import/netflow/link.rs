//! From the packet of a link to that of the internet protocol.

use super::{bytes::Bytes, capture::Packet};

/// The most VLAN tags before a packet.
const MAX_TAGS: usize = 4;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// A packet of IPv4 or IPv6.
    Ip(&'a [u8]),
    /// Something else, or nothing that is whole.
    Other,
    /// The headers of this link type are not known here.
    Unknown,
}

/// What a packet carries, by its link type (<https://www.tcpdump.org/linktypes.html>).
pub(super) fn carried(packet: Packet<'_>) -> Carried<'_> {
    let mut bytes = Bytes::new(packet.bytes);
    let ip = match packet.link {
        // Ethernet: two addresses, then a type.
        1 => bytes.take(12).and_then(|_| typed(bytes)),
        // Loopback of the BSDs: the address family, in one byte order or the other.
        0 | 108 => bytes.take(4).map(|_| bytes.rest()),
        // None: the packet itself. 12 and 14 are what some systems write for 101.
        12 | 14 | 101 | 228 | 229 => Some(bytes.rest()),
        // Linux, cooked: the type is the end of the header in version 1, and its beginning in version 2.
        113 => bytes.take(14).and_then(|_| typed(bytes)),
        276 => cooked_v2(bytes),
        _ => return Carried::Unknown,
    };
    ip.map_or(Carried::Other, Carried::Ip)
}

/// What follows a type, with VLAN tags (IEEE 802.1Q and 802.1ad) or without.
fn typed(mut bytes: Bytes<'_>) -> Option<&[u8]> {
    for _ in 0..=MAX_TAGS {
        match bytes.u16()? {
            IPV4 | IPV6 => return Some(bytes.rest()),
            0x8100 | 0x88a8 | 0x9100 => bytes.take(2)?,
            _ => return None,
        };
    }
    None
}

fn cooked_v2(mut bytes: Bytes<'_>) -> Option<&[u8]> {
    let kind = bytes.u16()?;
    bytes.take(18)?;
    match kind {
        IPV4 | IPV6 => Some(bytes.rest()),
        0x8100 | 0x88a8 | 0x9100 => {
            bytes.take(2)?;
            typed(bytes)
        }
        _ => None,
    }
}
