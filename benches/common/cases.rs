//! The queries that are timed, in the endpoint's words and in SQL.

use std::net::IpAddr;

use flowseek::{StoredFlow, flow::Address};

/// A query in both languages.
pub struct Case {
    pub name: &'static str,
    pub query: String,
    /// The condition and the order.
    pub sql: (String, &'static str),
    /// Pages to go before the one that is timed.
    pub pages_before: usize,
}

const NEWEST: &str = "start_time DESC, flow_id DESC";
const OLDEST: &str = "start_time, flow_id";

/// The cases over flows of which `sample` is one.
pub fn cases(sample: &StoredFlow) -> Vec<Case> {
    let newest = |name, query: &str, condition: String| Case {
        name,
        query: format!("{query}&reverse=true&limit=100"),
        sql: (condition, NEWEST),
        pages_before: 0,
    };
    let rare = sample.flow.src_ip.max(sample.flow.dst_ip).expect("the sample has addresses");
    let node = sample.flow.node_id.clone().expect("the sample was logged");
    let start = sample.flow.start_time.as_millis() / 1000;
    vec![
        newest("newest", "", "true".into()),
        Case { name: "oldest", query: "limit=100".into(), sql: ("true".into(), OLDEST), pages_before: 0 },
        newest("one port", "dstPort=443", "dst_port = 443".into()),
        newest("one rare address", &format!("srcIp={rare}"), format!("src_ip = {}", literal(rare))),
        newest("either end", &format!("ip={rare}"), format!("src_ip = {0} OR dst_ip = {0}", literal(rare))),
        newest("one node", &format!("node={node}"), format!("node_id = '{node}'")),
        newest(
            "one hour, TCP, port >= 1024, SYN",
            &format!("sTime={start}&eTime={}&protocol=TCP&dstPort=1024&dstPortOp=gte&tcpFlags=SYN", start + 3600),
            format!(
                "start_time >= to_timestamp_millis({}) AND start_time <= to_timestamp_millis({}) AND protocol = 6 AND \
                 dst_port >= 1024 AND tcp_flags & 2 = 2",
                start * 1000,
                (start + 3600) * 1000
            ),
        ),
        Case { pages_before: 500, ..newest("page 500, newest", "", "true".into()) },
        Case { pages_before: 500, ..newest("page 500, one port", "dstPort=443", "dst_port = 443".into()) },
        Case {
            name: "destPort:desc",
            query: "sort=destPort:desc&reverse=true&limit=100".into(),
            sql: ("true".into(), "dst_port DESC NULLS LAST, start_time DESC, flow_id DESC"),
            pages_before: 0,
        },
        Case {
            name: "destBytes:desc",
            query: "sort=destBytes:desc&reverse=true&limit=100".into(),
            sql: ("true".into(), "dst_bytes DESC NULLS LAST, start_time DESC, flow_id DESC"),
            pages_before: 0,
        },
    ]
}

fn literal(address: Address) -> String {
    let bytes = match address.to_ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("arrow_cast(X'{hex}', 'FixedSizeBinary(16)')")
}
