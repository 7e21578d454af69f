//! A stream of made-up flows for examples, tests and benchmarks: skewed as real ones are, and the same for ever.
//!
//! | what | how it is distributed |
//! |---|---|
//! | time | from 2025-01-01T00:00:00Z on, 20 million flows in 30 days; at noon four times as many as at midnight (UTC) |
//! | order | by the end of the flows, so start times are nearly, but not quite, in order |
//! | duration | about log-normal with a median of 256 ms: mostly milliseconds to seconds, up to 6 minutes |
//! | end | not known of 0.5 % |
//! | protocol | 70 % TCP, 25 % UDP, 4 % ICMP (58 for IPv6), 1 % others (GRE, ESP, OSPF, ...) |
//! | internal ends | 4,096 hosts of 10.0.0.0/8, a few of them busy (Zipf's law with exponent 1) |
//! | external ends | 2,097,152 IPv4 addresses, by Zipf's law: a few hundred busy ones, most of them rare; 5 % of the flows with one of 65,536 IPv6 addresses instead, and then with a host of fd00::/8 |
//! | direction | 60 % out, 20 % in, 20 % between internal hosts |
//! | ports | source: 97 % ephemeral (32768 to 60999, RFC 6056); destination: led by 443, 53, 80, 22, 123, 445, 3389, 8080, 25 and 993, 12 % over all ports; TCP and UDP only |
//! | bytes | about log-normal with a long tail, up to gigabytes; of an unanswered flow, 0 or absent from the destination |
//! | TCP flags | whole conversations mostly, 10 % a SYN alone, resets, some oddities; TCP only |
//! | nodes | each internal host belongs to one of 200 nodes, `node-000` to `node-199`; one that has an end of the flow logs it, under its ID of 16 hexadecimal digits |
//! | packets, flow flags, meta | absent, but for [`Generator::all_columns`]: packets of 60 to 1,459 bytes; 5 % without flow flags, 90 % of the others with none set, 7 % defunct; one flow in ten has a `meta` with a rule and a zone |
//! | activity | 0.1 % have one of 500 IDs, `TI-0000` to `TI-0499`, by Zipf's law |
//!
//! Which address and which node has which rank does not depend on the seed. Only whole numbers, sums, products and
//! quotients go into a flow, no logarithm or power of a system library, so it is the same on every machine.

mod conversation;
mod draw;
mod hosts;
mod later;

use crate::flow::{Flow, Timestamp};

use self::{conversation::flow_ending, draw::Draw};

/// How many flows a chunk has.
pub const CHUNK_FLOWS: usize = 1 << 16;

/// The beginning of the first day: 2025-01-01T00:00:00Z, in milliseconds.
const BEGIN: i64 = 1_735_689_600_000;
const DAY_MILLIS: f64 = 86_400_000.0;
/// The mean time from one flow to the next: 20 million of them take 30 days.
const GAP_MILLIS: f64 = 129.6;

/// A stream of made-up flows without an end; the [module](self) says of what shape.
///
/// ```
/// use flowseek::generate::Generator;
///
/// let generator = Generator::new(7);
/// let flows: Vec<_> = generator.flows(100).collect();
/// assert_eq!(flows, generator.chunk(0)[..100]);
/// assert_eq!(flows, Generator::new(7).flows(100).collect::<Vec<_>>());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    seed: u64,
    all_columns: bool,
}

impl Generator {
    /// The stream of a seed: the same seed, the same flows.
    pub const fn new(seed: u64) -> Self {
        Self { seed, all_columns: false }
    }

