//! Real samples of other formats, read as flows. `testdata/import/README.md` says what they are.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, Cursor, Read, Write},
    path::PathBuf,
    thread,
};

use flowseek::{
    ErrorKind,
    flow::{Flow, Protocol, TcpFlags, Timestamp},
    import::{Format, Item, LineParser, Parsed, Reader, decompress, detect},
};

use crate::support::SAMPLES;

/// What a sample holds, in a form that other programs count too.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    flows: usize,
    rejected: usize,
    skipped: u64,
    src_bytes: u64,
    dst_bytes: u64,
    without_end: usize,
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "import", name].iter().collect()
}

fn text(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    decompress(File::open(path(name)).unwrap()).unwrap().read_to_end(&mut text).unwrap();
    text
}

fn flows(name: &str, format: Format) -> Vec<Flow> {
    let flow = |item| match item {
        Ok(Item::Flow(flow)) => flow,
        other => panic!("{name}: {other:?}"),
    };
    Reader::new(format, text(name).as_slice()).map(flow).collect()
}

fn totals(name: &str) -> Totals {
    let mut input = decompress(File::open(path(name)).unwrap()).unwrap();
    let format = detect(input.fill_buf().unwrap()).unwrap();
    let mut reader = Reader::new(format, input);
    let mut totals = Totals::default();
    for item in reader.by_ref() {
        match item.unwrap() {
            Item::Flow(flow) => {
                totals.flows += 1;
                totals.src_bytes += flow.src_bytes.unwrap_or(0);
                totals.dst_bytes += flow.dst_bytes.unwrap_or(0);
                totals.without_end += usize::from(flow.end_time.is_none());
            }
            Item::Rejected(_) => totals.rejected += 1,
        }
    }
    Totals { skipped: reader.skipped(), ..totals }
}

fn protocols(flows: &[Flow]) -> BTreeMap<&'static str, usize> {
    flows.iter().fold(BTreeMap::new(), |mut counts, flow| {
        *counts.entry(flow.protocol.name()).or_default() += 1;
        counts
    })
}

#[test]
fn the_head_of_every_sample_tells_its_format() {
    for (name, format) in SAMPLES {
        let text = text(name);
        assert_eq!(detect(&text), Some(format), "{name}");
        assert_eq!(detect(&text[..140]), Some(format), "{name}");
    }
}

#[test]
fn samples_are_read_whole_and_add_up() {
    let all = Totals::default;
    for (name, expected) in [
        ("westermo.ndjson", Totals { flows: 250, src_bytes: 379_456, dst_bytes: 610_094, ..all() }),
        ("argus-zeek.ndjson", Totals { flows: 100, src_bytes: 28_790, dst_bytes: 16_556, ..all() }),
        ("m57-conn.log.gz", Totals { flows: 200, src_bytes: 147_416, dst_bytes: 59_543, without_end: 39, ..all() }),
        ("m57-conn.log.json.gz", Totals { flows: 200, src_bytes: 28_040, dst_bytes: 520, without_end: 2, ..all() }),
        (
            "apt29-zeek.log.gz",
            Totals { flows: 39, skipped: 61, src_bytes: 241_185, dst_bytes: 83_039, without_end: 3, ..all() },
        ),
        ("m57-eve.ndjson", Totals { flows: 2, skipped: 5, src_bytes: 972, ..all() }),
        ("vpc.log", Totals { flows: 8, skipped: 2, src_bytes: 23_440, ..all() }),
        (
            "azure.ndjson",
            Totals { flows: 6, skipped: 1, src_bytes: 591_243, dst_bytes: 4_620_620, without_end: 3, ..all() },
        ),
        ("m57-argus.csv", Totals { flows: 66, skipped: 54, src_bytes: 10_441, ..all() }),
        ("gcp.ndjson", Totals { flows: 3, src_bytes: 2104, ..all() }),
        ("goflow2.ndjson", Totals { flows: 3, src_bytes: 158_084, ..all() }),
        ("hubble.ndjson", Totals { flows: 4, skipped: 2, without_end: 4, ..all() }),
        ("nfdump.csv", Totals { flows: 40, src_bytes: 79_086, ..all() }),
        ("ocsf.ndjson", Totals { flows: 2, skipped: 1, src_bytes: 2048, dst_bytes: 90_112, without_end: 1, ..all() }),
        ("pmacct.ndjson", Totals { flows: 3, skipped: 2, src_bytes: 9408, ..all() }),
        ("rwcut.txt", Totals { flows: 3, src_bytes: 9400, ..all() }),
        ("tailscale.ndjson", Totals { flows: 6, skipped: 1, src_bytes: 19_738, dst_bytes: 17_249, ..all() }),
    ] {
        assert_eq!(totals(name), expected, "{name}");
    }
}

