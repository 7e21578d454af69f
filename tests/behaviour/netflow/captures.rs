//! The forms of captures, and what lies between them and messages.

use flowseek::ErrorKind;

use super::{
    bytes, import,
    writer::{
        block, capture, data, ethernet, flow, ip, ip_part, ipfix, pcap, pcap_as, pcapng, template, udp, usual, v9,
    },
};

fn message(numbers: &[u32]) -> Vec<u8> {
    let records: Vec<_> = numbers.iter().map(|n| flow(*n)).collect();
    v9(1, &[template(9, 256, &usual()), data(256, &records)])
}

#[test]
fn captures_of_both_forms_and_byte_orders_read_the_same() {
    let packets = [ethernet(&ip("192.0.2.1", &message(&[1, 2]))), ethernet(&ip("2001:db8::1", &message(&[3])))];
    let mut forms = Vec::new();
    for write in [u32::to_le_bytes, u32::to_be_bytes] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            forms.push(pcap_as(magic, write, 1, &packets));
        }
        forms.push(pcapng(write, 1, &packets));
        // Two sections, with a block of another kind between them.
        let other = block(write, 0x0bad, &[7; 20]);
        forms.push([pcapng(write, 1, &packets[..1]), other, pcapng(write, 1, &packets[1..])].concat());
    }
    for form in forms {
        let compressed = [zstd::encode_all(form.as_slice(), 1).unwrap(), form];
        for form in compressed {
            let (flows, outcome) = import(form);
            assert_eq!(bytes(&flows), [10, 20, 30]);
            assert_eq!(outcome.remarks(), [""; 0]);
            let nodes: Vec<_> = flows.iter().map(|flow| flow.node_id.clone().unwrap()).collect();
            assert_eq!(nodes, ["192.0.2.1", "192.0.2.1", "2001:db8::1"]);
        }
    }
}

#[test]
fn every_link_type_carries_packets() {
    let ip = ip("192.0.2.1", &message(&[7]));
    let behind = |header: &[u8]| [header, &ip].concat();
    let tagged = |tags: &[u8]| behind(&[&[2; 12][..], tags, &[8, 0]].concat());
    for (link, packet) in [
        (0, behind(&[2, 0, 0, 0])),
        (1, ethernet(&ip)),
        (1, tagged(&[0x81, 0, 0, 5])),
        (1, tagged(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6])),
        (101, ip.clone()),
        (108, behind(&[0, 0, 0, 2])),
        (113, behind(&[&[0; 14][..], &[8, 0]].concat())),
        (228, ip.clone()),
        (276, behind(&[&[8, 0][..], &[0; 18]].concat())),
    ] {
        assert_eq!(bytes(&import(pcap(link, &[packet])).0), [70], "link type {link}");
    }
    let (flows, outcome) = import(pcap(127, &[ip.clone(), ip.clone()]));
    assert_eq!((flows.len(), outcome.report().skipped), (0, 0));
    assert_eq!(outcome.remarks(), ["2 packets of link type 127 were skipped, as it is not known here"]);
}

#[test]
fn fragments_are_put_together_in_any_order() {
    let whole = udp(5000, &message(&(1..40).collect::<Vec<_>>()));
    let part = |id, from: usize, to: usize| {
        let more = if to == whole.len() { 0 } else { 0x2000 };
        ethernet(&ip_part("192.0.2.1", id, more | (from / 8) as u16, &whole[from..to]))
    };
    let packets = [
        part(1, 1200, whole.len()),
        // Of another datagram, whose beginning is missing.
        part(2, 400, whole.len()),
        part(1, 0, 400),
        part(1, 0, 400),
        part(1, 400, 1200),
        // One that contradicts itself: two ends.
        part(3, 1200, whole.len()),
        ethernet(&ip_part("192.0.2.1", 3, 100, &whole[..80])),
    ];
    let (flows, outcome) = import(pcap(1, &packets));
    assert_eq!(bytes(&flows), (1..40).map(|n| 10 * n).collect::<Vec<u64>>());
    assert_eq!(outcome.remarks(), ["2 datagrams were skipped, as fragments are missing"]);
}

#[test]
fn a_capture_of_the_beginnings_of_packets_gives_the_records_that_are_there() {
    let packet = ethernet(&ip("192.0.2.1", &message(&[1, 2, 3])));
    let short = packet[..packet.len() - 10].to_vec();
    let second = ethernet(&ip("192.0.2.1", &v9(2, &[data(256, &[flow(4)])])));
    let (flows, outcome) = import(pcap(1, &[short, second]));
    assert_eq!(bytes(&flows), [10, 20, 40]);
    assert_eq!(outcome.remarks(), ["1 message of 192.0.2.1 was not captured to the end"]);
}

#[test]
fn what_is_no_message_costs_itself_alone() {
    let strange = [
        vec![],
        vec![0],
        vec![0, 9],
        // DNS whose number is that of a version.
        [&[0, 10, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x03com\0\0\x01\0\x01"].concat(),
        [&[0, 5][..], &[0xff; 70]].concat(),
        [&[0, 9][..], &[0xff; 70]].concat(),
        vec![0xff; 1400],
    ];
    let mut messages = vec![ipfix(0, &[template(10, 256, &usual())])];
    let mut numbers = Vec::new();
    for (n, garbage) in (1..).zip(&strange) {
        messages.push(garbage.clone());
        messages.push(ipfix(n - 1, &[data(256, &[flow(n)])]));
        numbers.push(u64::from(10 * n));
    }
    let (flows, outcome) = import(capture(&messages));
    assert_eq!(bytes(&flows), numbers);
    assert_eq!(outcome.remarks(), ["7 packets without NetFlow or IPFIX were skipped"]);
    assert_eq!((outcome.report().rejected, outcome.report().skipped), (0, 0));
}

#[test]
fn a_capture_that_is_cut_off_or_damaged_is_an_error_after_what_was_good() {
    let messages = [message(&[1, 2]), v9(2, &[data(256, &[flow(3)])])];
    let packets: Vec<_> = messages.iter().map(|message| ethernet(&ip("192.0.2.1", message))).collect();
    let second = packets[1].len() + 16;
    for whole in [pcap(1, &packets), pcapng(u32::to_le_bytes, 1, &packets)] {
        for (cut, kept) in [(1, 2), (20, 2), (second + 40, 0)] {
            let (flows, outcome) = import(whole[..whole.len() - cut].to_vec());
            assert_eq!(flows.len(), kept);
            assert_eq!(outcome.error().kind(), ErrorKind::InvalidInput);
            let (record, packet) = (kept + 1, if kept == 0 { 1 } else { 2 });
            let expected = format!(
                "the input cannot be read at record {record}: packet {packet} of the capture: the input ends in the \
                 middle of it"
            );
            assert_eq!(outcome.error().to_string(), expected);
        }
    }
    let mut damaged = pcap(1, &packets);
    let at = damaged.len() - second + 8;
    damaged[at..at + 4].copy_from_slice(&[0xff; 4]);
    let (flows, outcome) = import(damaged);
    assert_eq!(bytes(&flows), [10, 20]);
    let reason = "packet 2 of the capture: it says that it has 4294967295 bytes, and the most is 262144";
    assert!(outcome.error().to_string().ends_with(reason), "{}", outcome.error());
}
