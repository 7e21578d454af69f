//! What messages say that holds for later ones: templates, and the numbers of messages.

use super::{
    bytes, import,
    writer::{
        NOW, capture, data, ethernet, fields, flow, ip, ip_part, ipfix, ipfix_at, options, pcap, set, template, udp,
        usual, v5, v9, v9_at,
    },
};

#[test]
fn data_waits_for_its_template() {
    let waiting = [v9(1, &[data(256, &[flow(1), flow(2)]), data(257, &[flow(9)])]), v9(2, &[data(256, &[flow(3)])])];
    let explained = v9(3, &[data(256, &[flow(4)]), template(9, 256, &usual()), data(256, &[flow(5)])]);
    let (flows, outcome) = import(capture(&[&waiting[..], &[explained]].concat()));
    assert_eq!(bytes(&flows), [10, 20, 30, 40, 50]);
    assert_eq!(outcome.remarks(), ["1 data set of 192.0.2.1 was not read, as its template never came"]);
}

#[test]
fn a_template_holds_until_another_with_its_number_comes() {
    let mut longer = fields(&[(136, 1)]);
    longer.extend(usual());
    let ended = |n| [vec![3], flow(n)].concat();
    let messages = [
        v9(1, &[template(9, 256, &usual()), data(256, &[flow(1)])]),
        v9(2, &[data(256, &[flow(2)]), template(9, 256, &longer), data(256, &[ended(3)])]),
        v9(3, &[data(256, &[ended(4)]), template(9, 256, &longer), data(256, &[ended(5)])]),
        // Templates of another source, another port, another exporter and another version are others.
        v9_at(1, 2, NOW, 50_000, &[template(9, 256, &usual()), data(256, &[flow(6)])]),
        ipfix(0, &[template(10, 256, &usual()), data(256, &[flow(7)])]),
        v9(4, &[data(256, &[ended(8)])]),
    ];
    let mut packets: Vec<_> = messages.iter().map(|message| ethernet(&ip("192.0.2.1", message))).collect();
    let other = v9(1, &[template(9, 256, &usual()), data(256, &[flow(9)])]);
    packets.push(ethernet(&ip_part("192.0.2.1", 1, 0, &udp(5001, &other))));
    packets.push(ethernet(&ip("192.0.2.2", &other)));
    packets.push(ethernet(&ip("192.0.2.1", &v9(5, &[data(256, &[ended(10)])]))));
    let (flows, outcome) = import(pcap(1, &packets));
    assert_eq!(bytes(&flows), [10, 20, 30, 40, 50, 60, 70, 80, 90, 90, 100]);
    assert_eq!(outcome.remarks(), [""; 0]);
}

#[test]
fn a_template_that_is_withdrawn_explains_nothing_more() {
    let withdrawn = |id: u16| set(2, &[id.to_be_bytes(), [0, 0]].concat());
    let both = |n: u32| [data(256, &[flow(n)]), data(257, &[flow(n + 1)])].concat();
    let messages = [
        ipfix(0, &[template(10, 256, &usual()), template(10, 257, &usual()), both(1)]),
        ipfix(2, &[withdrawn(256), both(3)]),
        ipfix(4, &[withdrawn(2), both(5)]),
        ipfix(6, &[template(10, 257, &usual()), both(7)]),
    ];
    let (flows, outcome) = import(capture(&messages));
    // 6 was waiting for the template that came again.
    assert_eq!(bytes(&flows), [10, 20, 40, 60, 80]);
    assert_eq!(outcome.remarks(), ["3 data sets of 192.0.2.1 were not read, as their template never came"]);
}

#[test]
fn a_template_that_describes_no_record_is_refused() {
    let messages = [
        v9(1, &[template(9, 256, &usual()), data(256, &[flow(1)])]),
        v9(2, &[template(9, 256, &fields(&[(8, 0), (152, 0)])), data(256, &[flow(2)])]),
        v9(3, &[template(9, 255, &usual())]),
    ];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(bytes(&flows), [10]);
    let expected = [
        "1 data set of 192.0.2.1 was not read, as its template never came",
        "2 templates of 192.0.2.1 were not taken: each describes no record, or there was no room",
    ];
    assert_eq!(outcome.remarks(), expected);
}

#[test]
fn what_was_lost_is_counted_by_exporter_as_its_version_counts() {
    let known = template(9, 256, &usual());
    let nine = |number| v9(number, &[known.clone(), data(256, &[flow(1)])]);
    let ten = |number, n| ipfix(number, &[template(10, 256, &usual()), data(256, &vec![flow(1); n])]);
    for (messages, lost) in [
        (vec![v5(7, 2, 0), v5(9, 3, 0), v5(15, 1, 0)], "3 flows of 192.0.2.1 were"),
        // One that comes late is not lost.
        (vec![nine(4), nine(7), nine(5), nine(9)], "2 messages of 192.0.2.1 were"),
        (vec![ten(100, 3), ten(104, 2), ten(106, 1)], "1 flow of 192.0.2.1 was"),
    ] {
        let outcome = import(capture(&messages)).1;
        assert_eq!(outcome.remarks(), [format!("{lost} lost on the way, by the sequence numbers")]);
    }
    // The records of options count.
    let told = [options(10, 257, &fields(&[(10, 4)])), data(257, &[vec![0; 4], vec![0; 4]])].concat();
    let outcome = import(capture(&[ipfix(0, &[told]), ten(2, 1)])).1;
    assert_eq!(outcome.remarks(), ["2 records of options were skipped"]);
}

#[test]
fn an_exporter_that_starts_anew_has_lost_nothing() {
    let sets = |n| [template(9, 256, &usual()), data(256, &[flow(n)])];
    let messages = [
        v9_at(900, 1, NOW, 800_000, &sets(1)),
        v9_at(1, 1, NOW + 60, 2_000, &sets(2)),
        v9_at(2, 1, NOW + 61, 3_000, &sets(3)),
    ];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(bytes(&flows), [10, 20, 30]);
    assert_eq!(outcome.remarks(), ["1 restart of 192.0.2.1 was noticed"]);
    let sets = |n| [template(10, 256, &usual()), data(256, &[flow(n)])];
    let messages =
        [ipfix_at(900, 1, NOW, &sets(1)), ipfix_at(0, 1, NOW + 60, &sets(2)), ipfix_at(1, 1, NOW + 60, &sets(3))];
    let (flows, outcome) = import(capture(&messages));
    assert_eq!((bytes(&flows), outcome.remarks().len()), (vec![10, 20, 30], 1));
}

#[test]
fn the_flows_of_a_long_capture_come_in_its_order() {
    let mut messages = vec![ipfix(0, &[template(10, 256, &usual())])];
    for message in 0..1000u32 {
        let records: Vec<_> = (0..30).map(|n| flow(message * 30 + n)).collect();
        messages.push(ipfix(message * 30, &[data(256, &records)]));
    }
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(bytes(&flows), (0..30_000).map(|n| 10 * n).collect::<Vec<u64>>());
    assert_eq!(outcome.remarks(), [""; 0]);
}
