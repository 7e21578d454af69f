//! What the cases ask for: values of flows that the generator makes.

use std::{collections::HashMap, hash::Hash, net::IpAddr};

use flowseek::{
    Flow,
    flow::Address,
    generate::{CHUNK_FLOWS, Generator},
};

/// Chunks that are looked at.
const CHUNKS: u64 = 8;

/// Values that some flows have.
pub struct Sample {
    /// The sender of one of the flows that were looked at, half a million where there are as many, and of no other:
    /// of a few in 20 million.
    pub rare: Address,
    /// An end of four of those flows: of dozens in 20 million.
    pub seldom: Address,
    /// The destination outside with the most flows.
    pub busy: Address,
    /// An address in the midst of the others that no flow has.
    pub absent: Address,
    /// The source with the most flows.
    pub busy_source: Address,
    /// The node that logged the most flows: some of every block.
    pub node: String,
    /// The node that logged the fewest of those flows.
    pub small_node: String,
    /// The start of that flow, in Unix seconds.
    pub start: i64,
}

impl Sample {
    /// Values from the midst of the first `flows` flows of the stream.
    pub fn of(flows: u64) -> Self {
        let generator = Generator::new(7);
        let chunks = flows / CHUNK_FLOWS as u64;
        let flows: Vec<Flow> = if chunks == 0 {
            generator.flows(flows).collect()
        } else {
            let first = (chunks / 2).saturating_sub(CHUNKS / 2);
            (first..chunks.min(first + CHUNKS)).flat_map(|index| generator.chunk(index)).collect()
        };
        let mut counts: HashMap<Address, usize> = HashMap::new();
        for address in flows.iter().flat_map(|flow| [flow.src_ip, flow.dst_ip]).flatten() {
            *counts.entry(address).or_default() += 1;
        }
        let nodes = tally(flows.iter().filter_map(|flow| flow.node_id.clone()));
        let sender = |count| {
            let mut late = flows[flows.len() / 2..].iter();
            let found = late.find(|flow| flow.src_ip.is_some_and(|ip| is_external(ip) && counts[&ip] == count));
            found.expect("a flow from outside")
        };
        let rare = sender(1);
        let outside = counts.iter().filter(|(address, _)| is_external(**address));
        let busy = outside.max_by_key(|(address, count)| (**count, **address)).expect("an address outside");
        Self {
            rare: rare.src_ip.unwrap(),
            seldom: sender(4).src_ip.unwrap(),
            busy: *busy.0,
            absent: "127.9.9.9".parse().unwrap(),
            busy_source: tally(flows.iter().filter_map(|flow| flow.src_ip)).pop().expect("a source").1,
            node: nodes.last().expect("every generated flow is logged by a node").1.clone(),
            small_node: nodes[0].1.clone(),
            start: rare.start_time.as_millis() / 1000,
        }
    }
}

/// How often each value occurs, the rarest first.
fn tally<T: Clone + Eq + Hash + Ord>(values: impl Iterator<Item = T>) -> Vec<(usize, T)> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().map(|(value, count)| (count, value)).collect();
    counts.sort();
    counts
}

fn is_external(address: Address) -> bool {
    matches!(address.to_ip(), IpAddr::V4(ip) if !ip.is_private())
}
