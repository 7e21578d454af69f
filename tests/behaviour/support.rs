//! Flows, filters and orders at random, with values chosen to be nasty; and the plain sort that every answer must equal.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use datafusion::physical_plan::ExecutionPlan;
use flowseek::{
    Archive, Filter, Flow, FlowId, Order, Settings, StoredFlow,
    archive::Depth,
    archive::SegmentOptions,
    filter::{self, Pattern},
    flow::{AddressRange, Field, FlowFlags, Meta, Protocol, TcpFlags, Timestamp},
    import::Format,
    order::{Direction, SortKey},
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};
use serde_json::Value;
use twox_hash::XxHash64;

/// Some are longer than a bound in a manifest.
pub const NAMES: [&str; 8] = [
    "a",
    "A",
    "node-1",
    "node-10",
    "ü",
    "a-node-with-a-name-longer-than-bounds-1",
    "a-node-with-a-name-longer-than-bounds-2",
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
];
const ADDRESSES: [&str; 7] = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.255.255.255", "::", "::1", "2001:db8::1"];
const BLOCKS: [&str; 6] = ["10.0.0.0/8", "10.0.0.0/31", "0.0.0.0/0", "::/0", "::1", "2001:db8::/32"];

pub const FLOW_FLAGS: [u64; 5] = [0, 1, 1 << 16, 1 << 16 | 1, 1 << 29 | 1 << 16];
const METAS: [&str; 3] = ["{}", r#"{"rule":17,"cost":0.10}"#, r#"{"rule":18}"#];

/// The samples of `testdata/import` that are lines, and their formats.
pub const SAMPLES: [(&str, Format); 17] = [
    ("westermo.ndjson", Format::Json),
    ("argus-zeek.ndjson", Format::Json),
    ("m57-conn.log.gz", Format::Zeek),
    ("m57-conn.log.json.gz", Format::Zeek),
    ("apt29-zeek.log.gz", Format::Zeek),
    ("m57-eve.ndjson", Format::Suricata),
    ("vpc.log", Format::Vpc),
    ("azure.ndjson", Format::Azure),
    ("m57-argus.csv", Format::Binetflow),
    ("gcp.ndjson", Format::Gcp),
    ("goflow2.ndjson", Format::Goflow2),
    ("hubble.ndjson", Format::Hubble),
    ("nfdump.csv", Format::NfdumpCsv),
    ("ocsf.ndjson", Format::Ocsf),
    ("pmacct.ndjson", Format::Pmacct),
    ("rwcut.txt", Format::Rwcut),
    ("tailscale.ndjson", Format::Tailscale),
];

/// The samples of `testdata/import` that are captures of NetFlow.
pub const CAPTURES: [&str; 5] =
    ["netflow-v5.pcap", "netflow-v9.pcap.gz", "netflow-v9-sampled.pcapng", "ipfix-biflow.pcap", "ipfix.pcapng"];

/// What older segments have no columns for: most flows have none of it, so that segments with and without lie side by side.
fn more() -> impl Strategy<Value = (Option<u64>, Option<u64>, Option<FlowFlags>, Option<Meta>)> {
    let flags = of(select(FLOW_FLAGS.to_vec()).prop_map(FlowFlags::new));
    let meta = of(select(METAS.to_vec()).prop_map(|text| text.parse().unwrap()));
    let some = (of(bytes()), of(bytes()), flags, meta);
    prop_oneof![5 => Just((None, None, None, None)), 1 => some]
}

pub fn flow() -> impl Strategy<Value = Flow> {
    let times = (0i64..6, of(0i64..6));
    let ends = (of(select(&ADDRESSES[..])), of(select(&ADDRESSES[..])), of(port()), of(port()));
    let sizes = (of(bytes()), of(bytes()), of(select(vec![0u8, 1, 2, 16, 18, 255])));
    let names = (of(select(&NAMES[..])), of(select(&NAMES[..])), of(select(&NAMES[..])), of(select(&NAMES[..])));
    (times, protocol(), ends, sizes, names, more()).prop_map(|((start, end), protocol, ends, sizes, names, more)| {
        let time = |millis| Timestamp::from_millis(1_666_000_000_000 + millis).unwrap();
        let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let name = |name: Option<&str>| name.map(str::to_owned);
        Flow {
            end_time: end.map(time),
            protocol,
            src_ip: address(ends.0),
            dst_ip: address(ends.1),
            src_port: ends.2,
            dst_port: ends.3,
            src_bytes: sizes.0,
            dst_bytes: sizes.1,
            tcp_flags: sizes.2.map(TcpFlags::new),
            src_node: name(names.0),
            dst_node: name(names.1),
            node_id: name(names.2),
            activity_id: name(names.3),
            src_packets: more.0,
            dst_packets: more.1,
            flow_flags: more.2,
            meta: more.3,
            ..Flow::starting(time(start))
        }
    })
}

fn port() -> impl Strategy<Value = u16> {
    select(vec![0u16, 1, 443, 65534, 65535])
}

fn bytes() -> impl Strategy<Value = u64> {
    select(vec![0u64, 1, 1 << 40, u64::MAX - 1, u64::MAX])
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![1u8, 6, 17, 47, 255]).prop_map(Protocol::new)
}

