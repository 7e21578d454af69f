//! The messages of exporters: their headers, and the sets that they consist of.

use super::{bytes::Bytes, clock::Clock, rate::Rate, template::Dialect};

/// The length of a record of NetFlow v5.
const V5_RECORD_BYTES: usize = 48;
/// The most records of a message of NetFlow v5.
const V5_MOST_RECORDS: u16 = 30;

const V9_HEADER_BYTES: usize = 20;
const IPFIX_HEADER_BYTES: usize = 16;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    V5,
    V9,
    Ipfix,
}

/// A message, which is the payload of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) version: Version,
    pub(super) clock: Clock,
    /// How many flows (v5), messages (v9) or data records (IPFIX) the exporter had sent before, modulo 2^32.
    pub(super) sequence: u32,
    /// The part of the exporter: engine (v5), source ID (v9) or observation domain (IPFIX).
    pub(super) domain: u32,
    /// The sampling that the header says.
    pub(super) rate: Rate,
    /// The number of records, in v5.
    pub(super) count: u16,
    /// What follows the header.
    body: &'a [u8],
    /// Whether it was captured whole.
    is_whole: bool,
}

impl<'a> Message<'a> {
    /// The message that a payload is; `None` where it is none. Other protocols may begin with the same number, so what the
    /// header says must agree with the length of the payload.
    pub(super) fn read(payload: &'a [u8], is_whole: bool) -> Option<Self> {
        let mut header = Bytes::new(payload);
        let message = match header.u16()? {
            5 => Self::v5(header, is_whole)?,
            9 => Self::v9(header, is_whole)?,
            10 => Self::ipfix(payload, header, is_whole)?,
            _ => return None,
        };
        message.is_likely().then_some(message)
    }

    fn v5(mut header: Bytes<'a>, is_whole: bool) -> Option<Self> {
        let count = header.u16()?;
        let (uptime, seconds, nanos) = (header.u32()?, header.u32()?, header.u32()?);
        let sequence = header.u32()?;
        let domain = header.u16()?.into();
        // The upper 2 bits say how packets are chosen.
        let rate = Rate::one_in(u64::from(header.u16()? & 0x3fff));
        let millis = i64::from(seconds) * 1000 + i64::from(nanos / 1_000_000);
        let clock = Clock { millis, uptime: Some(uptime) };
        let body = header.take(header.len().min(usize::from(count) * V5_RECORD_BYTES))?;
        Some(Self { version: Version::V5, clock, sequence, domain, rate, count, body, is_whole })
    }

    fn v9(mut header: Bytes<'a>, is_whole: bool) -> Option<Self> {
        // The number of records is not needed, and not every exporter counts them in the same way.
        header.u16()?;
        let (uptime, seconds) = (header.u32()?, header.u32()?);
        let (sequence, domain) = (header.u32()?, header.u32()?);
        let clock = Clock { millis: i64::from(seconds) * 1000, uptime: Some(uptime) };
        let (rate, body) = (Rate::ALL, header.rest());
        Some(Self { version: Version::V9, clock, sequence, domain, rate, count: 0, body, is_whole })
    }

    fn ipfix(payload: &'a [u8], mut header: Bytes<'a>, is_whole: bool) -> Option<Self> {
        let length = usize::from(header.u16()?);
        let seconds = header.u32()?;
        let (sequence, domain) = (header.u32()?, header.u32()?);
        let clock = Clock { millis: i64::from(seconds) * 1000, uptime: None };
        if is_whole && length > payload.len() {
            return None;
        }
        let body = header.take(length.checked_sub(IPFIX_HEADER_BYTES)?.min(header.len()))?;
        Some(Self { version: Version::Ipfix, clock, sequence, domain, rate: Rate::ALL, count: 0, body, is_whole })
    }

    fn is_likely(&self) -> bool {
        let Some(dialect) = self.dialect() else {
            let records = usize::from(self.count) * V5_RECORD_BYTES;
            return (1..=V5_MOST_RECORDS).contains(&self.count) && (!self.is_whole || self.body.len() == records);
        };
        match (self.sets().next(), dialect) {
            (None, Dialect::Ipfix) => true,
            (Some(Ok((id, _))), Dialect::Ipfix) => id == 2 || id == 3 || id >= 256,
            (Some(Ok((id, _))), Dialect::NetFlow9) => id <= 1 || id >= 256,
            _ => false,
        }
    }

    /// How its templates are written; v5 has none.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self.version {
            Version::V5 => None,
            Version::V9 => Some(Dialect::NetFlow9),
            Version::Ipfix => Some(Dialect::Ipfix),
        }
    }

    /// The records of v5.
    pub(super) fn records(&self) -> &'a [u8] {
        self.body
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The sets of v9 and IPFIX.
    pub(super) fn sets(&self) -> Sets<'a> {
        let header = if self.version == Version::Ipfix { IPFIX_HEADER_BYTES } else { V9_HEADER_BYTES };
        Sets { rest: Bytes::new(self.body), end: header + self.body.len(), is_whole: self.is_whole }
    }
}

/// The number of each set and what it holds. An error is the last.
pub(super) struct Sets<'a> {
    rest: Bytes<'a>,
    /// The length of the message.
    end: usize,
    is_whole: bool,
}

impl<'a> Iterator for Sets<'a> {
    type Item = Result<(u16, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.end - self.rest.len();
        let mut set = self.rest;
        let (id, length) = (set.u16()?, set.u16()?);
        if id == 0 && length == 0 {
            // Padding behind the last set.
            return None;
        }
        let there = usize::from(length).checked_sub(4).filter(|length| !self.is_whole || *length <= set.len());
        let Some(there) = there else {
            let room = self.rest.len();
            self.rest = Bytes::new(&[]);
            return Some(Err(format!(
                "set {id} at byte {at} says that it has {length} bytes: 4 to {room} are allowed"
            )));
        };
        let bytes = set.take(there.min(set.len()))?;
        self.rest = set;
        Some(Ok((id, bytes)))
    }
}
