//! nfdump's files: the flows that nfdump itself prints, whatever the layout and the compression, and what damage costs.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use flowseek::{
    ErrorKind, Flow,
    flow::{Address, Protocol, TcpFlags, Timestamp},
};

use crate::{
    folder::Folder,
    ingest::{Outcome, Scratch, sample},
};

/// The samples, and what nfdump prints of each: the file that has it, and how many flows.
const SAMPLES: [(&str, Option<&str>, usize); 6] = [
    ("nfcapd-1", Some("nfcapd-1.csv"), 40),
    ("nfcapd-1-lzo", Some("nfcapd-1.csv"), 40),
    ("nfcapd-1-empty", None, 0),
    ("nfcapd-2-lz4", Some("nfcapd-2.csv"), 40),
    ("nfcapd-2-lzo", Some("nfcapd-2.csv"), 40),
    ("nfcapd-2-bzip2", None, 542),
];

/// What nfdump prints as `nfcapd-1.csv` has it.
const PRINTED: &str = "fmt:%ts,%te,%sa,%da,%sp,%dp,%pr,%flg,%ipkt,%ibyt,%opkt,%obyt,%ra";

/// Bytes of the header of layout 1, and of that of a block.
const HEADER_1: usize = 276;
const BLOCK: usize = 12;

pub fn bytes(name: &str) -> Vec<u8> {
    fs::read(sample(name)).unwrap()
}

/// What nfdump prints of a file; `None` where it is not installed.
pub fn nfdump(file: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("nfdump");
    let output = command.env("TZ", "UTC").arg("-r").arg(file).args(["-q", "-N", "-6"]).args(arguments).output();
    let Ok(output) = output else {
        eprintln!("skipped: nfdump is not installed");
        return None;
    };
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A flow that nfdump has printed, but for counts of the way back: for those that a record lacks, it prints 0.
fn printed(line: &str) -> (Flow, u64, u64) {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let time = |cell: &str| format!("{}Z", cell.replace(' ', "T")).parse::<Timestamp>().unwrap();
    let number = |cell: usize| cells[cell].parse::<u64>().unwrap();
    let address = |cell: usize| cells[cell].parse::<Address>().ok();
    let protocol = Protocol::new(number(6) as u8);
    // What nfdump prints of other protocols is a type and a code, or nothing that means anything.
    let has_ports = [6, 17].contains(&protocol.number());
    let port = |cell: usize| has_ports.then(|| number(cell) as u16);
    let letters = cells[7].bytes().rev().zip(0..);
    let flags = letters.filter(|(letter, _)| *letter != b'.').fold(0, |flags, (_, bit)| flags | 1 << bit);
    let flow = Flow {
        end_time: Some(time(cells[1])),
        protocol,
        src_ip: address(2),
        dst_ip: address(3),
        src_port: port(4),
        dst_port: port(5),
        tcp_flags: (protocol == Protocol::TCP).then_some(TcpFlags::new(flags)),
        src_packets: Some(number(8)),
        src_bytes: Some(number(9)),
        node_id: Some(cells[12].to_owned()),
        ..Flow::starting(time(cells[0]))
    };
    (flow, number(10), number(11))
}

/// Asserts that flows are those that nfdump has printed.
fn assert_printed(flows: &[Flow], text: &str, of: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(':')).collect();
    assert_eq!(flows.len(), lines.len(), "{of}");
    for (flow, line) in flows.iter().zip(lines) {
        let (expected, packets, bytes) = printed(line);
        let back = (flow.dst_packets.unwrap_or(0), flow.dst_bytes.unwrap_or(0));
        assert_eq!(back, (packets, bytes), "{of}: {line}");
        let expected = Flow { dst_packets: flow.dst_packets, dst_bytes: flow.dst_bytes, ..expected };
        assert_eq!(*flow, expected, "{of}: {line}");
    }
}

fn imported(bytes: Vec<u8>) -> (Vec<Flow>, Outcome) {
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(bytes);
    (scratch.flows(), outcome)
}

#[test]
fn every_field_of_every_flow_is_what_nfdump_printed() {
    for (name, text, count) in SAMPLES {
        let scratch = Scratch::new(1000);
        let outcome = scratch.import_file(sample(name));
        let report = outcome.report();
        assert_eq!((report.imported, report.rejected, report.skipped), (count as u64, 0, 0), "{name}");
        assert_eq!(outcome.remarks(), [""; 0], "{name}");
        if let Some(text) = text {
            assert_printed(&scratch.flows(), &fs::read_to_string(sample(text)).unwrap(), name);
        }
    }
}

