//! The suites of queries.

use flowseek::flow::{Address, Timestamp};

use super::{
    case::Case,
    dialect::{Sorting, Term},
    sample::Sample,
};

const TCP: Term = Term::Number("protocol", "=", 6);
const SYN: u8 = 2;

/// All suites, one after another.
pub fn all(sample: &Sample) -> Vec<Case> {
    [pages(), needles(sample), sorts(), counts(sample)].concat()
}

/// Pages that a listing turns, at the beginning and deep in the archive.
pub fn pages() -> Vec<Case> {
    let newest = || Case::newest("pages", "newest", "", Vec::new()).target(6.0);
    let port = || Case::newest("pages", "one busy port", "dstPort=443", vec![port(443)]).target(6.0);
    let mut cases = vec![newest(), Case::sorted("pages", "oldest", "", Sorting::Oldest).target(6.0), port()];
    for number in [2, 500, 10_000] {
        cases.extend([newest().at_page(number), port().at_page(number)]);
    }
    cases
}

/// Few flows of many.
pub fn needles(sample: &Sample) -> Vec<Case> {
    let needle = |name: &str, query: String, terms| Case::newest("needles", name, &query, terms);
    let Sample { rare, seldom, absent, node, start, .. } = sample;
    let network = [rare.to_bits() & !0xff, rare.to_bits() | 0xff].map(Address::from_bits);
    let (begin, end) = (*start, *start + 3600);
    vec![
        needle("one rare address", format!("srcIp={rare}"), vec![source(*rare)]).target(20.0),
        needle("one address of dozens of flows", format!("ip={seldom}"), vec![Term::EitherEnd(*seldom)]).target(20.0),
        needle("absent address", format!("srcIp={absent}"), vec![source(*absent)]).target(20.0),
        needle("rare, either end", format!("ip={rare}"), vec![Term::EitherEnd(*rare)]).target(20.0),
        needle("a /24", format!("srcIp={}/24", network[0]), vec![Term::Address("src_ip", network[0], network[1])])
            .target(20.0),
        needle("one node", format!("node={node}"), vec![logged_by(node)]).target(5.0),
        needle(
            "node + port + protocol",
            format!("node={node}&dstPort=5432&protocol=TCP"),
            vec![logged_by(node), port(5432), TCP],
        )
        .target(5.0),
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
        .target(6.0),
    ]
}

/// Orders in which the flows do not lie.
pub fn sorts() -> Vec<Case> {
    let sorted = |name: &str, sorting| Case::sorted("sorts", name, &format!("sort={name}&reverse=true"), sorting);
    vec![
        sorted("destPort:desc", Sorting::By("dst_port", "DESC")).target(5.0),
        sorted("destBytes:desc", Sorting::By("dst_bytes", "DESC")).target(5.0),
        sorted("sourceIP", Sorting::By("src_ip", "ASC")),
    ]
}

/// Exact counts.
pub fn counts(sample: &Sample) -> Vec<Case> {
    let Sample { rare, busy, node, .. } = sample;
    let destination = Term::Address("dst_ip", *busy, *busy);
    vec![
        Case::count("all flows", "", Vec::new()),
        Case::count("one port", "dstPort=443", vec![port(443)]).target(5.0),
        Case::count("one rare address", &format!("srcIp={rare}"), vec![source(*rare)]).target(5.0),
        Case::count("one busy address", &format!("dstIp={busy}"), vec![destination]).target(5.0),
        Case::count("one node", &format!("node={node}"), vec![logged_by(node)]),
        Case::count("TCP and SYN", "protocol=TCP&tcpFlags=SYN", vec![TCP, Term::Flags(SYN)]).target(1.5),
    ]
}

fn port(number: u64) -> Term {
    Term::Number("dst_port", "=", number)
}

fn source(address: Address) -> Term {
    Term::Address("src_ip", address, address)
}

fn logged_by(node: &str) -> Term {
    Term::Text("node_id", node.to_owned())
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000).expect("a time of a generated flow")
}