    /// The same flows, which have packets, flow flags and meta, too.
    ///
    /// ```
    /// use flowseek::{Flow, generate::Generator};
    ///
    /// let mut flow = Generator::new(7).all_columns().flows(1).next().ok_or("no flow")?;
    /// assert!(flow.src_packets.is_some());
    /// flow = Flow { src_packets: None, dst_packets: None, flow_flags: None, meta: None, ..flow };
    /// assert_eq!(Some(flow), Generator::new(7).flows(1).next());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub const fn all_columns(self) -> Self {
        Self { all_columns: true, ..self }
    }

    /// The chunk with this number, from 0 on: [`CHUNK_FLOWS`] flows of the stream. It depends on no other chunk, so
    /// several threads can make them.
    pub fn chunk(&self, index: u64) -> Vec<Flow> {
        self.part(index, CHUNK_FLOWS).collect()
    }

    /// The first flows of the stream, one after another.
    pub fn flows(&self, count: u64) -> impl Iterator<Item = Flow> + use<> {
        let generator = *self;
        let size = CHUNK_FLOWS as u64;
        (0..count.div_ceil(size)).flat_map(move |index| {
            let rest = count.saturating_sub(index.saturating_mul(size)).min(size);
            generator.part(index, usize::try_from(rest).unwrap_or(CHUNK_FLOWS))
        })
    }

    fn part(self, index: u64, flows: usize) -> impl Iterator<Item = Flow> {
        let mut draw = Draw::new(self.seed, index);
        // With numbers of their own the later columns leave the others as they are.
        let mut later = self.all_columns.then(|| Draw::beside(self.seed, index));
        let first = index as f64 * CHUNK_FLOWS as f64;
        let begin = instant(0.0);
        (0..flows).map(move |place| {
            let number = first + place as f64 + draw.fraction();
            let mut flow = flow_ending(instant(number), begin, &mut draw);
            if let Some(draw) = &mut later {
                later::fill(&mut flow, draw);
            }
            flow
        })
    }
}