#[test]
fn json_flows_keep_their_protocols_flags_and_addresses() {
    let flows = flows("westermo.ndjson", Format::Json);
    let expected = [("ICMP", 2), ("TCP", 141), ("UDP", 25), ("UNKNOWN", 82)];
    assert_eq!(protocols(&flows), expected.into());
    assert_eq!(flows.iter().map(|flow| u32::from(flow.tcp_flags.unwrap().bits())).sum::<u32>(), 3821);
    let first = Flow {
        end_time: "2023-03-10T09:29:34.966Z".parse().ok(),
        src_ip: "198.18.134.99".parse().ok(),
        dst_ip: "224.0.0.22".parse().ok(),
        src_port: Some(0),
        dst_port: Some(0),
        src_bytes: Some(40),
        dst_bytes: Some(0),
        tcp_flags: Some(TcpFlags::new(0)),
        ..Flow::starting("2023-03-10T09:29:34.966Z".parse().unwrap())
    };
    assert_eq!(flows[0], first);
}

#[test]
fn zeek_text_and_zeek_json_map_alike() {
    let text = flows("m57-conn.log.gz", Format::Zeek);
    assert_eq!(protocols(&text), [("TCP", 38), ("UDP", 162)].into());
    let first = Flow {
        end_time: Timestamp::from_millis(1_258_531_221_649),
        protocol: Protocol::UDP,
        src_ip: "192.168.1.102".parse().ok(),
        dst_ip: "192.168.1.1".parse().ok(),
        src_port: Some(68),
        dst_port: Some(67),
        src_bytes: Some(329),
        dst_bytes: Some(328),
        ..Flow::starting(Timestamp::from_millis(1_258_531_221_486).unwrap())
    };
    assert_eq!(text[0], first);
    assert!(text.iter().all(|flow| flow.tcp_flags.is_some() == (flow.protocol == Protocol::TCP)));

    let json = flows("m57-conn.log.json.gz", Format::Zeek);
    assert_eq!(protocols(&json), [("ICMP", 4), ("TCP", 196)].into());
    assert!(json.iter().all(|flow| flow.src_port.is_none() == (flow.protocol == Protocol::ICMP)));
    let second = Flow {
        end_time: "2011-08-15T03:37:14.998Z".parse().ok(),
        protocol: Protocol::TCP,
        src_ip: "147.32.84.165".parse().ok(),
        dst_ip: "218.108.143.87".parse().ok(),
        src_port: Some(3923),
        dst_port: Some(22),
        src_bytes: Some(192),
        dst_bytes: Some(0),
        tcp_flags: Some(TcpFlags::new(0x02)),
        ..Flow::starting("2011-08-15T03:37:11.992Z".parse().unwrap())
    };
    assert!(json.contains(&second));
}

