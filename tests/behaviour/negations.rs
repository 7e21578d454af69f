//! Every parameter that filters, with every operator, against a plain reading of the contract: what the ends of a flow
//! are, and whether an operator holds for them. Nothing of the library's filters is used on the way.

use flowseek::{
    Archive, Flow, FlowId, Settings, StoredFlow,
    archive::SegmentOptions,
    flow::{Address, Protocol, TcpFlags, Timestamp},
    wire::Request,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    folder::Folder,
    support::{append, block_on},
};

/// A value of a flow, or one that a query lists.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(u128),
    Text(String),
}

/// An item of a list: as it is written, and the values that it stands for.
#[derive(Clone, Debug)]
struct Item {
    text: &'static str,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    From(u128, u128),
    /// Every protocol but TCP, UDP and ICMP.
    OtherProtocols,
    Name(&'static str),
}

impl Item {
    fn holds(&self, value: &Value) -> bool {
        match (&self.values, value) {
            (Values::From(first, last), Value::Number(number)) => first <= number && number <= last,
            (Values::OtherProtocols, Value::Number(number)) => ![6, 17, 1].contains(number),
            (Values::Name(name), Value::Text(text)) => name == text,
            _ => panic!("{self:?} is no item for {value:?}"),
        }
    }
}

/// A parameter that filters.
struct Parameter {
    name: &'static str,
    operators: &'static [&'static str],
    /// The values of the ends that it looks at.
    ends: fn(&Flow) -> Vec<Option<Value>>,
    items: fn() -> Vec<Item>,
}

const SIX: &[&str] = &["eq", "ne", "gt", "gte", "lt", "lte"];
const TWO: &[&str] = &["eq", "ne"];

fn port(port: Option<u16>) -> Option<Value> {
    port.map(|port| Value::Number(port.into()))
}

fn ip(address: Option<Address>) -> Option<Value> {
    address.map(|address| Value::Number(address.to_bits()))
}

fn name(name: &Option<String>) -> Option<Value> {
    name.clone().map(Value::Text)
}

const PARAMETERS: [Parameter; 11] = [
    Parameter { name: "srcPort", operators: SIX, ends: |flow| vec![port(flow.src_port)], items: ports },
    Parameter { name: "dstPort", operators: SIX, ends: |flow| vec![port(flow.dst_port)], items: ports },
    Parameter {
        name: "port",
        operators: SIX,
        ends: |flow| vec![port(flow.src_port), port(flow.dst_port)],
        items: ports,
    },
    Parameter { name: "srcIp", operators: TWO, ends: |flow| vec![ip(flow.src_ip)], items: addresses },
    Parameter { name: "dstIp", operators: TWO, ends: |flow| vec![ip(flow.dst_ip)], items: addresses },
    Parameter { name: "ip", operators: TWO, ends: |flow| vec![ip(flow.src_ip), ip(flow.dst_ip)], items: addresses },
    Parameter { name: "srcNode", operators: TWO, ends: |flow| vec![name(&flow.src_node)], items: names },
    Parameter { name: "dstNode", operators: TWO, ends: |flow| vec![name(&flow.dst_node)], items: names },
    Parameter {
        name: "anyNode",
        operators: TWO,
        ends: |flow| vec![name(&flow.src_node), name(&flow.dst_node)],
        items: names,
    },
    Parameter { name: "node", operators: TWO, ends: |flow| vec![name(&flow.node_id)], items: names },
    Parameter {
        name: "protocol",
        operators: TWO,
        ends: |flow| vec![Some(Value::Number(flow.protocol.number().into()))],
        items: protocols,
    },
];

fn ports() -> Vec<Item> {
    [
        ("0", 0, 0),
        ("22", 22, 22),
        ("443.0", 443, 443),
        ("65535", 65535, 65535),
        ("0-442", 0, 442),
        ("22-65534", 22, 65534),
    ]
    .map(|(text, first, last)| Item { text, values: Values::From(first, last) })
    .into()
}

