//! The suites of queries.

use flowseek::flow::{Address, Timestamp};

use super::{
    case::Case,
    dialect::{Sorting, Term},
    sample::Sample,
};

const TCP: Term = Term::Number("protocol", "=", 6);
const UDP: Term = Term::Number("protocol", "=", 17);
const SYN: u8 = 2;

/// All suites, one after another.
pub fn all(sample: &Sample) -> Vec<Case> {
    [pages(), needles(sample), sorts(), counts(sample)].concat()
}

/// Pages that a listing turns, at the beginning and deep in the archive.
pub fn pages() -> Vec<Case> {
    let newest = || Case::newest("pages", "newest", "", Vec::new()).target(0.1);
    let port = || Case::newest("pages", "one busy port", "dstPort=443", vec![port(443)]).target(0.15);
    let mut cases = vec![newest(), Case::sorted("pages", "oldest", "", Sorting::Oldest).target(0.1), port()];
    for number in [2, 500, 10_000] {
        cases.extend([newest().at_page(number), port().at_page(number)]);
    }
    cases
}

/// Few flows of many.
pub fn needles(sample: &Sample) -> Vec<Case> {
    let needle = |name: &str, query: String, terms| Case::newest("needles", name, &query, terms);
    let Sample { rare, seldom, absent, node, small_node, start, .. } = sample;
    let network = [rare.to_bits() & !0xff, rare.to_bits() | 0xff].map(Address::from_bits);
    let (begin, end) = (*start, *start + 3600);
    vec![
        needle("one rare address", format!("srcIp={rare}"), vec![source(*rare)]).target(0.15),
        needle("one address of dozens of flows", format!("ip={seldom}"), vec![Term::EitherEnd(*seldom)]).target(0.4),
        needle("absent address", format!("srcIp={absent}"), vec![source(*absent)]).target(0.03),
        needle("rare, either end", format!("ip={rare}"), vec![Term::EitherEnd(*rare)]).target(0.4),
        needle("a /24", format!("srcIp={}/24", network[0]), vec![Term::Address("src_ip", network[0], network[1])]),
        needle("one node, in every block", format!("node={node}"), vec![logged_by(node)]).target(0.6),
        needle("one small node", format!("node={small_node}"), vec![logged_by(small_node)]),
        needle(
            "node + port + protocol",
            format!("node={small_node}&dstPort=161&protocol=UDP"),
            vec![logged_by(small_node), port(161), UDP],
        )
        .target(1.0),
        needle(
            "one hour, TCP, port >= 1024, SYN",
            format!("sTime={begin}&eTime={end}&protocol=TCP&dstPort=1024&dstPortOp=gte&tcpFlags=SYN"),
            vec![
                Term::Start(">=", seconds(begin)),
                Term::Start("<=", seconds(end)),
                TCP,
                Term::Number("dst_port", ">=", 1024),
                Term::Flags(SYN),
            ],
        )
        .target(0.3),
    ]
}

/// Orders in which the flows do not lie.
pub fn sorts() -> Vec<Case> {
    let sorted = |name: &str, sorting| Case::sorted("sorts", name, &format!("sort={name}&reverse=true"), sorting);
    vec![
        sorted("destPort:desc", Sorting::By("dst_port", "DESC")).target(2.0),
        sorted("destBytes:desc", Sorting::By("dst_bytes", "DESC")).target(2.0),
        sorted("sourceIP", Sorting::By("src_ip", "ASC")),
    ]
}

/// Exact counts.
pub fn counts(sample: &Sample) -> Vec<Case> {
    let Sample { rare, busy, node, .. } = sample;
    let destination = Term::Address("dst_ip", *busy, *busy);
    vec![
        Case::count("all flows", "", Vec::new()),
        Case::count("one port", "dstPort=443", vec![port(443)]).target(0.1),
        Case::count("one rare address", &format!("srcIp={rare}"), vec![source(*rare)]).target(0.03),
        Case::count("one busy address", &format!("dstIp={busy}"), vec![destination]),
        Case::count("one node", &format!("node={node}"), vec![logged_by(node)]),
        Case::count("TCP and SYN", "protocol=TCP&tcpFlags=SYN", vec![TCP, Term::Flags(SYN)]).target(0.2),
    ]
}

pub(super) fn port(number: u64) -> Term {
    Term::Number("dst_port", "=", number)
}

pub(super) fn source(address: Address) -> Term {
    Term::Address("src_ip", address, address)
}

fn logged_by(node: &str) -> Term {
    Term::Text("node_id", node.to_owned())
}

pub(super) fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000).expect("a time of a generated flow")
}
