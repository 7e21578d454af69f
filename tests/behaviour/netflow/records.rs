//! What the records of data sets say.

use flowseek::{
    Flow,
    flow::{Protocol, TcpFlags, Timestamp},
};

use super::{
    bytes, import,
    writer::{Field, NOW, capture, data, fields, flow, ipfix, ipfix_at, options, set, template, usual, v5, v9, v9_at},
};

const MILLIS: i64 = NOW as i64 * 1000;

fn millis(flow: &Flow) -> (i64, Option<i64>) {
    (flow.start_time.as_millis() - MILLIS, flow.end_time.map(|end| end.as_millis() - MILLIS))
}

/// The only flow of a record of IPFIX.
fn one(fields: &[Field], record: Vec<u8>) -> Flow {
    let (mut flows, outcome) = import(capture(&[ipfix(0, &[template(10, 300, fields), data(300, &[record])])]));
    assert_eq!((flows.len(), outcome.report().rejected), (1, 0), "{:?}", outcome.reasons());
    flows.remove(0)
}

#[test]
fn a_record_of_each_version_is_the_flow_that_it_tells_of() {
    let expected = |start, end| Flow {
        end_time: Timestamp::from_millis(MILLIS + end),
        protocol: Protocol::TCP,
        src_ip: "10.0.0.1".parse().ok(),
        dst_ip: "192.0.2.80".parse().ok(),
        src_port: Some(40_000),
        dst_port: Some(443),
        src_bytes: Some(10),
        src_packets: Some(1),
        tcp_flags: Some(TcpFlags::new(0x1b)),
        node_id: Some("192.0.2.1".to_owned()),
        ..Flow::starting(Timestamp::from_millis(MILLIS + start).unwrap())
    };
    for message in [
        v9(1, &[template(9, 256, &usual()), data(256, &[flow(1)])]),
        ipfix(0, &[template(10, 256, &usual()), data(256, &[flow(1)])]),
    ] {
        assert_eq!(import(capture(&[message])).0, [expected(1, 6)]);
    }
    // The header is of 50,000 milliseconds of uptime and a quarter of a second after the second.
    let five = Flow { src_bytes: Some(700), src_packets: Some(3), ..expected(-750, -250) };
    assert_eq!(import(capture(&[v5(0, 1, 0)])).0, [five]);
}

#[test]
fn times_of_all_kinds_are_read() {
    let ntp = |millis: u64| ((millis / 1000 + 2_208_988_800) << 32) | ((millis % 1000) << 32).div_ceil(1000);
    let start = u64::from(NOW) * 1000 - 1500;
    let long = |value: u64| value.to_be_bytes().to_vec();
    let short = |value: u32| value.to_be_bytes().to_vec();
    let init = u64::from(NOW) * 1000 - 10_000;
    for (kinds, record, expected) in [
        (vec![(150, 4), (151, 4)], [short(NOW - 2), short(NOW)].concat(), (-2000, Some(0))),
        (vec![(152, 8), (153, 8)], [long(start), long(start + 7)].concat(), (-1500, Some(-1493))),
        (vec![(154, 8), (155, 8)], [long(ntp(start)), long(ntp(start + 7))].concat(), (-1500, Some(-1493))),
        (vec![(156, 8), (157, 8)], [long(ntp(start)), long(ntp(start + 7))].concat(), (-1500, Some(-1493))),
        (vec![(158, 4), (159, 4)], [short(1_500_000), short(0)].concat(), (-1500, Some(0))),
        (vec![(160, 8), (22, 4), (21, 4)], [long(init), short(8500), short(9000)].concat(), (-1500, Some(-1000))),
        // Two kinds: the finer one. The other end by the duration.
        (vec![(150, 4), (152, 8), (161, 4)], [short(NOW), long(start), short(9)].concat(), (-1500, Some(-1491))),
        (vec![(153, 8), (162, 4)], [long(start + 7), short(7000)].concat(), (-1500, Some(-1493))),
        // A time of 0 is none.
        (vec![(152, 8), (153, 8), (150, 4)], [long(0), long(0), short(NOW)].concat(), (0, None)),
    ] {
        assert_eq!(millis(&one(&fields(&kinds), record)), expected, "{kinds:?}");
    }
}