fn addresses() -> Vec<Item> {
    let bits = |text: &str| text.parse::<Address>().unwrap().to_bits();
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("10.9.9.9/8", "10.0.0.0", "10.255.255.255"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("::", "::", "::"),
        ("2001:DB8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ]
    .map(|(text, first, last)| Item { text, values: Values::From(bits(first), bits(last)) })
    .into()
}

fn names() -> Vec<Item> {
    [("a", "a"), ("A", "A"), ("local", "local"), ("%20", " "), (r"a\,b", "a,b"), ("no such", "no such")]
        .map(|(text, name)| Item { text, values: Values::Name(name) })
        .into()
}

fn protocols() -> Vec<Item> {
    let numbers = [("tcp", 6), ("17", 17), ("Icmp", 1), ("0", 0), ("255", 255)];
    let items = numbers.map(|(text, number)| Item { text, values: Values::From(number, number) });
    items.into_iter().chain([Item { text: "UNKNOWN", values: Values::OtherProtocols }]).collect()
}

/// What the contract says of one parameter, an operator and a list.
fn expected(parameter: &Parameter, operator: &str, items: &[Item], flow: &Flow) -> bool {
    let present: Vec<Value> = (parameter.ends)(flow).into_iter().flatten().collect();
    let listed = |value: &Value| items.iter().any(|item| item.holds(value));
    let compared = |holds: fn(&u128, &u128) -> bool| {
        let [Item { values: Values::From(bound, _), .. }] = items else { panic!("{items:?} is no bound") };
        present.iter().any(|value| matches!(value, Value::Number(number) if holds(number, bound)))
    };
    match operator {
        "eq" => present.iter().any(listed),
        "ne" => !present.is_empty() && !present.iter().any(listed),
        "gt" => compared(|number, bound| number > bound),
        "gte" => compared(|number, bound| number >= bound),
        "lt" => compared(|number, bound| number < bound),
        _ => compared(|number, bound| number <= bound),
    }
}

/// Lists for an operator: any, or where it is an order, of one value alone.
fn lists(parameter: &Parameter, operator: &str) -> Vec<Vec<Item>> {
    let items = (parameter.items)();
    let single = |item: &&Item| TWO.contains(&operator) || matches!(item.values, Values::From(a, b) if a == b);
    let singles = items.iter().filter(single).map(|item| vec![item.clone()]);
    let pairs = items.iter().zip(items.iter().skip(1)).map(|(one, other)| vec![one.clone(), other.clone()]);
    let pairs = if TWO.contains(&operator) { pairs.collect() } else { Vec::new() };
    singles.chain(pairs).chain(TWO.contains(&operator).then(|| items.clone())).collect()
}

/// Every query of one parameter, an operator and a list, with what the contract says.
fn every_query(mut check: impl FnMut(&str, &dyn Fn(&Flow) -> bool)) {
    for parameter in &PARAMETERS {
        for operator in parameter.operators {
            for items in lists(parameter, operator) {
                let texts: Vec<&str> = items.iter().map(|item| item.text).collect();
                let query = format!("{0}={1}&{0}Op={operator}", parameter.name, texts.join(","));
                check(&query, &|flow| expected(parameter, operator, &items, flow));
            }
        }
    }
}

fn flow() -> impl Strategy<Value = Flow> {
    let port = || option::weighted(0.7, select(vec![0u16, 1, 22, 23, 443, 1024, 65534, 65535]));
    let address = || {
        let texts = ["10.0.0.1", "10.0.0.2", "11.0.0.0", "0.0.0.0", "::", "::1", "2001:db8::1", "ffff::"];
        option::weighted(0.7, select(texts.map(|text| text.parse::<Address>().unwrap()).to_vec()))
    };
    let name = || option::weighted(0.7, select(vec!["a", "A", "b", "a,b", "local", " "]).prop_map(str::to_owned));
    let protocol = select(vec![0u8, 1, 6, 17, 58, 255]).prop_map(Protocol::new);
    let ends = ((port(), port()), (address(), address()), (name(), name()));
    (ends, name(), protocol, -2i64..4).prop_map(
        |(((src_port, dst_port), (src_ip, dst_ip), nodes), node_id, protocol, at)| {
            let (src_node, dst_node) = nodes;
            let start = Flow::starting(Timestamp::from_millis(at).unwrap());
            Flow { protocol, src_port, dst_port, src_ip, dst_ip, src_node, dst_node, node_id, ..start }
        },
    )
}

fn stored(flow: Flow) -> StoredFlow {
    StoredFlow { id: FlowId::new(1), flow }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_parameter_and_operator_means_what_the_contract_says(flows in vec(flow(), 20)) {
        let flows: Vec<StoredFlow> = flows.into_iter().map(stored).collect();
        every_query(|query, expected| {
            let filter = Request::parse(query).unwrap().filter;
            let normal = filter.normal();
            for flow in &flows {
                let expected = expected(&flow.flow);
                assert_eq!(filter.matches(flow), expected, "{query}: {flow:?}");
                assert_eq!(normal.matches(flow), expected, "{query}, normal: {flow:?}");
            }
        });
    }

    /// All bounds are on the start time, in milliseconds; a bound between two of them lies between two flows.
    #[test]
    fn every_operator_on_a_time_is_exact_between_two_milliseconds(flows in vec(flow(), 20)) {
        for (text, tenths) in [("0", 0), ("0.001", 10), ("0.0015", 15), ("0.0005", 5), ("-0.0005", -5), ("0.0020001", 20)] {
            let beyond = i64::from(text == "0.0020001");
            let rfc3339 = match text {
                "-0.0005" => "1969-12-31T23:59:59.9995Z".to_owned(),
                text => format!("1970-01-01T00:00:0{}Z", if text.contains('.') { text } else { "0.0" }),
            };
            for (name, operator) in SIX.iter().flat_map(|operator| [("sTime", operator), ("eTime", operator)]) {
                for text in [text, &rfc3339] {
                    let query = format!("{name}={text}&{name}Op={operator}");
                    let filter = Request::parse(&query).unwrap().filter;
                    for flow in flows.iter().cloned().map(stored) {
                        // A tenth of a millisecond, and half of one more where the bound lies a little beyond it.
                        let (at, bound) = (20 * flow.flow.start_time.as_millis(), 2 * tenths + beyond);
                        let expected = match *operator {
                            "eq" => at == bound,
                            "ne" => at != bound,
                            "gt" => at > bound,
                            "gte" => at >= bound,
                            "lt" => at < bound,
                            _ => at <= bound,
                        };
                        assert_eq!(filter.matches(&flow), expected, "{query}: {flow:?}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn an_archive_answers_every_parameter_and_operator_so(flows in vec(flow(), 60)) {
        let directory = Folder::new();
        let segment = SegmentOptions::default().block_rows(4).row_group_blocks(2);
        let settings = Settings::default().segment(segment).segment_rows(24);
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let stored = append(&archive, std::slice::from_ref(&flows));
        let snapshot = archive.snapshot().unwrap();
        every_query(|query, expected| {
            let mut found: Vec<u64> = {
                let request = Request::parse(&format!("{query}&count=exact")).unwrap();
                let page = block_on(request.query(&snapshot).page()).unwrap();
                assert_eq!(page.total, Some(page.batch.num_rows() as u64), "{query}");
                page.flows().unwrap().iter().map(|flow| flow.id.get()).collect()
            };
            found.sort_unstable();
            let matching = stored.iter().filter(|flow| expected(&flow.flow));
            let mut ids: Vec<u64> = matching.map(|flow| flow.id.get()).collect();
            ids.sort_unstable();
            assert_eq!(found, ids, "{query}");
        });
    }
}

/// The other half of the sets of flags is told by what is not matched: there is no operator of `tcpFlags`.
#[test]
fn flags_match_by_at_least_one_whole_item() {
    for flags in 0..=255u8 {
        let flow = stored(Flow {
            tcp_flags: Some(TcpFlags::new(flags)),
            ..Flow::starting(Timestamp::from_millis(0).unwrap())
        });
        for (text, masks) in
            [("2", &[2u8][..]), ("18", &[18]), ("SYN+ACK,RST", &[18, 4]), ("0xff&tcpFlags=1", &[255, 1])]
        {
            let filter = Request::parse(&format!("tcpFlags={text}")).unwrap().filter;
            let expected = masks.iter().any(|mask| flags & mask == *mask);
            assert_eq!(filter.matches(&flow), expected, "{text}: {flags:08b}");
        }
    }
}