fn test() -> impl Strategy<Value = Filter> {
    let time = (0i64..7, 0..6).prop_map(|(millis, operator)| {
        let time = Timestamp::from_millis(1_666_000_000_000 + millis).unwrap();
        let start = filter::start_time();
        match operator {
            0 => start.eq(time),
            1 => start.ne(time),
            2 => start.gt(time),
            3 => start.gte(time),
            4 => start.lt(time),
            _ => filter::end_time().lte(time),
        }
    });
    let ports = (vec(port(), 0..4), 0..5).prop_map(|(ports, operator)| match (operator, ports.as_slice()) {
        (0, _) => filter::dst_port().none_of(ports),
        (1, [low, high, ..]) => filter::src_port().within(low..=high),
        (2, [low, ..]) => filter::port().within(low..),
        (3, [high, ..]) => filter::dst_port().within(..high),
        _ => filter::port().any_of(ports),
    });
    let addresses = (vec(select(&BLOCKS[..]), 0..3), 0..4).prop_map(|(blocks, operator)| {
        let blocks: Vec<AddressRange> = blocks.into_iter().map(|block| block.parse().unwrap()).collect();
        match operator {
            0 => filter::src_ip().any_of(blocks),
            1 => filter::dst_ip().none_of(blocks),
            2 => filter::ip().none_of(blocks),
            _ => filter::ip().any_of(blocks),
        }
    });
    let names = (vec(select(&NAMES[..]), 0..3), 0..4).prop_map(|(names, operator)| match operator {
        0 => filter::src_node().any_of(names),
        1 => filter::any_node().none_of(names),
        2 => filter::node_id().none_of(names),
        _ => filter::activity_id().any_of(names),
    });
    let flags = (vec(select(vec![1u8, 2, 18]), 0..3), any::<bool>()).prop_map(|(masks, carried)| {
        let masks = masks.into_iter().map(TcpFlags::new);
        if carried { filter::tcp_flags().carries_any(masks) } else { filter::tcp_flags().carries_none(masks) }
    });
    let protocols = (vec(protocol(), 0..3), any::<bool>()).prop_map(|(protocols, listed)| {
        if listed { filter::protocol().any_of(protocols) } else { filter::protocol().none_of(protocols) }
    });
    let packets =
        bytes().prop_map(|packets| filter::src_packets().within(..=packets).or(filter::dst_packets().ne(packets)));
    let made = (prop_oneof![bytes(), 0u64..7], 0..4).prop_map(|(number, kind)| match kind {
        0 => filter::bytes().within(number..),
        1 => filter::packets().within(..=number),
        2 => filter::duration().within(Duration::from_millis(number)..),
        _ => filter::duration().ne(Duration::from_millis(number)),
    });
    let bytes = bytes().prop_map(|bytes| filter::src_bytes().within(bytes..).or(filter::dst_bytes().eq(bytes)));
    let flow_flags = (vec(select(FLOW_FLAGS.to_vec()), 0..3), any::<bool>()).prop_map(|(masks, carried)| {
        let masks = masks.into_iter().map(FlowFlags::new);
        if carried { filter::flow_flags().carries_any(masks) } else { filter::flow_flags().carries_none(masks) }
    });
    let patterns = (select(&NAMES[..]), 0..4).prop_map(|(name, kind)| {
        let first: String = name.chars().take(1).collect();
        match kind {
            0 => filter::src_node().starts_with(first),
            1 => filter::any_node().unlike([Pattern::starting_with(first)]),
            2 => filter::node_id().like(["*1*".parse().unwrap(), "?".parse().unwrap()]),
            _ => filter::activity_id().like([Pattern::starting_with(name)]),
        }
    });
    prop_oneof![time, ports, addresses, names, flags, protocols, bytes, packets, flow_flags, made, patterns]
}

