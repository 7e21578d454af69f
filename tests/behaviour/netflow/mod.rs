//! Captures of NetFlow v5, v9 and IPFIX into an archive.

mod captures;
mod hostile;
mod records;
mod streams;
mod writer;

use flowseek::Flow;

use crate::ingest::{Outcome, Scratch, sample};

/// What an import makes of a capture.
fn import(capture: Vec<u8>) -> (Vec<Flow>, Outcome) {
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(capture);
    (scratch.flows(), outcome)
}

/// The bytes of the source of each flow.
fn bytes(flows: &[Flow]) -> Vec<u64> {
    flows.iter().map(|flow| flow.src_bytes.unwrap()).collect()
}

/// Captures of what programs have exported; what tshark and nfdump say of them is the same.
#[test]
fn samples_are_read_whole_and_add_up() {
    let sampled = |flows, rate| {
        format!("the bytes and packets of {flows} flows of 127.0.0.1 ({rate}) were multiplied by their sampling")
    };
    let skipped = "1 record of options was skipped".to_owned();
    let lost = "2 flows of 127.0.0.1 were lost on the way, by the sequence numbers".to_owned();
    for (name, count, totals, remarks) in [
        ("netflow-v5.pcap", 19, [29_949, 0, 99], vec![sampled(19, "1 in 3")]),
        ("netflow-v9.pcap.gz", 164, [280_887, 0, 1176], vec![]),
        ("netflow-v9-sampled.pcapng", 30, [43_810, 0, 140], vec![sampled(30, "1 in 2"), skipped.clone()]),
        ("ipfix-biflow.pcap", 22, [10_696, 33_090, 84], vec![skipped.clone()]),
        // Its exporter, softflowd, counts the records of a message before it sends it.
        ("ipfix.pcapng", 37, [43_786, 0, 139], vec![lost, skipped]),
    ] {
        let scratch = Scratch::new(1000);
        let outcome = scratch.import_file(sample(name));
        let flows = scratch.flows();
        assert_eq!((outcome.report().imported, outcome.report().rejected, flows.len()), (count, 0, count as usize));
        let sum = |value: fn(&Flow) -> Option<u64>| flows.iter().filter_map(value).sum::<u64>();
        let sums = [sum(|flow| flow.src_bytes), sum(|flow| flow.dst_bytes), sum(|flow| flow.src_packets)];
        assert_eq!(sums, totals, "{name}");
        assert_eq!(outcome.remarks(), remarks, "{name}");
        assert!(flows.iter().all(|flow| flow.node_id.as_deref() == Some("127.0.0.1")), "{name}");
        assert!(flows.iter().all(|flow| flow.dst_bytes.is_some() == (name == "ipfix-biflow.pcap")), "{name}");
    }
}