#[test]
fn the_uptime_of_an_exporter_may_have_gone_through_0() {
    let kinds = fields(&[(22, 4), (21, 4)]);
    let record = |start: u32, end: u32| [start.to_be_bytes(), end.to_be_bytes()].concat();
    let before = v9_at(1, 1, NOW, 50_000, &[template(9, 256, &kinds), data(256, &[record(49_000, 50_020)])]);
    let after = v9_at(2, 1, NOW, 1_000, &[data(256, &[record(u32::MAX - 999, 500)])]);
    let flows: Vec<_> = import(capture(&[before, after])).0.iter().map(millis).collect();
    assert_eq!(flows, [(-1000, Some(20)), (-2000, Some(-500))]);
}

#[test]
fn uptimes_of_ipfix_need_the_start_of_the_exporter() {
    let kinds = fields(&[(22, 4)]);
    let flows = |n: u32| data(256, &[n.to_be_bytes().to_vec()]);
    let first = ipfix(0, &[template(10, 256, &kinds), flows(5)]);
    let init = (u64::from(NOW) * 1000 - 60_000).to_be_bytes();
    let told = options(10, 257, &fields(&[(144, 4), (160, 8)]));
    let second = ipfix(1, &[told, data(257, &[[&[0; 4][..], &init].concat()]), flows(59_000)]);
    let (flows, outcome) = import(capture(&[first, second]));
    assert_eq!(flows.iter().map(millis).collect::<Vec<_>>(), [(-1000, None)]);
    let reason =
        "record 1: flowStartSysUpTime: no systemInitTimeMilliseconds says when the exporter started".to_owned();
    assert_eq!(outcome.reasons(), [reason]);
}

#[test]
fn both_directions_of_a_biflow_are_kept_and_of_others_one() {
    let mut biflow = fields(&[(152, 8), (1, 4), (2, 4), (4, 1), (6, 1)]);
    biflow.extend([(Some(29_305), 1, 4), (Some(29_305), 2, 4), (Some(29_305), 6, 1)]);
    let start = (MILLIS as u64).to_be_bytes();
    let record = |reverse: u32| {
        let counts = [500, 5].map(u32::to_be_bytes).concat();
        let others = [reverse * 100, reverse].map(u32::to_be_bytes).concat();
        [&start[..], &counts, &[6, 2], &others, &[0x10]].concat()
    };
    for (reverse, expected) in [(7, (Some(700), Some(7))), (0, (Some(0), Some(0)))] {
        let flow = one(&biflow, record(reverse));
        assert_eq!((flow.src_bytes, flow.src_packets), (Some(500), Some(5)));
        assert_eq!((flow.dst_bytes, flow.dst_packets), expected);
        assert_eq!(flow.tcp_flags, Some(TcpFlags::new(0x12)));
    }
    // Those of firewalls: initiator and responder.
    let counts = [9, 8, 7, 6].map(u32::to_be_bytes).concat();
    let flow = one(&fields(&[(152, 8), (231, 4), (232, 4), (298, 4), (299, 4)]), [&start[..], &counts].concat());
    let counts = (flow.src_bytes, flow.dst_bytes, flow.src_packets, flow.dst_packets);
    assert_eq!(counts, (Some(9), Some(8), Some(7), Some(6)));
}

#[test]
fn fields_of_variable_length_of_enterprises_and_padding_are_passed_over() {
    let mut kinds = fields(&[(8, 4), (82, 65_535), (152, 8)]);
    kinds.extend([(Some(9), 1, 3), (Some(9), 1, 65_535), (None, 1, 3)]);
    let record = |name: &[u8], other: Vec<u8>, bytes: u8| {
        let start = (MILLIS as u64).to_be_bytes();
        [&[10, 0, 0, bytes, name.len() as u8], name, &start, &[1, 2, 3], &other, &[0, 0, bytes]].concat()
    };
    let long = [&[255, 1, 44][..], &[7; 300]].concat();
    let records = [record(b"", vec![0], 3), record(b"eth0", long, 4), record(b"x", vec![1, 1], 5), vec![0; 3]];
    let message = ipfix(0, &[template(10, 256, &kinds), data(256, &records)]);
    let next = ipfix(3, &[data(256, &[record(b"y", vec![0], 6)])]);
    let (flows, outcome) = import(capture(&[message, next]));
    assert_eq!(bytes(&flows), [3, 4, 5, 6]);
    assert_eq!(flows[1].src_ip, "10.0.0.4".parse().ok());
    assert_eq!((outcome.remarks(), outcome.reasons()), (vec![], vec![]));
}

