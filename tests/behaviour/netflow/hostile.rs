//! Exporters that mean no good.

use super::{
    bytes, import,
    writer::{NOW, data, ethernet, fields, flow, ip, ipfix_at, pcap, template, usual, v9, v9_at},
};

/// The address of the n-th forged exporter.
fn forged(n: u32) -> String {
    let [_, a, b, c] = n.to_be_bytes();
    format!("100.{a}.{b}.{c}")
}

#[test]
fn forged_exporters_do_not_displace_real_ones() {
    let mut packets = Vec::new();
    let mut expected = Vec::new();
    packets.push(ethernet(&ip("192.0.2.1", &v9(1, &[template(9, 256, &usual()), data(256, &[flow(1)])]))));
    expected.push(10);
    for n in 0..10_000 {
        packets.push(ethernet(&ip(&forged(n), &v9(1, &[data(256, &[flow(9)])]))));
        if n % 5000 == 4999 {
            packets.push(ethernet(&ip("192.0.2.1", &v9(2 + n / 5000, &[data(256, &[flow(n)])]))));
            expected.push(u64::from(10 * n));
        }
    }
    let (flows, outcome) = import(pcap(1, &packets));
    assert_eq!(bytes(&flows), expected);
    let remarks = outcome.remarks();
    assert_eq!(remarks.len(), 66, "{remarks:?}");
    assert!(
        remarks
            .iter()
            .any(|remark| remark.ends_with("exporters were forgotten with their templates, as there were too many"))
    );
    let unread: u64 = remarks
        .iter()
        .filter(|remark| remark.contains("template never came"))
        .map(|remark| remark.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(unread, 10_000);
}

#[test]
fn what_one_exporter_makes_us_hold_is_bounded() {
    // 4 MB of data without templates: of the oldest there is no room.
    let records = vec![flow(1); 30];
    let mut packets: Vec<_> = (0..3000).map(|n| ethernet(&ip("192.0.2.1", &v9(n, &[data(256, &records)])))).collect();
    packets.push(ethernet(&ip("192.0.2.1", &v9(3000, &[template(9, 256, &usual())]))));
    let (flows, outcome) = import(pcap(1, &packets));
    assert!((20_000..30_000).contains(&flows.len()) && flows.len() % 30 == 0, "{}", flows.len());
    let lost = 3000 - flows.len() / 30;
    assert_eq!(
        outcome.remarks(),
        [format!("{lost} data sets of 192.0.2.1 were not read, as their template never came")]
    );

    // Templates of 300 fields none of which is passed over: there is room for some hundred of them.
    let long = fields(&[(150, 4); 300]);
    let packets: Vec<_> =
        (256..3000).map(|id| ethernet(&ip("192.0.2.1", &v9(id.into(), &[template(9, id, &long)])))).collect();
    let remarks = import(pcap(1, &packets)).1.remarks();
    assert!(remarks.len() == 1 && remarks[0].contains("templates of 192.0.2.1 were not taken"), "{remarks:?}");
}

#[test]
fn records_of_one_byte_or_of_thousands_of_fields_end() {
    let tiny = [template(10, 256, &fields(&[(4, 1)])), data(256, &[vec![6; 60_000]])];
    let wide = [template(10, 257, &fields(&[(150, 0); 16_000])), data(257, &[vec![1; 1000]])];
    let odd = [template(10, 258, &[&fields(&[(152, 8)])[..], &fields(&[(82, 65_535); 4000])].concat())];
    let packets = [
        ethernet(&ip("192.0.2.1", &ipfix_at(0, 1, NOW, &tiny))),
        ethernet(&ip("192.0.2.1", &ipfix_at(0, 2, NOW, &wide))),
        ethernet(&ip("192.0.2.1", &ipfix_at(0, 3, NOW, &odd))),
        ethernet(&ip("192.0.2.1", &ipfix_at(0, 3, NOW, &[data(258, &[vec![0; 60_000]])]))),
        ethernet(&ip("192.0.2.1", &v9_at(0, 4, NOW, 1, &[template(9, 256, &fields(&[(150, 9)]))]))),
    ];
    let (flows, outcome) = import(pcap(1, &packets));
    // A time of 0 is none.
    assert_eq!((flows.len(), outcome.report().skipped, outcome.report().rejected), (0, 60_000, 14));
}
