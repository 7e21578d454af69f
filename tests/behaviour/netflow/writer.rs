//! Messages of exporters, and captures of them, as the tests need them.

use std::net::IpAddr;

/// When messages are sent, in seconds since 1970, unless a test says otherwise.
pub const NOW: u32 = 1_700_000_000;

/// A field of a template: enterprise, element, length.
pub type Field = (Option<u32>, u16, u16);

/// Fields of no enterprise.
pub fn fields(fields: &[(u16, u16)]) -> Vec<Field> {
    fields.iter().map(|(element, length)| (None, *element, *length)).collect()
}

/// What most tests send: source, destination, bytes, packets, ports, protocol, flags, start and end in milliseconds.
pub fn usual() -> Vec<Field> {
    fields(&[(8, 4), (12, 4), (1, 4), (2, 4), (7, 2), (11, 2), (4, 1), (6, 1), (152, 8), (153, 8)])
}

/// A record of [`usual`]: the n-th flow, of `10 * n` bytes.
pub fn flow(n: u32) -> Vec<u8> {
    let start = u64::from(NOW) * 1000 + u64::from(n);
    let [_, a, b, c] = n.to_be_bytes();
    [
        &[10, a, b, c, 192, 0, 2, 80][..],
        &(10 * n).to_be_bytes(),
        &n.to_be_bytes(),
        &[0x9c, 0x40, 0x01, 0xbb, 6, 0x1b],
        &start.to_be_bytes(),
        &(start + 5).to_be_bytes(),
    ]
    .concat()
}

pub fn set(id: u16, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16 + 4;
    [&id.to_be_bytes()[..], &length.to_be_bytes(), content].concat()
}

pub fn data(id: u16, records: &[Vec<u8>]) -> Vec<u8> {
    set(id, &records.concat())
}

fn described(fields: &[Field]) -> Vec<u8> {
    let one = |(enterprise, element, length): &Field| match enterprise {
        None => [element.to_be_bytes(), length.to_be_bytes()].concat(),
        Some(enterprise) => {
            [&(element | 0x8000).to_be_bytes()[..], &length.to_be_bytes(), &enterprise.to_be_bytes()].concat()
        }
    };
    fields.iter().flat_map(one).collect()
}

/// A set with one template, of v9 or IPFIX.
pub fn template(version: u16, id: u16, fields: &[Field]) -> Vec<u8> {
    let content = [&id.to_be_bytes()[..], &(fields.len() as u16).to_be_bytes(), &described(fields)].concat();
    set(if version == 9 { 0 } else { 2 }, &content)
}

/// A set with one template of options, whose first field is the scope.
pub fn options(version: u16, id: u16, fields: &[Field]) -> Vec<u8> {
    let count = fields.len() as u16;
    let numbers = if version == 9 { [4, 4 * (count - 1)] } else { [count, 1] };
    let content = [id, numbers[0], numbers[1]].map(u16::to_be_bytes).concat();
    set(if version == 9 { 1 } else { 3 }, &[content, described(fields)].concat())
}

/// A message of v9: its number, the source ID, seconds since 1970 and milliseconds of uptime.
pub fn v9_at(sequence: u32, source: u32, seconds: u32, uptime: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let header = [uptime, seconds, sequence, source].map(u32::to_be_bytes).concat();
    [&[0, 9, 0, sets.len() as u8][..], &header, &sets.concat()].concat()
}

pub fn v9(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    v9_at(sequence, 1, NOW, 50_000, sets)
}

/// A message of IPFIX: how many records came before, the domain, and seconds since 1970.
pub fn ipfix_at(sequence: u32, domain: u32, seconds: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let header = [seconds, sequence, domain].map(u32::to_be_bytes).concat();
    [&[0, 10][..], &(sets.len() as u16 + 16).to_be_bytes(), &header, &sets].concat()
}

pub fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    ipfix_at(sequence, 1, NOW, sets)
}

