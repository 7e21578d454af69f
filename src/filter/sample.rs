//! Filters at random.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Filter, Pattern};
use crate::{
    filter,
    flow::{
        AddressRange, FlowFlags, Protocol, TcpFlags,
        sample::{ADDRESSES, BYTES, FLAGS, FLOW_FLAGS, NAMES, PORTS, PROTOCOLS, time},
    },
};

const BLOCKS: [&str; 4] = ["10.0.0.0/8", "10.0.0.0/31", "0.0.0.0/0", "::/0"];

/// A filter on one or two fields: tests on many fields seldom meet on one.
pub(crate) fn narrow() -> impl Strategy<Value = Filter> {
    (0..FAMILIES, 0..FAMILIES).prop_flat_map(|(one, other)| tree(prop_oneof![tests(one), tests(other)]))
}

/// A filter on any fields.
pub(crate) fn wide() -> impl Strategy<Value = Filter> {
    tree((0..FAMILIES).prop_flat_map(tests))
}

/// A filter on one or two fields or on any, and on nothing else that a test may look at or look for.
pub(crate) fn of_fields() -> impl Strategy<Value = Filter> {
    let few = (0..OF_FIELDS, 0..OF_FIELDS).prop_flat_map(|(one, other)| tree(prop_oneof![tests(one), tests(other)]));
    prop_oneof![few, tree((0..OF_FIELDS).prop_flat_map(tests))]
}

/// Filters of tests, in all forms that a host can give them.
fn tree(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![1 => Just(Filter::all()), 1 => Just(Filter::nothing()), 14 => leaf];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            inner.clone().prop_map(|filter| !filter),
            inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            vec(inner.clone(), 0..4).prop_map(Filter::And),
            vec(inner, 0..4).prop_map(Filter::Or),
        ]
    })
}

const FAMILIES: usize = 12;
/// The first are of fields alone.
const OF_FIELDS: usize = 10;

/// Tests on numbers that two fields make.
fn made() -> impl Strategy<Value = Filter> {
    let number = prop_oneof![select(&BYTES[..]), 0u64..6];
    (number, 0..6).prop_map(|(number, kind)| match kind {
        0 => filter::bytes().within(number..),
        1 => filter::bytes().none_of([number, number / 2]),
        2 => filter::packets().within(..=number),
        3 => filter::duration().within(Duration::from_millis(number)..),
        4 => filter::duration().eq(Duration::from_millis(number)),
        _ => filter::duration().within(..Duration::from_millis(number)),
    })
}

/// Tests on names by patterns.
fn patterns() -> impl Strategy<Value = Filter> {
    let pattern = (select(&NAMES[..]), 0..5).prop_map(|(name, kind)| {
        let mut chars = name.chars();
        match kind {
            0 => Pattern::starting_with(chars.next().map(String::from).unwrap_or_default()),
            1 => Pattern::starting_with(name),
            2 => format!("*{}", chars.next_back().unwrap_or('x')).parse().unwrap(),
            3 => format!("?{}", chars.skip(1).collect::<String>()).parse().unwrap(),
            _ => "*".parse().unwrap(),
        }
    });
    (vec(pattern, 0..3), 0..4).prop_map(|(patterns, kind)| match kind {
        0 => filter::src_node().like(patterns),
        1 => filter::src_node().unlike(patterns),
        2 => filter::any_node().unlike(patterns),
        _ => filter::node_id().like(patterns),
    })
}

/// Tests on a field, or on two that are alike.
fn tests(family: usize) -> BoxedStrategy<Filter> {
    let ports = (vec(select(&PORTS[..]), 0..3), 0..5);
    let ports = ports.prop_map(|(ports, kind)| match (kind, ports.as_slice()) {
        (0, _) => filter::dst_port().any_of(ports),
        (1, _) => filter::dst_port().none_of(ports),
        (2, [first, last]) => filter::dst_port().within(*first..=*last),
        (3, [first, ..]) => filter::dst_port().within(*first..),
        (_, _) => filter::src_port().any_of(ports),
    });
    let ends = (vec(select(&PORTS[..]), 0..3), any::<bool>())
        .prop_map(|(ports, listed)| if listed { filter::port().any_of(ports) } else { filter::port().none_of(ports) });
    let names = (vec(select(&NAMES[..]), 0..3), 0..4).prop_map(|(names, kind)| match kind {
        0 => filter::src_node().any_of(names),
        1 => filter::src_node().none_of(names),
        2 => filter::any_node().none_of(names),
        _ => filter::node_id().any_of(names),
    });
    let flags = (vec(select(&FLAGS[..]), 0..3), any::<bool>()).prop_map(|(masks, carried)| {
        let masks = masks.into_iter().map(TcpFlags::new);
        if carried { filter::tcp_flags().carries_any(masks) } else { filter::tcp_flags().carries_none(masks) }
    });
    let protocols = (vec(select(&PROTOCOLS[..]), 0..3), any::<bool>()).prop_map(|(protocols, listed)| {
        let protocols = protocols.into_iter().map(Protocol::new);
        if listed { filter::protocol().any_of(protocols) } else { filter::protocol().none_of(protocols) }
    });
    let ranges = prop_oneof![select(&ADDRESSES[..]), select(&BLOCKS[..])];
    let addresses = (vec(ranges, 0..3), 0..3).prop_map(|(texts, kind)| {
        let ranges: Vec<AddressRange> = texts.into_iter().map(|text| text.parse().unwrap()).collect();
        match kind {
            0 => filter::src_ip().any_of(ranges),
            1 => filter::src_ip().none_of(ranges),
            _ => filter::ip().none_of(ranges),
        }
    });
    let bytes = (select(&BYTES[..]), any::<bool>()).prop_map(|(bytes, from)| {
        if from { filter::src_bytes().within(bytes..) } else { filter::src_bytes().ne(bytes) }
    });
    let packets = (select(&BYTES[..]), any::<bool>()).prop_map(|(packets, up_to)| {
        if up_to { filter::dst_packets().within(..=packets) } else { filter::dst_packets().ne(packets) }
    });
    let flow_flags = (vec(select(&FLOW_FLAGS[..]), 0..3), any::<bool>()).prop_map(|(masks, carried)| {
        let masks = masks.into_iter().map(FlowFlags::new);
        if carried { filter::flow_flags().carries_any(masks) } else { filter::flow_flags().carries_none(masks) }
    });
    let times = (time(), 0..6).prop_map(|(time, kind)| match kind {
        0 => filter::start_time().eq(time),
        1 => filter::start_time().ne(time),
        2 => filter::start_time().gt(time),
        3 => filter::end_time().gte(time),
        4 => filter::end_time().lt(time),
        _ => filter::start_time().lte(time),
    });
    match family {
        0 => ports.boxed(),
        1 => ends.boxed(),
        2 => names.boxed(),
        3 => flags.boxed(),
        4 => protocols.boxed(),
        5 => addresses.boxed(),
        6 => bytes.boxed(),
        7 => packets.boxed(),
        8 => flow_flags.boxed(),
        9 => times.boxed(),
        10 => made().boxed(),
        _ => patterns().boxed(),
    }
}