#[test]
fn nfdump_prints_the_flows_that_are_imported() {
    for (name, ..) in SAMPLES {
        let Some(text) = nfdump(&sample(name), &["-o", PRINTED]) else { return };
        let scratch = Scratch::new(1000);
        scratch.import_file(sample(name)).report();
        assert_printed(&scratch.flows(), &text, name);
    }
}

#[test]
fn counts_of_the_way_back_are_absent_where_a_record_has_none() {
    for (name, without) in [("nfcapd-1", 14), ("nfcapd-2-bzip2", 181), ("nfcapd-2-lz4", 40)] {
        let (flows, _) = imported(bytes(name));
        assert!(flows.iter().all(|flow| flow.dst_bytes.is_some() == flow.dst_packets.is_some()));
        assert_eq!(flows.iter().filter(|flow| flow.dst_bytes.is_none()).count(), without, "{name}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_format_is_found_out_in_compressed_files_and_where_files_are_concatenated() {
    let names = ["nfcapd-2-bzip2", "nfcapd-1", "nfcapd-1-empty", "nfcapd-2-lzo", "nfcapd-1-lzo"];
    let all: Vec<u8> = names.iter().flat_map(|name| bytes(name)).collect();
    let expected: Vec<Flow> = names.iter().flat_map(|name| imported(bytes(name)).0).collect();
    for input in [all.clone(), gzip(&all), zstd::encode_all(all.as_slice(), 1).unwrap()] {
        let (flows, outcome) = imported(input);
        assert_eq!(outcome.rejected, []);
        assert_eq!(flows, expected);
    }
}

#[test]
fn the_program_reads_a_file_from_its_standard_input() {
    let directory = Folder::new();
    for format in [&[][..], &["--format", "nfcapd"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
        command.arg("import").arg(directory.path().join("flows")).arg("-").args(format);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes("nfcapd-1-lzo")).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "imported=40 rejected=0\n");
    }
}

/// A block of records that are not compressed.
fn block(kind: u16, count: usize, records: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    block.extend((count as u32).to_le_bytes());
    block.extend((records.len() as u32).to_le_bytes());
    block.extend(kind.to_le_bytes());
    block.extend([0, 0]);
    block.extend(records);
    block
}

/// The records of blocks that are not compressed.
fn records(mut blocks: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !blocks.is_empty() {
        let size = u32::from_le_bytes(blocks[4..8].try_into().unwrap()) as usize;
        let (block, others) = blocks.split_at(BLOCK + size);
        let mut rest = &block[BLOCK..];
        while !rest.is_empty() {
            let size = u16::from_le_bytes([rest[2], rest[3]]).into();
            assert_ne!(size, 0);
            let (record, others) = rest.split_at(size);
            records.push(record);
            rest = others;
        }
        blocks = others;
    }
    records
}

/// A file with the header of another, of these blocks.
fn file(header: &[u8], blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut file = header.to_vec();
    // Layout 1 counts its blocks at 8, layout 2 at 36; this one has no appendix.
    let at = if header[2] == 1 { 8 } else { 36 };
    file[at..at + 4].copy_from_slice(&(blocks.len() as u32).to_le_bytes());
    if header[2] == 2 {
        file[18..20].fill(0);
    }
    file.extend(blocks.concat());
    file
}

/// The sample of layout 1, a record a block.
fn a_record_a_block() -> Vec<Vec<u8>> {
    let whole = bytes("nfcapd-1");
    records(&whole[HEADER_1..]).into_iter().map(|record| block(2, 1, record)).collect()
}

/// The sample of layout 2 as a file that is not compressed, of three blocks.
pub fn plain() -> Vec<u8> {
    let whole = bytes("nfcapd-2-lz4");
    let size = u32::from_le_bytes(whole[44..48].try_into().unwrap()) as usize;
    let plain = lz4_flex::block::decompress(&whole[40 + BLOCK..][..size], 1 << 20).unwrap();
    let all = block(3, 0, &plain);
    let parts: Vec<Vec<u8>> =
        records(&all).chunks(17).map(|records| block(3, records.len(), &records.concat())).collect();
    let mut header = whole[..40].to_vec();
    header[16] = 0;
    file(&header, &parts)
}

#[test]
fn blocks_of_zstd_are_read() {
    let plain = plain();
    let mut header = plain[..40].to_vec();
    header[16] = 4;
    let mut blocks = Vec::new();
    let mut rest = &plain[40..];
    while !rest.is_empty() {
        let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let compressed = zstd::encode_all(&rest[BLOCK..BLOCK + size], 3).unwrap();
        blocks.push(block(3, u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize, &compressed));
        rest = &rest[BLOCK + size..];
    }
    assert_eq!(blocks.len(), 3);
    assert_eq!(imported(file(&header, &blocks)).0, imported(plain).0);
}

#[test]
fn what_earlier_blocks_define_is_known_to_all_later_ones() {
    let whole = bytes("nfcapd-1");
    let (flows, outcome) = imported(file(&whole[..HEADER_1], &a_record_a_block()));
    assert_eq!(outcome.rejected, []);
    assert_eq!(flows, imported(whole).0);
}

#[test]
fn flows_whose_extension_map_is_lost_keep_what_their_records_say() {
    let whole = bytes("nfcapd-1");
    let mut blocks = a_record_a_block();
    blocks.retain(|block| block[BLOCK] != 2);
    let (flows, outcome) = imported(file(&whole[..HEADER_1], &blocks));
    let expected: Vec<Flow> =
        imported(whole).0.into_iter().map(|flow| Flow { dst_bytes: None, dst_packets: None, ..flow }).collect();
    assert_eq!(flows, expected);
    let remarks = outcome.remarks().join("\n");
    assert!(remarks.contains("\"extension map 1\" is unknown and was ignored in "), "{remarks}");
}

#[test]
fn a_damaged_block_costs_itself() {
    let plain = plain();
    let size = |at: usize| u32::from_le_bytes(plain[at + 4..at + 8].try_into().unwrap()) as usize;
    let second = 40 + BLOCK + size(40);
    let whole = imported(plain.clone()).0;
    // The first record is that of the exporter.
    let blocks = [0..16, 16..33, 33..whole.len()];

    // The size of the third record of the second block: what is before it is good.
    let mut damaged = plain.clone();
    let record = second + BLOCK + 2 * 168;
    damaged[record + 2..record + 4].fill(0);
    let (flows, outcome) = imported(damaged);
    let rejected = outcome.reasons();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(
        rejected[0].starts_with("record 19: block 2: a record has a size of 0 bytes; allowed are 4 to "),
        "{rejected:?}"
    );
    assert!(rejected[0].ends_with("; the 15 records from there on are lost"), "{rejected:?}");
    assert_eq!(flows, [&whole[..18], &whole[33..]].concat());

    // A length of an extension within a record: only that one is lost.
    let mut damaged = plain.clone();
    damaged[record + 14] = 3;
    let (flows, outcome) = imported(damaged);
    let reason = "record 19: extension 1 has a length of 3 bytes; allowed are 4 to the 156 that are left";
    assert_eq!(outcome.reasons(), [reason]);
    assert_eq!(flows, [&whole[..18], &whole[19..]].concat());

    // A block of a type that there is not.
    let mut damaged = plain;
    damaged[second + 8] = 9;
    let (flows, outcome) = imported(damaged);
    assert_eq!(outcome.reasons(), ["record 17: block 2, of 17 records: it is of type 9; allowed are types 2 to 4"]);
    assert_eq!(flows, [&whole[blocks[0].clone()], &whole[blocks[2].clone()]].concat());
}

#[test]
fn a_block_that_cannot_be_decompressed_costs_itself() {
    let mut input = [bytes("nfcapd-2-bzip2"), bytes("nfcapd-2-lzo")].concat();
    input[3000] ^= 1;
    let (flows, outcome) = imported(input);
    let reason = &outcome.reasons()[0];
    assert!(reason.starts_with("record 1: block 1, of 543 records: the bzip2 data is damaged ("), "{reason}");
    assert_eq!(flows, imported(bytes("nfcapd-2-lzo")).0);
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_so_after_what_was_good() {
    let plain = plain();
    let size = u32::from_le_bytes(plain[44..48].try_into().unwrap()) as usize;
    let second = 40 + BLOCK + size;
    let changed = |at: usize, new: &[u8]| {
        let mut changed = plain.clone();
        changed[at..at + new.len()].copy_from_slice(new);
        changed
    };
    for (input, flows, told) in [
        (plain[..second + 100].to_vec(), 16, "record 17: the nfcapd file is cut off in block 2, after 88 of its "),
        (plain[..second + 4].to_vec(), 16, "record 17: the nfcapd file is cut off in the header of block 2"),
        (
            plain[..second].to_vec(),
            16,
            "record 17: the nfcapd file ends after 1 of the 3 blocks that its header counts",
        ),
        (plain[..20].to_vec(), 0, "record 1: the nfcapd file is cut off in its header"),
        (
            changed(second + 4, &u32::MAX.to_le_bytes()),
            16,
            "record 17: the nfcapd file has a block 2 of 4294967295 bytes; allowed are 1 to 5242880",
        ),
        (
            changed(2, &[3]),
            0,
            "record 1: the nfcapd file has layout 3, which nfdump 1.8 writes; allowed are layouts 1 and 2",
        ),
        (changed(2, &[9]), 0, "record 1: the nfcapd file has layout 9; allowed are 1 and 2"),
        (changed(17, &[1]), 0, "record 1: the nfcapd file is encrypted; allowed are files that are not"),
        (
            changed(16, &[9]),
            0,
            "record 1: the nfcapd file has blocks compressed by method 9; allowed are 0 (none), 1 (LZO)",
        ),
        (
            changed(0, &[0xa5, 0x0c, 0, 1]),
            0,
            "record 1: the nfcapd file is of a big-endian machine; allowed are those of",
        ),
    ] {
        let (read, outcome) = imported(input);
        let error = outcome.error();
        assert_eq!((error.kind(), read.len()), (ErrorKind::InvalidInput, flows), "{error}");
        assert!(error.to_string().starts_with(&format!("the input cannot be read at {told}")), "{error}");
    }
}

#[test]
fn a_file_that_its_collector_has_not_closed_is_read_to_its_end() {
    let mut open = plain();
    open[36..40].fill(0);
    assert_eq!(imported(open).0, imported(plain()).0);
    // The padding of a tape, behind a file that has all its blocks.
    let mut padded = plain();
    padded.extend([0; 5000]);
    assert_eq!(imported(padded).1.report().imported, 40);
}

#[test]
fn records_of_the_first_versions_of_nfdump_1_6_are_read() {
    let whole = bytes("nfcapd-1");
    let old = |record: &[u8]| match record[0] {
        // Flags and the exporter had 8 bits each, beside one another.
        10 => {
            let size = (record.len() as u16 - 4).to_le_bytes();
            [&[1, 0, size[0], size[1], record[4], record[28]], &record[6..28], &record[32..]].concat()
        }
        _ => record.to_vec(),
    };
    let blocks: Vec<Vec<u8>> =
        records(&whole[HEADER_1..]).into_iter().map(|record| block(2, 1, &old(record))).collect();
    assert_eq!(imported(file(&whole[..HEADER_1], &blocks)).0, imported(whole).0);
}

#[test]
fn a_record_without_a_start_begins_with_its_event_or_when_it_was_received() {
    let whole = plain();
    let flow = records(&whole[40..]).into_iter().find(|record| record[0] == 11).unwrap().to_vec();
    // The generic extension begins at 12: the first packet is at 16, the last one at 24, the receipt at 32.
    let mut received = flow.clone();
    received[16..32].fill(0);
    let mut event = received.clone();
    event.extend([19, 0, 20, 0]);
    event.extend(1_700_000_000_123u64.to_le_bytes());
    event.extend([0; 8]);
    event[4] += 1;
    let size = event.len() as u16;
    event[2..4].copy_from_slice(&size.to_le_bytes());
    let blocks = [block(3, 3, &[flow, received, event].concat())];
    let (flows, outcome) = imported(file(&whole[..40], &blocks));
    assert_eq!(outcome.rejected, []);
    let times: Vec<_> =
        flows.iter().map(|flow| (flow.start_time.to_string(), flow.end_time.map(|end| end.to_string()))).collect();
    let [_, received, event] = times.as_slice() else { panic!("{times:?}") };
    assert_eq!(*received, ("2023-01-25T18:36:00.039Z".to_owned(), None));
    assert_eq!(*event, ("2023-11-14T22:13:20.123Z".to_owned(), None));
}

#[test]
fn records_of_unknown_types_are_skipped_and_wrong_counts_are_told() {
    let whole = plain();
    let unknown = [99, 0, 8, 0, 1, 2, 3, 4];
    let blocks = [block(3, 2, &unknown.repeat(2)), block(3, 5, &unknown), block(4, 1, &[1, 2, 3])];
    let (flows, outcome) = imported(file(&whole[..40], &blocks));
    assert_eq!(flows, []);
    assert_eq!(outcome.reasons(), ["record 4: block 2: it has 1 records, and its header counts 5"]);
    assert_eq!(outcome.report().skipped, 3);
    assert_eq!(outcome.remarks(), ["3 records of the log \"record type 99\" were skipped"]);
}