/// A message of v5 with so many equal records; `sampling` is the last field of its header.
pub fn v5(sequence: u32, count: u16, sampling: u16) -> Vec<u8> {
    let header = [50_000, NOW, 250_000_000, sequence].map(u32::to_be_bytes).concat();
    let record = [
        &[10, 0, 0, 1, 192, 0, 2, 80, 0, 0, 0, 0, 0, 1, 0, 2][..],
        &[3, 700, 49_000, 49_500].map(u32::to_be_bytes).concat(),
        &[40_000, 443].map(u16::to_be_bytes).concat(),
        &[0, 0x1b, 6, 0, 0, 0, 0, 0, 24, 24, 0, 0],
    ]
    .concat();
    let begin = [5, count].map(u16::to_be_bytes).concat();
    [begin, header, vec![0, 7], sampling.to_be_bytes().to_vec(), record.repeat(count.into())].concat()
}

/// A datagram of UDP.
pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let header = [port, 2055, payload.len() as u16 + 8, 0].map(u16::to_be_bytes).concat();
    [header, payload.to_vec()].concat()
}

/// A packet of IPv4 or IPv6 with what protocol 17 carries. `place` is the field of fragments of IPv4.
pub fn ip_part(exporter: &str, id: u16, place: u16, carried: &[u8]) -> Vec<u8> {
    match exporter.parse().unwrap() {
        IpAddr::V4(exporter) => {
            let [a, b] = (carried.len() as u16 + 20).to_be_bytes();
            let ([c, d], [e, f]) = (id.to_be_bytes(), place.to_be_bytes());
            let header = [0x45, 0, a, b, c, d, e, f, 64, 17, 0, 0];
            [&header[..], &exporter.octets(), &[198, 51, 100, 1], carried].concat()
        }
        IpAddr::V6(exporter) => {
            let [a, b] = (carried.len() as u16).to_be_bytes();
            [&[0x60, 0, 0, 0, a, b, 17, 64][..], &exporter.octets(), &[0xfd; 16], carried].concat()
        }
    }
}

/// A packet of an exporter, from port 5000.
pub fn ip(exporter: &str, message: &[u8]) -> Vec<u8> {
    ip_part(exporter, 1, 0x4000, &udp(5000, message))
}

pub fn ethernet(ip: &[u8]) -> Vec<u8> {
    let kind = if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[2; 12][..], &kind, ip].concat()
}

/// A capture in the form pcap, little-endian, with microseconds.
pub fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_as(0xa1b2_c3d4, u32::to_le_bytes, link, packets)
}

pub fn pcap_as(magic: u32, write: fn(u32) -> [u8; 4], link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let header = [magic, 0x0004_0002, 0, 0, 65_535, link].map(write).concat();
    let packet = |packet: &Vec<u8>| {
        let length = packet.len() as u32;
        [[NOW, 0, length, length].map(write).concat(), packet.clone()].concat()
    };
    [header, packets.iter().flat_map(packet).collect()].concat()
}

/// A capture in the form pcapng, of one interface.
pub fn pcapng(write: fn(u32) -> [u8; 4], link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let is_big = write(1) == 1u32.to_be_bytes();
    let link = if is_big { u32::from(link) << 16 } else { u32::from(link) };
    let mut capture = block(write, 0x0a0d_0d0a, &[0x1a2b_3c4d, 1, u32::MAX, u32::MAX].map(write).concat());
    capture.extend(block(write, 1, &[link, 0].map(write).concat()));
    for packet in packets {
        let length = packet.len() as u32;
        let mut body = [0, 0, 0, length, length].map(write).concat();
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        capture.extend(block(write, 6, &body));
    }
    capture
}

pub fn block(write: fn(u32) -> [u8; 4], kind: u32, body: &[u8]) -> Vec<u8> {
    let length = write(body.len() as u32 + 12);
    [&write(kind)[..], &length, body, &length].concat()
}

/// A capture of the messages of one exporter.
pub fn capture(messages: &[Vec<u8>]) -> Vec<u8> {
    pcap(1, &messages.iter().map(|message| ethernet(&ip("192.0.2.1", message))).collect::<Vec<_>>())
}
