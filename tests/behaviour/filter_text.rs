//! Filters as text: what they mean, what is said of those that are wrong, and where they are taken.

use std::time::Duration;

use flowseek::{
    Archive, Filter, Flow, Order, Timestamp,
    archive::SegmentOptions,
    filter::{
        any_node, bytes, dst_bytes, dst_ip, dst_node, dst_port, duration, end_time, flow_flags, ip, node_id, packets,
        port, protocol, src_bytes, src_ip, src_node, src_port, start_time, tcp_flags,
    },
    flow::{AddressRange, FlowFlags, Instant, Protocol, TcpFlags},
    query::{Count, Start},
    wire::Request,
};

use crate::{
    folder::Folder,
    kept::Place,
    support::{append, block_on},
};

fn net(text: &str) -> AddressRange {
    text.parse().unwrap()
}

fn instant(text: &str) -> Instant {
    text.parse().unwrap()
}

fn flags(bits: u8) -> Filter {
    tcp_flags().carries_any([TcpFlags::new(bits)])
}

#[test]
fn texts_mean_what_the_builder_makes() {
    let either = |one: Filter, other: Filter| one.or(other);
    let v6 = src_ip().none_of([net("0.0.0.0/0")]).or(dst_ip().none_of([net("0.0.0.0/0")]));
    let cases: Vec<(&str, Filter)> = vec![
        ("", Filter::all()),
        (" # nothing but a comment", Filter::all()),
        ("any", Filter::all()),
        ("not any", Filter::nothing()),
        ("proto tcp", protocol().eq(Protocol::TCP)),
        ("tcp", protocol().eq(Protocol::TCP)),
        ("PROTO UDP or proto = 47", protocol().any_of([Protocol::UDP, Protocol::new(47)])),
        ("proto in [gre, esp 6]", protocol().any_of([47, 50, 6].map(Protocol::new))),
        ("proto unknown", protocol().none_of(Protocol::NAMED)),
        ("proto != tcp", protocol().ne(Protocol::TCP)),
        ("host 9.9.9.9", ip().any_of([net("9.9.9.9")])),
        ("ip 9.9.9.9", ip().any_of([net("9.9.9.9")])),
        ("host != 9.9.9.9", ip().none_of([net("9.9.9.9")])),
        ("not host 9.9.9.9", !ip().any_of([net("9.9.9.9")])),
        ("src net 10.0.0.0/8", src_ip().within(net("10.0.0.0/8"))),
        ("src net 10.1.2.3 255.0.0.0", src_ip().within(net("10.0.0.0/8"))),
        ("dst ip in [1.1.1.1, 2001:db8::/32]", dst_ip().any_of([net("1.1.1.1"), net("2001:db8::/32")])),
        ("dst ip not in [1.1.1.1]", dst_ip().none_of([net("1.1.1.1")])),
        ("src or dst ip ::1", either(src_ip().within(net("::1")), dst_ip().within(net("::1")))),
        ("src and dst port 53", src_port().eq(53).and(dst_port().eq(53))),
        ("src port 53 or dst port 54", src_port().eq(53).or(dst_port().eq(54))),
        ("port 443", port().eq(443)),
        ("port > 1023", port().within(1024..)),
        ("dst port >= 1024 && dst port lt 2048", dst_port().within(1024..2048)),
        ("dst port in [80, 443, 8000-8999]", dst_port().any_of([80, 443]).or(dst_port().within(8000..=8999))),
        ("portrange 1-1023", port().within(1..1024)),
        ("port != 80", port().ne(80)),
        ("ipv4", ip().within(net("0.0.0.0/0"))),
        ("inet6", v6),
        ("flags SA", flags(0x12)),
        ("flags all as", flags(0x12)),
        ("flags SYN+ACK", flags(0x12)),
        ("flags 18 or flags 0x12", flags(0x12)),
        ("flags any RF", flags(4).or(flags(1))),
        ("flags none RF", tcp_flags().carries_none([TcpFlags::new(4), TcpFlags::new(1)])),
        ("flags X", flags(0x3f)),
        ("bytes > 1M", bytes().within(1_000_001..)),
        ("bytes >= 1.5k and src bytes < 64Ki", bytes().within(1500..).and(src_bytes().within(..65_536))),
        ("dst bytes in [0, 10-20]", dst_bytes().eq(0).or(dst_bytes().within(10..=20))),
        ("packets 3", packets().eq(3)),
        ("duration >= 10s", duration().within(Duration::from_secs(10)..)),
        (
            "duration < 1h30m or duration = 1.5s",
            duration().within(..Duration::from_secs(5400)).or(duration().eq(Duration::from_millis(1500))),
        ),
        ("src node \"edge-1\"", src_node().eq("edge-1")),
        ("node edge-1", any_node().eq("edge-1")),
        ("node != edge-1", any_node().ne("edge-1")),
        ("dst node 'gw *'", dst_node().starts_with("gw ")),
        ("dst node in [a, \"b\\*\", c?]", dst_node().any_of(["a", "b*"]).or(dst_node().like(["c?".parse().unwrap()]))),
        ("nodeid tenant-7/*", node_id().starts_with("tenant-7/")),
        ("start >= 2026-01-01T00:00:00Z", start_time().gte(instant("2026-01-01T00:00:00Z"))),
        ("end < 1666012671.5", end_time().lt(instant("1666012671.5"))),
        ("flowflags 65536", flow_flags().carries_any([FlowFlags::new(65_536)])),
        ("defunct", flow_flags().carries_any(FlowFlags::DEFUNCT.iter().copied())),
        // `not` holds tighter than `and`, and that tighter than `or`.
        (
            "not tcp and udp or icmp",
            (!protocol().eq(Protocol::TCP)).and(protocol().eq(Protocol::UDP)).or(protocol().eq(Protocol::ICMP)),
        ),
        ("!(tcp || udp)", !protocol().any_of([Protocol::TCP, Protocol::UDP])),
        ("tcp # a comment\n and port 80", protocol().eq(Protocol::TCP).and(port().eq(80))),
    ];
    for (text, expected) in cases {
        let read: Filter = text.parse().unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(read.normal(), expected.normal(), "{text}");
        assert_eq!(read.to_string().parse::<Filter>().unwrap().normal(), expected.normal(), "{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    for (text, told) in [
        ("dst prt 443", vec![(4, "expected `ip`, `net`, `port`, `node`, `bytes` or `packets`; found `prt`")]),
        ("prot tcp", vec![(0, "expected a test, such as `dst port 443`; found `prot`; did you mean `proto`?")]),
        ("port", vec![(4, "expected a port from 0 to 65535, or a range such as 8000-8999; found the end")]),
        ("port 80 port 81", vec![(8, "expected `and`, `or` or the end; found `port`")]),
        ("(port 80", vec![(8, "expected `and`, `or` or `)`; found the end")]),
        ("port 80)", vec![(7, "expected `and`, `or` or the end; found `)`")]),
        (
            "port x and (src ip y or dst port 1-) and tcp",
            vec![
                (5, "expected a port from 0 to 65535, or a range such as 8000-8999; found `x`"),
                (19, "expected an address, or a block such as 10.0.0.0/8; found `y`"),
                (33, "expected a port from 0 to 65535, or a range such as 8000-8999; found `1-`"),
            ],
        ),
        (
            "duration > 10",
            vec![(11, "expected a length of time with its unit, such as 500ms, 10s, 1.5m, 1h30m or 7d; found `10`")],
        ),
        (
            "bytes > 1.0001k",
            vec![(
                8,
                "expected a whole number, such as 1500, 1.5M (k, M, G, T: powers of 1000) or 64Ki (of 1024); found `1.0001k`",
            )],
        ),
        ("host > 1.1.1.1", vec![(5, "expected `=`, `!=`, `in` or `not in`: these have no order; found `>`")]),
        ("port > 1-2", vec![(7, "expected one value behind a comparison by order, not a range")]),
        ("port in 80", vec![(8, "expected a list, such as [80, 443]; found `80`")]),
        ("port in [80", vec![(11, "expected another value, or `]`; found the end")]),
        (
            "src node \"a",
            vec![(
                9,
                "expected a name of 1 to 255 bytes, in quotes where it has blanks; * and ? stand for any characters; found a quote that nothing closes",
            )],
        ),
        ("tcp and", vec![(7, "expected a test, such as `dst port 443`; found the end")]),
        ("tcp ^ udp", vec![(4, "expected `and`, `or` or the end; found `^`")]),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        let found: Vec<(usize, &str)> =
            error.problems().iter().map(|problem| (problem.span.start, problem.message.as_str())).collect();
        assert_eq!(found, told, "{text}");
    }
    let error = format!("{} and port 70000 and tcp", vec!["udp"; 100].join(" or ")).parse::<Filter>().unwrap_err();
    let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    let pointed = lines[2].find('^').unwrap();
    assert_eq!(&lines[1][pointed..pointed + 5], "70000");
    assert!(lines[1].len() < 130, "{lines:?}");
}

#[test]
fn hostile_texts_are_refused_in_bounded_time() {
    for text in [
        "(".repeat(60_000),
        "not ".repeat(15_000),
        "port in [".to_owned() + &"1,".repeat(30_000),
        "x ".repeat(30_000),
        format!("src node \"{}\"", "a*".repeat(400)),
        "\"".repeat(9_999),
        "tcp and ".repeat(9_000),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert!((1..=20).contains(&error.problems().len()), "{}", error.problems().len());
        assert!(error.to_string().len() < 20_000);
    }
    assert!(format!("tcp{}", " or udp".repeat(999)).parse::<Filter>().is_ok());
    assert_eq!(format!("tcp{}", " or udp".repeat(1_000)).parse::<Filter>().unwrap_err().problems().len(), 1);
    let names = |count: usize| (0..count).map(|name| format!("n{name}*")).collect::<Vec<_>>().join(" ");
    assert!(format!("node in [{}]", names(64)).parse::<Filter>().is_ok());
    assert!(format!("node in [{}] and nodeid x*", names(64)).parse::<Filter>().is_err());
    assert!("a".repeat(70_000).parse::<Filter>().is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_ends_in_a_panic(text in r#"((src|dst|not|and|or|port|ip|node|in|flags|bytes|last|[(),=<>!"\[\]]|[0-9a-f.:/*-]{1,6}) ?){0,14}"#) {
        let _ = text.parse::<Filter>();
    }
}

#[test]
fn the_parameter_is_joined_to_the_others_and_is_part_of_what_cursors_are_bound_to() {
    let place = Place::new();
    let settings = place.settings(200).segment(SegmentOptions::default().block_rows(16).row_group_blocks(1));
    let archive = flowseek::Archive::open_or_create_with(&place.path, settings).unwrap();
    crate::kept::commit(&archive, 0..300);
    let snapshot = archive.snapshot().unwrap();
    let ask = |query: &str| {
        let request = Request::parse(query).unwrap();
        block_on(request.query(&snapshot).count(Count::Exact).page())
    };
    let by_text = ask("filter=dst port in [10-19] and not src node node-3&limit=3").unwrap();
    assert_eq!(by_text.total, Some(by_text.flows().unwrap().len() as u64 + 7));
    let both = ask("dstPort=12-30&filter=dst port <= 15").unwrap();
    assert_eq!(both.total, Some(4));
    let next = by_text.next.unwrap();
    assert!(ask(&format!("filter=dst port in [10-19] and not src node node-3&limit=3&page={next}")).is_ok());
    // Another spelling of the same filter is the same query; another filter is another.
    assert!(ask(&format!("filter=!(src node = node-3) and (dst port 10-19)&page={next}")).is_ok());
    assert!(ask(&format!("filter=dst port in [10-19]&page={next}")).is_err());
}

#[test]
fn a_walk_by_the_last_hours_goes_on_from_page_to_page() {
    let place = Place::new();
    let archive = place.archive(100);
    let now = Timestamp::from_millis(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64,
    )
    .unwrap();
    let mut appender = archive.appender().unwrap();
    for minutes in 0..240 {
        let start = Timestamp::from_millis(now.as_millis() - minutes * 60_000 - 30_000).unwrap();
        appender.push(&Flow { dst_port: Some(443), ..Flow::starting(start) }).unwrap();
    }
    let _ = appender.commit().unwrap();
    drop(appender);
    let (mut start, mut found) = (None, 0);
    loop {
        let page = start.as_ref().map(|next| format!("&page={next}")).unwrap_or_default();
        let request = Request::parse(&format!("filter=last 2h and tcp or last 1h&limit=25{page}")).unwrap();
        assert!(request.moving.is_some());
        let page = block_on(request.query(&archive.snapshot().unwrap()).order(Order::newest_first()).page()).unwrap();
        found += page.flows().unwrap().len();
        let Some(next) = page.next else { break };
        // Another length is another query.
        let other = Request::parse(&format!("filter=last 3h&page={next}")).unwrap();
        let other = other.query(&archive.snapshot().unwrap()).order(Order::newest_first());
        assert!(block_on(other.page()).is_err());
        start = Some(next);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(found, 60);
}

#[test]
fn all_notations_prune_alike() {
    let place = Place::new();
    let archive = place.archive(100);
    for commit in 0..6 {
        crate::kept::commit(&archive, commit * 100..commit * 100 + 100);
    }
    let snapshot = archive.snapshot().unwrap();
    for (parameters, text, built) in [
        ("dstPort=250-260", "dst port in [250-260]", dst_port().within(250..=260)),
        (
            "srcNode=node-3&dstPort=303",
            "src node node-3 and dst port 303",
            src_node().eq("node-3").and(dst_port().eq(303)),
        ),
        (
            "sTime=0.5&eTime=0.55",
            "start >= 0.5 and start <= 0.55",
            start_time().gte(instant("0.5")).and(start_time().lte(instant("0.55"))),
        ),
        ("srcNode=nobody", "src node = nobody", src_node().eq("nobody")),
    ] {
        let requests = [parameters.to_owned(), format!("filter={text}")];
        let mut queries: Vec<_> =
            requests.iter().map(|query| Request::parse(query).unwrap().query(&snapshot)).collect();
        queries.push(snapshot.query(built));
        let costs: Vec<_> = queries
            .into_iter()
            .map(|query| {
                let page = block_on(query.start(Start::First).page()).unwrap();
                (
                    page.flows().unwrap(),
                    page.explain.segments_never,
                    page.explain.blocks_read,
                    page.explain.rows_scanned,
                )
            })
            .collect();
        assert!(costs.iter().all(|cost| cost.0 == costs[0].0 && cost.1 == costs[0].1), "{text}");
        // What was read first is cached for the others.
        assert_eq!(costs[1].3, costs[2].3, "{text}");
        assert!(costs[0].1 >= 5, "{text}: {} segments are passed over", costs[0].1);
    }
}

#[test]
fn a_window_takes_flows_by_their_start_by_any_moment_or_whole() {
    let place = Place::new();
    let archive = place.archive(10);
    let time = |second: i64| Timestamp::from_millis(second * 1000).unwrap();
    let mut appender = archive.appender().unwrap();
    // Every start and end of 0 to 9, and flows without an end.
    let spans: Vec<(i64, Option<i64>)> =
        (0..10).flat_map(|start| (start..10).map(Some).chain([None]).map(move |end| (start, end))).collect();
    for (start, end) in &spans {
        appender.push(&Flow { end_time: end.map(time), ..Flow::starting(time(*start)) }).unwrap();
    }
    let _ = appender.commit().unwrap();
    drop(appender);
    let snapshot = archive.snapshot().unwrap();
    let count = |query: &str| {
        let page = block_on(Request::parse(query).unwrap().query(&snapshot).count(Count::Exact).page()).unwrap();
        page.total.unwrap() as usize
    };
    for (from, to) in [(2, 5), (0, 9), (4, 4), (5, 2)] {
        let expected = |is: &dyn Fn(i64, i64) -> bool| {
            spans.iter().filter(|(start, end)| is(*start, end.unwrap_or(*start))).count()
        };
        let window = format!("sTime={from}&eTime={to}");
        assert_eq!(count(&window), expected(&|start, _| from <= start && start <= to));
        assert_eq!(count(&format!("{window}&during=starts")), count(&window));
        assert_eq!(count(&format!("{window}&during=overlaps")), expected(&|start, end| end >= from && start <= to));
        assert_eq!(count(&format!("{window}&during=within")), expected(&|start, end| start >= from && end <= to));
        let open = format!("sTime={from}&eTime={to}&sTimeOp=gt&eTimeOp=lt&during=overlaps");
        assert_eq!(count(&open), expected(&|start, end| end > from && start < to));
    }
    assert_eq!(count("during=within"), spans.len());
    let problems = |query: &str| Request::parse(query).unwrap_err().problems().to_vec();
    assert_eq!(
        problems("sTime=1&during=within&sTimeOp=eq"),
        ["`sTimeOp`: with `during` it is a bound of the window; allowed: gt, gte"]
    );
    assert_eq!(problems("during=touches").len(), 1);
}

#[test]
fn values_that_occur_complete_a_filter_the_most_frequent_first() {
    let folder = Folder::new();
    let archive = Archive::open_or_create(folder.path().join("flows")).unwrap();
    let flow = |node: &str, port: u16, address: &str| Flow {
        src_node: Some(node.to_owned()),
        dst_port: Some(port),
        dst_ip: address.parse().ok(),
        ..Flow::starting(Timestamp::from_millis(1_600_000_000_000).unwrap())
    };
    let flows = [
        flow("edge 7", 443, "10.2.0.1"),
        flow("edge-8", 443, "10.2.0.1"),
        flow("edge-8", 4430, "2001:db8::1"),
        flow("*", 80, "10.20.0.1"),
    ];
    append(&archive, &[flows[..2].to_vec(), flows[2..].to_vec()]);
    let snapshot = archive.snapshot().unwrap();
    for (text, values) in [
        ("src node ", vec!["edge-8", "\"edge 7\"", "\\*"]),
        ("node ed", vec!["edge-8", "\"edge 7\""]),
        ("node \"ed", vec!["edge-8", "\"edge 7\""]),
        ("node ed*", vec![]),
        ("tcp or dst port in [80, 44", vec!["443", "4430"]),
        ("dst ip 10.2", vec!["10.2.0.1", "10.20.0.1"]),
        ("dst ip 10.2.", vec!["10.2.0.1"]),
        ("dst ip 2001:DB8", vec!["2001:db8::1"]),
        ("dst ip 7", vec![]),
        ("dst ip 10.2.0.1 and ", vec![]),
    ] {
        let completion = block_on(snapshot.complete(text, text.len())).unwrap();
        assert_eq!(completion.values, values, "{text}");
        // Each of them is a value where it stands.
        for value in &completion.values {
            let list = if text.contains('[') { "]" } else { "" };
            let whole = format!("{}{value}{list}", &text[..completion.span.start]);
            assert!(whole.parse::<Filter>().is_ok(), "{whole}");
        }
    }
}