#[test]
fn sampling_multiplies_and_is_remarked() {
    let sampled = |count: u64, rate: &str| {
        let (flows, their) = if count == 1 { ("flow", "its") } else { ("flows", "their") };
        format!("the bytes and packets of {count} {flows} of 192.0.2.1 ({rate}) were multiplied by {their} sampling")
    };
    let skipped = |count| format!("{count} records of options were skipped");
    // By the header.
    let (flows, outcome) = import(capture(&[v5(0, 2, 0x4000 | 50), v5(2, 1, 0)]));
    assert_eq!(bytes(&flows), [35_000, 35_000, 700]);
    assert_eq!(outcome.remarks(), [sampled(2, "1 in 50")]);

    // By two samplers, and the rate of what names none that is known.
    let mut kinds = usual();
    kinds.push((None, 48, 1));
    let of = |n: u32, sampler: u8| [flow(n), vec![sampler]].concat();
    let samplers = fields(&[(1, 4), (48, 1), (49, 1), (50, 4)]);
    let general = fields(&[(1, 4), (34, 4), (35, 1)]);
    let sampler = |id: u8, rate: u32| [&[0, 0, 0, 0, id, 2][..], &rate.to_be_bytes()].concat();
    let messages = [
        v9(1, &[template(9, 256, &kinds), options(9, 257, &samplers), options(9, 258, &general)]),
        v9(2, &[data(257, &[sampler(1, 10), sampler(2, 100)]), data(256, &[of(1, 1), of(2, 2), of(3, 3)])]),
        v9(3, &[data(258, &[[&[0; 4][..], &7u32.to_be_bytes(), &[1]].concat()]), data(256, &[of(4, 3), of(5, 1)])]),
    ];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(bytes(&flows), [100, 2000, 30, 280, 500]);
    assert_eq!(flows[1].src_packets, Some(200));
    let expected = [sampled(2, "1 in 10"), sampled(1, "1 in 100"), sampled(1, "1 in 7"), skipped(3)];
    assert_eq!(outcome.remarks(), expected);

    // As IPFIX says it: 2 packets, then none of 98.
    let chosen = fields(&[(302, 8), (305, 4), (306, 4)]);
    let mut kinds = usual();
    kinds.push((None, 302, 8));
    let selector = 5u64.to_be_bytes();
    let choice = [&selector[..], &2u32.to_be_bytes(), &98u32.to_be_bytes()].concat();
    let message = ipfix(
        0,
        &[
            template(10, 256, &kinds),
            options(10, 257, &[&fields(&[(149, 4)])[..], &chosen].concat()),
            data(257, &[[&[0; 4][..], &choice].concat()]),
            data(256, &[[flow(3), selector.to_vec()].concat()]),
        ],
    );
    let (flows, outcome) = import(capture(&[message]));
    assert_eq!((bytes(&flows), flows[0].src_packets), (vec![1500], Some(150)));
    assert_eq!(outcome.remarks(), [sampled(1, "2 in 100"), "1 record of options was skipped".to_owned()]);
}