#[test]
fn a_nested_record_keeps_its_addresses_and_ports() {
    let line = r#"{"_path":"conn","ts":"2018-03-24T17:15:22Z","id":{"orig_h":"10.1.2.3","orig_p":39681,"resp_h":"10.9.8.7","resp_p":3389},"proto":"tcp","duration":null}"#;
    let items: Vec<Item> = Reader::new(Format::Zeek, line.as_bytes()).map(Result::unwrap).collect();
    let expected = Flow {
        protocol: Protocol::TCP,
        src_ip: "10.1.2.3".parse().ok(),
        dst_ip: "10.9.8.7".parse().ok(),
        src_port: Some(39_681),
        dst_port: Some(3389),
        ..Flow::starting("2018-03-24T17:15:22Z".parse().unwrap())
    };
    assert_eq!(items, [Item::Flow(expected)]);
    assert_eq!(detect(line.as_bytes()), Some(Format::Zeek));
}

#[test]
fn a_mixed_zeek_stream_gives_its_connections_with_the_node_that_logged_them() {
    let first = &flows("apt29-zeek.log.gz", Format::Zeek)[0];
    assert_eq!(first.node_id.as_deref(), Some("bobs.bigwheel.local"));
    assert_eq!(first.tcp_flags, Some(TcpFlags::new(0x17)));
    assert_eq!(first.start_time.to_string(), "2020-04-30T00:44:15.002Z");
}

#[test]
fn a_file_that_was_cut_off_gives_its_good_lines_and_then_an_error() {
    let gzip = std::fs::read(path("m57-conn.log.json.gz")).unwrap();
    let zstd = zstd_of(&text("westermo.ndjson"));
    for (whole, format) in [(gzip, Format::Zeek), (zstd, Format::Json)] {
        let half = whole[..whole.len() * 3 / 4].to_vec();
        let items: Vec<_> = Reader::new(format, decompress(Cursor::new(half)).unwrap()).collect();
        let (last, good) = items.split_last().unwrap();
        let error = last.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("data is cut off"), "{error}");
        assert!(good.len() > 50, "{}", good.len());
        assert!(good.iter().all(|item| matches!(item, Ok(Item::Flow(_)))));
    }
}

/// In small blocks, so that a part of it can be read.
fn zstd_of(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for chunk in text.chunks(4096) {
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn threads_over_chunks_of_lines_read_what_one_reader_reads() {
    for (name, format) in SAMPLES {
        let text = text(name);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let mut parser = LineParser::new(format);
        let parsed: Vec<Parsed> = thread::scope(|scope| {
            let chunks: Vec<_> = lines
                .chunks(37)
                .map(|chunk| {
                    let mut worker = parser.clone();
                    parser.observe(&chunk.concat());
                    scope.spawn(move || chunk.iter().map(|line| worker.parse(line)).collect::<Vec<_>>())
                })
                .collect();
            chunks.into_iter().flat_map(|chunk| chunk.join().unwrap()).collect()
        });
        let parts =
            parsed.into_iter().flat_map(|line| if let Parsed::Several(parts) = line { parts } else { vec![line] });
        let threaded: Vec<Flow> =
            parts.filter_map(|part| if let Parsed::Flow(flow) = part { Some(flow) } else { None }).collect();
        assert_eq!(threaded, flows(name, format), "{name}");
    }
}

#[test]
fn damaged_lines_are_flows_or_rejected_and_never_a_panic() {
    let replacements = [b'\t', b'"', b'\\', b'9', b'-', b'{', b',', 0xff];
    for (name, format) in SAMPLES {
        let text = text(name);
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let mut parser = LineParser::new(format);
        for line in lines.iter().take(9) {
            let before = parser.clone();
            for at in 0..line.len() {
                before.clone().parse(&line[..at]);
                before.clone().parse(&line[at..]);
                for byte in replacements {
                    let mut damaged = line.to_vec();
                    damaged[at] = byte;
                    let mut damaged_parser = before.clone();
                    damaged_parser.parse(&damaged);
                    lines.get(9).map(|line| damaged_parser.parse(line));
                }
            }
            parser.parse(line);
        }
    }
}
