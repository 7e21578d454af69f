//! What two hosts say to one another, as a flow.

use super::{draw::Draw, hosts::Host};
use crate::flow::{Flow, Protocol, TcpFlags, Timestamp};

const PROTOCOLS: [(u32, u8); 9] = [(700, 6), (250, 17), (40, 1), (4, 47), (3, 50), (1, 89), (1, 41), (1, 51), (0, 255)];

const ICMP_V6: Protocol = Protocol::new(58);

/// The leading destination ports, and 0 for any port.
const TCP_PORTS: [(u32, u16); 11] = [
    (480, 443),
    (140, 80),
    (70, 22),
    (50, 445),
    (35, 3389),
    (30, 8080),
    (25, 25),
    (20, 993),
    (20, 53),
    (10, 5432),
    (120, 0),
];
const UDP_PORTS: [(u32, u16); 6] = [(560, 53), (150, 443), (130, 123), (25, 161), (15, 514), (120, 0)];

/// SYN alone.
const SYN: u8 = 0x02;
/// Combinations of flags in a hundred flows.
const FLAGS: [(u32, u8); 14] = [
    (500, 0x1b), // a whole conversation: FIN, SYN, PSH, ACK
    (80, 0x1a),  // one that goes on: SYN, PSH, ACK
    (100, SYN),
    (70, 0x1f), // FIN, SYN, RST, PSH, ACK
    (60, 0x1e), // ended by a reset
    (50, 0x13), // opened and closed without data
    (50, 0x16), // refused: SYN, RST, ACK
    (30, 0x14), // RST, ACK
    (30, 0x18), // the middle of a long one: PSH, ACK
    (10, 0x10),
    (10, 0x04),
    (6, 0xdb), // with ECN: ECE and CWR too
    (3, 0x29), // a Christmas tree scan: FIN, PSH, URG
    (1, 0x00), // a null scan
];

/// A flow that has ended by `end`; none begins before `begin`.
pub(super) fn flow_ending(end: Timestamp, begin: Timestamp, draw: &mut Draw) -> Flow {
    let (source, destination) = match draw.below(5) {
        0..3 => (Host::internal(draw), Host::external(draw)),
        3 => (Host::external(draw), Host::internal(draw)),
        _ => (Host::internal(draw), Host::internal(draw)),
    };
    let (source, destination) = (source.facing(destination), destination.facing(source));
    let protocol = match Protocol::new(draw.weighted(&PROTOCOLS)) {
        Protocol::ICMP if source.is_v6() => ICMP_V6,
        protocol => protocol,
    };
    let (src_port, dst_port) = match protocol {
        Protocol::TCP => ports(&TCP_PORTS, draw),
        Protocol::UDP => ports(&UDP_PORTS, draw),
        _ => (None, None),
    };
    let flags = draw.weighted(&FLAGS);
    let tcp_flags = (protocol == Protocol::TCP).then_some(TcpFlags::new(flags));
    let answered = match protocol {
        Protocol::TCP => flags != SYN && flags != 0x29 && flags != 0,
        _ => draw.per_mille(850),
    };
    let (src_bytes, dst_bytes) = bytes(answered, draw);
    Flow {
        end_time: (!draw.per_mille(5)).then_some(end),
        protocol,
        src_ip: Some(source.address),
        dst_ip: Some(destination.address),
        src_port,
        dst_port,
        src_bytes: Some(src_bytes),
        dst_bytes,
        tcp_flags,
        src_node: source.node_name(),
        dst_node: destination.node_name(),
        node_id: source.node_id().or_else(|| destination.node_id()),
        activity_id: draw.per_mille(1).then(|| format!("TI-{:04}", draw.rank(9).min(499))),
        ..Flow::starting(before(end, duration(answered, draw), begin))
    }
}

fn ports(leading: &[(u32, u16)], draw: &mut Draw) -> (Option<u16>, Option<u16>) {
    let any = |draw: &mut Draw| u16::try_from(1 + draw.below(65_535)).unwrap_or_default();
    let src =
        if draw.per_mille(970) { 32_768 + u16::try_from(draw.below(28_232)).unwrap_or_default() } else { any(draw) };
    let dst = match draw.weighted(leading) {
        0 => any(draw),
        known => known,
    };
    (Some(src), Some(dst))
}

/// Bytes sent and received.
fn bytes(answered: bool, draw: &mut Draw) -> (u64, Option<u64>) {
    if !answered {
        let packets = 1 + u64::from(draw.below(4));
        return (packets * 60, draw.per_mille(500).then_some(0));
    }
    // One in a thousand moves a thousand times as much: a backup, an image, a video.
    let scale = if draw.per_mille(1) { 1000 } else { 1 };
    let sent = 40 + draw.log_normal(9.5, 8.5);
    let received = 40 + draw.log_normal(11.0, 11.0) * scale;
    (sent, Some(received))
}

/// In milliseconds.
fn duration(answered: bool, draw: &mut Draw) -> u64 {
    match answered {
        true => draw.log_normal(8.0, 10.5),
        // Nothing was sent again, or a few times over some seconds.
        false if draw.per_mille(500) => 0,
        false => u64::from(draw.below(7000)),
    }
}

/// So many milliseconds before `end`, but not before `begin`.
fn before(end: Timestamp, millis: u64, begin: Timestamp) -> Timestamp {
    let start = end.as_millis().saturating_sub_unsigned(millis);
    Timestamp::from_millis(start).unwrap_or(begin).max(begin)
}