#[test]
fn flows_without_addresses_are_kept_and_what_is_no_flow_is_counted() {
    let start = (MILLIS as u64).to_be_bytes();
    let layer_2 = [&start[..], &[2; 12], &100u32.to_be_bytes()].concat();
    let flow = one(&fields(&[(152, 8), (56, 6), (80, 6), (352, 4)]), layer_2);
    assert_eq!((flow.src_ip, flow.src_bytes, flow.protocol), (None, Some(100), Protocol::UNKNOWN));

    let event = |event: u8| [&start[..], &[event]].concat();
    let messages = [
        ipfix(0, &[template(10, 256, &fields(&[(152, 8), (230, 1)])), data(256, &[event(1), event(2)])]),
        ipfix(2, &[template(10, 257, &fields(&[(152, 8), (233, 1)])), data(257, &[event(1), event(2), event(3)])]),
        ipfix(5, &[template(10, 258, &fields(&[(10, 4), (82, 4)])), data(258, &[vec![0; 8], vec![0; 8]])]),
        ipfix(7, &[options(10, 259, &fields(&[(10, 4), (82, 4)])), data(259, &[vec![0; 8]])]),
    ];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!((flows.len(), outcome.report().skipped, outcome.report().rejected), (1, 7, 0));
    let expected = [
        "2 records of NAT events were skipped",
        "1 record of firewall events (a flow began) was skipped",
        "1 record of firewall events (a flow was denied) was skipped",
        "1 record of options was skipped",
        "2 records of templates without a time were skipped",
    ];
    assert_eq!(outcome.remarks(), expected);
}

#[test]
fn a_record_without_a_start_or_with_a_wrong_number_is_rejected() {
    let kinds = fields(&[(153, 8), (4, 2), (7, 4)]);
    let record = |end: u64, protocol: u16, port: u32| {
        [&end.to_be_bytes()[..], &protocol.to_be_bytes(), &port.to_be_bytes()].concat()
    };
    let mut with_start = kinds.clone();
    with_start.push((None, 150, 4));
    let started = |record: Vec<u8>| [record, NOW.to_be_bytes().to_vec()].concat();
    let messages = [
        ipfix(0, &[template(10, 256, &kinds), data(256, &[record(5, 6, 80)])]),
        ipfix(
            1,
            &[
                template(10, 256, &with_start),
                data(
                    256,
                    &[
                        started(record(u64::MAX, 6, 80)),
                        started(record(5, 256, 80)),
                        started(record(5, 6, 65_536)),
                        started(record(5, 1, 65_536)),
                    ],
                ),
            ],
        ),
    ];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(flows.len(), 1);
    let reasons = [
        "record 1: flowStart: it is missing, and every flow has a start",
        "record 2: flowEnd: 9223372036854775807 milliseconds since 1970 lie outside the years 0 to 9999",
        "record 3: protocolIdentifier: 256 is not a number from 0 to 255",
        "record 4: sourceTransportPort: 65536 is not a port from 0 to 65535",
    ];
    assert_eq!(outcome.reasons(), reasons);
}

#[test]
fn the_exporter_that_a_record_names_is_the_node() {
    let mut kinds = usual();
    kinds.push((None, 130, 4));
    let of = |n, exporter: [u8; 4]| [flow(n), exporter.to_vec()].concat();
    let records = [of(1, [203, 0, 113, 9]), of(2, [0; 4])];
    let (flows, _) = import(capture(&[ipfix_at(0, 9, NOW, &[template(10, 256, &kinds), data(256, &records)])]));
    let nodes: Vec<_> = flows.into_iter().map(|flow| flow.node_id.unwrap()).collect();
    assert_eq!(nodes, ["203.0.113.9", "192.0.2.1"]);
}

#[test]
fn a_message_that_is_damaged_costs_its_rest() {
    let good = ipfix(0, &[template(10, 256, &usual()), data(256, &[flow(1)])]);
    let wrong_length = [0, 7, 0, 2];
    let damaged = [
        ipfix(1, &[data(256, &[flow(2)]), wrong_length.to_vec(), data(256, &[flow(3)])]),
        ipfix(2, &[data(256, &[flow(4)]), set(77, &[0; 8]), data(256, &[flow(5)])]),
        ipfix(3, &[data(256, &[flow(6)]), set(2, &[1, 4, 0, 9, 0, 0]), data(256, &[flow(7)])]),
    ];
    let (flows, outcome) = import(capture(&[&[good][..], &damaged].concat()));
    assert_eq!(bytes(&flows), [10, 20, 40, 50, 60, 70]);
    let of = "a message of 192.0.2.1, port 5000";
    let reasons = [
        format!("record 3: {of}: set 7 at byte 58 says that it has 2 bytes: 4 to 46 are allowed"),
        format!("record 5: {of}: set 77 is none of templates, of options or of data"),
        format!("record 8: {of}: template 260 ends beyond its set"),
    ];
    assert_eq!(outcome.reasons(), reasons);
}