pub fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![1 => Just(Filter::all()), 6 => test()];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            inner.prop_map(|filter| !filter),
        ]
    })
}

pub fn order() -> impl Strategy<Value = Order> {
    let direction = || select(vec![Direction::Ascending, Direction::Descending]);
    let key = (select(Field::ALL), direction()).prop_map(|(field, direction)| SortKey { field, direction });
    (prop_oneof![2 => Just(Vec::new()), 3 => vec(key, 1..3)], direction())
        .prop_map(|(keys, time)| Order::new(keys, time))
}

/// Segments and blocks so small that a few flows fill many. Every third has a page cache so small that scans of many columns
/// keep nothing in it.
pub fn settings() -> impl Strategy<Value = Settings> {
    (1usize..25, 1usize..10, 1usize..4).prop_map(|(segment_rows, block_rows, row_group_blocks)| {
        Settings::default()
            .segment(SegmentOptions::default().block_rows(block_rows).row_group_blocks(row_group_blocks))
            .segment_rows(segment_rows)
            .page_cache_bytes(if segment_rows % 3 == 0 { 16 << 10 } else { Settings::default().page_cache_bytes })
    })
}

/// Appends each of `commits` as one commit; the flows come back with their IDs.
pub fn append(archive: &Archive, commits: &[Vec<Flow>]) -> Vec<StoredFlow> {
    let mut appender = archive.appender().unwrap();
    let mut stored = Vec::new();
    for flows in commits {
        flows.iter().for_each(|flow| appender.push(flow).unwrap());
        let commit = appender.commit().unwrap();
        assert_eq!(commit.flows, flows.len() as u64);
        let ids = (commit.first.get()..).map(FlowId::new);
        stored.extend(flows.iter().cloned().zip(ids).map(|(flow, id)| StoredFlow { id, flow }));
    }
    stored
}

/// What the answer must be: a filter and a sort of a list.
pub fn oracle(flows: &[StoredFlow], filter: &Filter, order: &Order) -> Vec<StoredFlow> {
    let mut matching: Vec<StoredFlow> = flows.iter().filter(|flow| filter.matches(flow)).cloned().collect();
    matching.sort_by(|left, right| order.compare(&order.key(left), &order.key(right)));
    matching
}

/// What the scans of a plan have counted under a name.
pub fn counted(plan: &dyn ExecutionPlan, name: &str) -> u64 {
    let metrics = plan.metrics().filter(|_| ["FlowScanExec", "FlowGroupsExec"].contains(&plan.name()));
    let here = metrics.and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |sum| sum.as_usize() as u64);
    here + plan.children().into_iter().map(|child| counted(child.as_ref(), name)).sum::<u64>()
}

/// Asserts that an archive is sound to the last row, whatever was done to it before.
pub fn assert_sound(path: &Path) {
    assert_eq!(Archive::verify(path, Depth::Rows, &mut |_| {}).unwrap().findings, []);
}

/// The newest manifest of the archive in a directory.
pub fn newest_manifest(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory.join("manifests")).unwrap().map(|file| file.unwrap().path());
    files.max().unwrap()
}

/// Changes the newest manifest of the archive in a directory, and its checksum.
pub fn edit_manifest(directory: &Path, edit: impl FnOnce(&mut Value)) {
    let file = newest_manifest(directory);
    let text = fs::read_to_string(&file).unwrap();
    let mut manifest = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    edit(&mut manifest);
    let line = manifest.to_string();
    fs::write(&file, format!("{line}\n{:016x}\n", XxHash64::oneshot(0, line.as_bytes()))).unwrap();
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
