//! From packets of IPv4 and IPv6 to datagrams of UDP.

use super::bytes::Bytes;
use crate::flow::Address;

const UDP: u8 = 17;
/// The most extension headers of an IPv6 packet.
const MAX_EXTENSIONS: usize = 8;

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held<'a> {
    /// A datagram of UDP, with its header.
    Udp(Hosts, &'a [u8]),
    /// A part of one.
    Fragment(Fragment<'a>),
    /// Something else.
    Other,
}

/// The addresses of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hosts {
    pub(super) source: Address,
    pub(super) destination: Address,
}

/// A part of what a packet held before it was fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) hosts: Hosts,
    /// The same number for all fragments of a packet.
    pub(super) id: u32,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
    pub(super) is_last: bool,
    pub(super) bytes: &'a [u8],
}

/// A datagram of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) ends: Ends,
    pub(super) payload: &'a [u8],
    /// Whether all of the payload is there; captures may have the beginning of packets alone.
    pub(super) is_whole: bool,
}

/// Between whom a datagram was sent: the transport session of RFC 7011, section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) hosts: Hosts,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

/// What a packet of IPv4 or IPv6 holds.
pub(super) fn held(packet: &[u8]) -> Held<'_> {
    let held = match packet.first().map(|byte| byte >> 4) {
        Some(4) => held_v4(packet),
        Some(6) => held_v6(packet),
        _ => None,
    };
    held.unwrap_or(Held::Other)
}

/// RFC 791, section 3.1.
fn held_v4(packet: &[u8]) -> Option<Held<'_>> {
    let mut header = Bytes::new(packet);
    let length = usize::from(header.u8()? & 0x0f) * 4;
    header.u8()?;
    // What is captured as it is handed to the network card for segmentation has no length yet.
    let total = match header.u16()? {
        0 => packet.len(),
        total => usize::from(total),
    };
    let id = header.u16()?.into();
    let place = header.u16()?;
    header.u8()?;
    if header.u8()? != UDP || length < 20 {
        return None;
    }
    header.u16()?;
    let address = |bytes: [u8; 4]| Address::from(std::net::IpAddr::from(bytes));
    let hosts = Hosts { source: address(header.array()?), destination: address(header.array()?) };
    let bytes = packet.get(length..total.min(packet.len()))?;
    let (offset, is_last) = (usize::from(place & 0x1fff) * 8, place & 0x2000 == 0);
    Some(if offset == 0 && is_last {
        Held::Udp(hosts, bytes)
    } else if total > packet.len() {
        // A fragment that was not captured whole.
        Held::Other
    } else {
        Held::Fragment(Fragment { hosts, id, offset, is_last, bytes })
    })
}

/// RFC 8200, sections 3 and 4.
fn held_v6(packet: &[u8]) -> Option<Held<'_>> {
    let mut header = Bytes::new(packet);
    header.u32()?;
    let length = match header.u16()? {
        0 => usize::MAX,
        length => usize::from(length),
    };
    let mut next = header.u8()?;
    header.u8()?;
    let hosts =
        Hosts { source: Address::from_bytes(header.array()?), destination: Address::from_bytes(header.array()?) };
    let is_whole = length == usize::MAX || length <= header.len();
    let mut bytes = Bytes::new(header.rest().get(..length).unwrap_or(header.rest()));
    for _ in 0..MAX_EXTENSIONS {
        match next {
            UDP => return Some(Held::Udp(hosts, bytes.rest())),
            // Options of each hop, routing, options of the destination.
            0 | 43 | 60 => {
                next = bytes.u8()?;
                let words = usize::from(bytes.u8()?);
                bytes.take(words * 8 + 6)?;
            }
            44 => {
                next = bytes.u8()?;
                bytes.u8()?;
                let place = bytes.u16()?;
                let id = bytes.u32()?;
                let (offset, is_last) = (usize::from(place & 0xfff8), place & 1 == 0);
                if offset > 0 || !is_last {
                    let is_taken = next == UDP && is_whole;
                    let fragment = Fragment { hosts, id, offset, is_last, bytes: bytes.rest() };
                    return is_taken.then_some(Held::Fragment(fragment));
                }
            }
            _ => return None,
        }
    }
    None
}

/// A datagram of UDP (RFC 768) without its header; `None` where not even that is there.
pub(super) fn datagram(hosts: Hosts, udp: &[u8]) -> Option<Datagram<'_>> {
    let mut header = Bytes::new(udp);
    let (source_port, destination_port) = (header.u16()?, header.u16()?);
    let length = usize::from(header.u16()?).checked_sub(8)?;
    header.u16()?;
    let (payload, is_whole) = match header.rest().get(..length) {
        Some(payload) => (payload, true),
        None => (header.rest(), false),
    };
    Some(Datagram { ends: Ends { hosts, source_port, destination_port }, payload, is_whole })
}