/// When the flow with this number has ended: its place within its day, bent by a rhythm of day and night.
fn instant(number: f64) -> Timestamp {
    let elapsed = number * GAP_MILLIS / DAY_MILLIS;
    let day = elapsed.floor();
    let x = elapsed - day;
    // It rises from 0 to 1, twice as fast as x at midnight and half as fast at noon, where the flows are dense.
    let bent = x + x * (1.0 - x) * (1.0 - 2.0 * x);
    let millis = ((day + bent) * DAY_MILLIS) as i64;
    Timestamp::from_millis(BEGIN.saturating_add(millis)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::flow::{FlowFlags, Protocol};

    fn share(flows: &[Flow], is: impl Fn(&Flow) -> bool) -> f64 {
        flows.iter().filter(|flow| is(flow)).count() as f64 / flows.len() as f64
    }

    #[test]
    fn a_seed_gives_the_same_flows_for_ever() {
        let flows: Vec<Flow> = Generator::new(7).flows(CHUNK_FLOWS as u64 + 2).collect();
        assert_eq!(flows[..CHUNK_FLOWS], Generator::new(7).chunk(0));
        assert_eq!(flows[CHUNK_FLOWS..], Generator::new(7).chunk(1)[..2]);
        assert_ne!(flows[0], Generator::new(8).flows(1).next().unwrap());
        assert_eq!(Generator::new(7).flows(0).count(), 0);
        for (place, end, src_ip, dst_port, dst_bytes, node_id) in [
            (0, 1_735_689_600_044, "171.38.155.94", 993, 882, "9497cdd1c1e88942"),
            (1, 1_735_689_600_363, "204.211.197.213", 443, 55, "9d7de0b228c3fd9c"),
            (CHUNK_FLOWS, 1_735_704_246_292, "10.50.5.237", 8080, 50_716, "5ac4afa5ed013506"),
        ] {
            let flow = &flows[place];
            assert_eq!(flow.end_time, Timestamp::from_millis(end));
            assert_eq!(flow.src_ip, Some(src_ip.parse().unwrap()));
            assert_eq!((flow.dst_port, flow.dst_bytes), (Some(dst_port), Some(dst_bytes)));
            assert_eq!(flow.node_id.as_deref(), Some(node_id));
        }
    }

    #[test]
    fn flows_with_all_columns_are_otherwise_the_same() {
        let complete: Vec<Flow> = Generator::new(7).all_columns().chunk(1);
        let without = complete.iter().cloned().map(|flow| Flow {
            src_packets: None,
            dst_packets: None,
            flow_flags: None,
            meta: None,
            ..flow
        });
        assert!(without.eq(Generator::new(7).chunk(1)));
        let near = |is: &dyn Fn(&Flow) -> bool, expected: f64| (share(&complete, is) - expected).abs() < expected / 5.0;
        assert!(near(&|flow| flow.flow_flags.is_none(), 0.05));
        let is_defunct = |flags: FlowFlags| FlowFlags::DEFUNCT.iter().any(|defunct| flags.contains(*defunct));
        assert!(near(&|flow| flow.flow_flags.is_some_and(is_defunct), 0.07 * 0.95));
        assert!(near(&|flow| flow.meta.is_some(), 0.1));
        let fits = |bytes: Option<u64>, packets: Option<u64>| match (bytes, packets) {
            (Some(bytes), Some(packets)) => bytes.div_ceil(1459) <= packets && packets <= bytes.div_ceil(60),
            (bytes, packets) => bytes == packets,
        };
        assert!(complete.iter().all(|flow| fits(flow.src_bytes, flow.src_packets)));
        assert!(complete.iter().all(|flow| fits(flow.dst_bytes, flow.dst_packets)));
    }

    #[test]
    fn flows_come_in_the_order_of_their_ends_and_cover_thirty_days() {
        let flows = Generator::new(1).chunk(100);
        let ends: Vec<_> = flows.iter().filter_map(|flow| flow.end_time).collect();
        assert!(ends.is_sorted());
        assert!(!flows.is_sorted_by_key(|flow| flow.start_time));
        assert!(flows.iter().all(|flow| flow.end_time.is_none_or(|end| flow.start_time <= end)));
        let last = instant(20_000_000.0).as_millis() - BEGIN;
        assert!((last - 30 * 86_400_000).abs() < 1000, "{last}");
        assert!(Generator::new(1).flows(1000).all(|flow| flow.start_time >= instant(0.0)));
    }

    #[test]
    fn the_night_is_quieter_than_the_day() {
        let millis = |number: f64| instant(number).as_millis();
        let a_day = DAY_MILLIS / GAP_MILLIS;
        let midnight = millis(1000.0) - millis(0.0);
        let noon = millis(a_day / 2.0 + 1000.0) - millis(a_day / 2.0);
        assert!(midnight > 3 * noon, "{midnight} {noon}");
        let ends: Vec<i64> = (0..2000).map(|step| millis(f64::from(step) * a_day / 1000.0)).collect();
        assert!(ends.is_sorted());
    }

    #[test]
    fn shares_are_those_of_the_table() {
        let flows = Generator::new(3).chunk(0);
        let near = |share: f64, expected: f64| (share - expected).abs() < expected / 5.0;
        let tcp = |flow: &Flow| flow.protocol == Protocol::TCP;
        assert!(near(share(&flows, tcp), 0.7));
        assert!(near(share(&flows, |flow| flow.protocol == Protocol::UDP), 0.25));
        assert!(near(share(&flows, |flow| flow.protocol == Protocol::ICMP), 0.04));
        assert!(near(share(&flows, |flow| flow.end_time.is_none()), 0.005));
        assert!((0.0005..0.0015).contains(&share(&flows, |flow| flow.activity_id.is_some())));
        assert!(near(share(&flows, |flow| flow.tcp_flags.is_some_and(|flags| flags.bits() == 2)), 0.07));
        assert!(flows.iter().all(|flow| flow.tcp_flags.is_some() == tcp(flow)));
        let has_ports = |flow: &Flow| flow.src_port.is_some() && flow.dst_port.is_some();
        assert!(flows.iter().all(|flow| has_ports(flow) == matches!(flow.protocol, Protocol::TCP | Protocol::UDP)));
        let six = |flow: &Flow| [flow.src_ip, flow.dst_ip].iter().flatten().any(|ip| ip.to_ip().is_ipv6());
        assert!(near(share(&flows, six), 0.05));
        assert!(
            flows.iter().all(|flow| flow.node_id.is_some() && (flow.src_node.is_some() || flow.dst_node.is_some()))
        );
    }

    #[test]
    fn a_few_addresses_and_ports_are_busy_and_most_are_rare() {
        let flows = Generator::new(3).chunk(0);
        let mut addresses: HashMap<_, usize> = HashMap::new();
        for flow in flows.iter().filter(|flow| flow.dst_node.is_none()) {
            *addresses.entry(flow.dst_ip).or_default() += 1;
        }
        let busiest = addresses.values().max().unwrap();
        let once = addresses.values().filter(|flows| **flows == 1).count();
        assert!(*busiest > 1000 && once * 2 > addresses.len(), "{busiest} {once} {}", addresses.len());
        let https = share(&flows, |flow| flow.dst_port == Some(443));
        assert!(share(&flows, |flow| flow.dst_port == Some(53)) < https);
        assert!(share(&flows, |flow| flow.dst_port == Some(22)) > share(&flows, |flow| flow.dst_port == Some(25)));
    }

    #[test]
    fn chunks_of_any_number_can_be_made() {
        let last = Generator::new(0).part(u64::MAX, 10).collect::<Vec<_>>();
        assert_eq!(last.len(), 10);
        assert!(last.iter().all(|flow| flow.start_time <= Timestamp::MAX));
    }
}
