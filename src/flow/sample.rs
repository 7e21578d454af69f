//! Flows at random, of few values, so that those of several flows and filters often meet.

use proptest::{collection::vec, option::of, prelude::*, sample::select};

use super::{Flow, FlowFlags, FlowId, Protocol, StoredFlow, TcpFlags, Timestamp};

pub(crate) const PORTS: [u16; 6] = [0, 1, 2, 443, 65_534, 65_535];
pub(crate) const BYTES: [u64; 4] = [0, 1, u64::MAX - 1, u64::MAX];
pub(crate) const ADDRESSES: [&str; 6] = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "::", "::1", "2001:db8::1"];
pub(crate) const NAMES: [&str; 5] = ["a", "A", "node-1", "node-10", "\u{fc}"];
pub(crate) const FLAGS: [u8; 6] = [0, 1, 2, 3, 18, 255];
pub(crate) const FLOW_FLAGS: [u64; 6] = [0, 1, 3, 1 << 16, 1 << 16 | 1, u64::MAX];
pub(crate) const METAS: [&str; 3] = ["{}", r#"{"a":1}"#, r#"{"a":[0.10," "]}"#];
pub(crate) const PROTOCOLS: [u8; 4] = [1, 6, 17, 255];

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (0i64..6).prop_map(|millis| Timestamp::from_millis(1_666_000_000_000 + millis).unwrap()),
        1 => select(vec![Timestamp::MIN, Timestamp::MAX]),
    ]
}

/// Flows with the IDs from 1 on.
pub(crate) fn flows(most: usize) -> impl Strategy<Value = Vec<StoredFlow>> {
    let stored = |(flow, id)| StoredFlow { id: FlowId::new(id), flow };
    vec(flow(), 0..=most).prop_map(move |flows| flows.into_iter().zip(1..).map(stored).collect())
}

fn flow() -> impl Strategy<Value = Flow> {
    let address = || of(select(&ADDRESSES[..]).prop_map(|text| text.parse().unwrap()));
    let more = (
        of(select(&BYTES[..])),
        of(select(&BYTES[..])),
        of(select(&FLOW_FLAGS[..]).prop_map(FlowFlags::new)),
        of(select(&METAS[..]).prop_map(|text| text.parse().unwrap())),
    );
    let name = || of(select(&NAMES[..]).prop_map(str::to_owned));
    let ends = (address(), address(), of(select(&PORTS[..])), of(select(&PORTS[..])));
    let sizes = (of(select(&BYTES[..])), of(select(&BYTES[..])), of(select(&FLAGS[..]).prop_map(TcpFlags::new)));
    let times = (time(), of(time()), select(&PROTOCOLS[..]).prop_map(Protocol::new));
    (times, ends, sizes, (name(), name(), name(), name()), more).prop_map(|(times, ends, sizes, names, more)| Flow {
        end_time: times.1,
        protocol: times.2,
        src_ip: ends.0,
        dst_ip: ends.1,
        src_port: ends.2,
        dst_port: ends.3,
        src_bytes: sizes.0,
        dst_bytes: sizes.1,
        tcp_flags: sizes.2,
        src_node: names.0,
        dst_node: names.1,
        node_id: names.2,
        activity_id: names.3,
        src_packets: more.0,
        dst_packets: more.1,
        flow_flags: more.2,
        meta: more.3,
        ..Flow::starting(times.0)
    })
}
