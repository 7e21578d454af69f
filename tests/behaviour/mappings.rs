//! Formats that are mappings: those of the crate, and files of a user.

use std::{fs, path::PathBuf};

use flowseek::{
    Archive, ErrorKind,
    flow::{Flow, Protocol, TcpFlags},
    import::{Format, Item, Mapping, Reader},
    ingest::{ImportEvent, ImportFormat, ImportOptions, ImportReport},
};

use crate::{folder::Folder, support::block_on};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "import", name].iter().collect()
}

/// The flows of a text, and the reasons why the rest of it is none.
fn read(reader: Reader<&[u8]>) -> (Vec<Flow>, Vec<String>) {
    let (mut flows, mut rejected) = (Vec::new(), Vec::new());
    for item in reader {
        match item.unwrap() {
            Item::Flow(flow) => flows.push(flow),
            Item::Rejected(reason) => rejected.push(reason.to_string()),
        }
    }
    (flows, rejected)
}

fn sample(name: &str, format: Format) -> Vec<Flow> {
    let (flows, rejected) = read(Reader::new(format, fs::read(path(name)).unwrap().as_slice()));
    assert_eq!(rejected, [""; 0], "{name}");
    flows
}

fn mapping(text: &str) -> Mapping {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn mapped(file: &str, input: &str) -> (Vec<Flow>, Vec<String>) {
    read(Reader::mapped(&mapping(file), input.as_bytes()))
}

fn starting(time: &str) -> Flow {
    Flow::starting(time.parse().unwrap())
}

/// Imports a text; the report, what was rejected and the flows.
fn import(input: Vec<u8>, options: ImportOptions) -> (ImportReport, Vec<String>, Vec<Flow>) {
    let folder = Folder::new();
    let archive = Archive::open_or_create(folder.path().join("flows")).unwrap();
    let mut appender = archive.appender().unwrap();
    let mut rejected = Vec::new();
    let mut observe = |event| {
        if let ImportEvent::Rejected(reason) = event {
            rejected.push(reason.to_string());
        }
    };
    let report = appender.import(std::io::Cursor::new(input), options, &mut observe).unwrap();
    let _ = appender.commit().unwrap();
    let query = archive.snapshot().unwrap().query(flowseek::Filter::all()).limit(1000);
    let mut flows = block_on(query.page()).unwrap().flows().unwrap();
    flows.sort_by_key(|stored| stored.id);
    (report, rejected, flows.into_iter().map(|stored| stored.flow).collect())
}

#[test]
fn connections_of_tailscale_are_flows_of_their_message() {
    let flows = sample("tailscale.ndjson", Format::Tailscale);
    let first = Flow {
        end_time: "2024-06-18T10:00:05.001Z".parse().ok(),
        protocol: Protocol::TCP,
        src_ip: "100.101.102.103".parse().ok(),
        dst_ip: "100.64.0.7".parse().ok(),
        src_port: Some(443),
        dst_port: Some(52_144),
        src_bytes: Some(8440),
        dst_bytes: Some(1220),
        src_packets: Some(11),
        dst_packets: Some(9),
        node_id: Some("nNRZTk1CNTRL".to_owned()),
        ..starting("2024-06-18T10:00:00.001Z")
    };
    assert_eq!(flows[0], first);
    assert_eq!(flows[1].src_ip, "fd7a:115c:a1e0::1".parse().ok());
    // Nothing was received.
    assert_eq!((flows[5].src_bytes, flows[5].dst_bytes), (Some(700), None));
}

#[test]
fn an_event_of_hubble_is_a_flow_between_pods() {
    let flows = sample("hubble.ndjson", Format::Hubble);
    let second = Flow {
        protocol: Protocol::TCP,
        src_ip: "10.0.2.114".parse().ok(),
        dst_ip: "10.0.1.37".parse().ok(),
        src_port: Some(8080),
        dst_port: Some(45_712),
        tcp_flags: Some(TcpFlags::new(0x12)),
        src_node: Some("shop/cart-0".to_owned()),
        dst_node: Some("shop/frontend-6d5f7c-x2x9k".to_owned()),
        node_id: Some("kind/worker-1".to_owned()),
        meta: r#"{"verdict":"FORWARDED"}"#.parse().ok(),
        ..starting("2024-05-02T07:11:32.411Z")
    };
    assert_eq!(flows[1], second);
    assert_eq!(flows[2].meta, r#"{"drop":"POLICY_DENIED","verdict":"DROPPED"}"#.parse().ok());
    assert_eq!((flows[3].protocol, flows[3].src_port), (Protocol::ICMP, None));
}

#[test]
fn clouds_and_collectors_map_field_by_field() {
    let gcp = sample("gcp.ndjson", Format::Gcp);
    assert_eq!((gcp[0].node_id.as_deref(), gcp[1].node_id.as_deref()), (Some("web-1"), Some("web-1")));
    assert_eq!((gcp[0].src_bytes, gcp[0].dst_bytes, gcp[2].protocol.number()), (Some(1776), None, 58));
    let ocsf = &sample("ocsf.ndjson", Format::Ocsf)[0];
    assert_eq!((ocsf.src_bytes, ocsf.dst_bytes, ocsf.tcp_flags), (Some(2048), Some(90_112), Some(TcpFlags::new(27))));
    assert_eq!((ocsf.activity_id.as_deref(), ocsf.src_node.as_deref()), (Some("c-77"), Some("i-0aa")));
    let goflow2 = sample("goflow2.ndjson", Format::Goflow2);
    // 1 packet in 100 was taken.
    assert_eq!((goflow2[0].src_bytes, goflow2[0].src_packets), (Some(150_000), Some(100)));
    assert_eq!(goflow2[2].start_time.to_string(), "2023-04-15T18:28:10.123Z");
    let pmacct = sample("pmacct.ndjson", Format::Pmacct);
    assert_eq!(pmacct[0].start_time.to_string(), "2023-12-04T18:30:01.250Z");
    assert_eq!(pmacct[0].tcp_flags, Some(TcpFlags::new(26)));
    assert_eq!(pmacct[2].start_time.to_string(), "2023-12-04T18:30:01.250Z");
}

#[test]
fn text_of_silk_nfdump_and_argus_is_told_by_its_header() {
    let rwcut = sample("rwcut.txt", Format::Rwcut);
    let second = Flow {
        end_time: "2005-01-07T02:00:07.125Z".parse().ok(),
        protocol: Protocol::TCP,
        src_ip: "10.1.60.5".parse().ok(),
        dst_ip: "10.1.60.203".parse().ok(),
        src_port: Some(443),
        dst_port: Some(40_100),
        src_bytes: Some(9120),
        src_packets: Some(14),
        tcp_flags: Some(TcpFlags::new(0x1b)),
        node_id: Some("S0".to_owned()),
        ..starting("2005-01-07T02:00:02.000Z")
    };
    assert_eq!(rwcut[1], second);
    let nfdump = &sample("nfdump.csv", Format::NfdumpCsv)[0];
    assert_eq!((nfdump.src_ip, nfdump.src_bytes, nfdump.dst_bytes), ("52.5.7.161".parse().ok(), Some(930), None));
    let later = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n\
                 2024-06-01 10:00:00.250,1.500,6,10.0.0.1,50000,10.0.0.2,443,3,180,1\n";
    let (flows, _) = read(Reader::new(Format::NfdumpCsv, later.as_bytes()));
    assert_eq!(flows[0].end_time, "2024-06-01T10:00:01.750Z".parse().ok());
    let ctu = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label\n\
               2011/08/10 09:46:59.607825,1.5,tcp,94.44.127.113,1577,   <-,147.32.84.59,6881,FSPA_SA,0,0,4,276,156,x\n\
               2011/08/10 09:47:00,0,icmp,10.0.0.1,0x0303,   ->,10.0.0.2,0x0a1b,URP,0,,1,86,86,x\n";
    let (flows, rejected) = read(Reader::new(Format::Binetflow, ctu.as_bytes()));
    assert_eq!(rejected, [""; 0]);
    // The arrow says that the flow goes from the right to the left.
    assert_eq!((flows[0].src_ip, flows[0].dst_port), ("147.32.84.59".parse().ok(), Some(1577)));
    assert_eq!((flows[0].src_bytes, flows[0].dst_bytes), (Some(120), Some(156)));
    assert_eq!((flows[0].tcp_flags, flows[1].src_port), (Some(TcpFlags::new(0x1b)), None));
}

#[test]
fn tuples_of_azure_that_are_of_one_flow_are_joined() {
    let flows = sample("azure.ndjson", Format::Azure);
    let second = Flow {
        end_time: "2022-09-14T09:01:04.251Z".parse().ok(),
        protocol: Protocol::TCP,
        src_ip: "10.0.0.6".parse().ok(),
        dst_ip: "198.51.100.26".parse().ok(),
        src_port: Some(1242),
        dst_port: Some(443),
        src_bytes: Some(2300),
        dst_bytes: Some(8160),
        src_packets: Some(14),
        dst_packets: Some(11),
        node_id: Some("112233445566".to_owned()),
        meta: r#"{"decision":"A","direction":"O","rule":"DefaultRule_AllowInternetOutBound"}"#.parse().ok(),
        ..starting("2022-09-14T09:00:04.251Z")
    };
    assert_eq!(flows[1], second);
    // What is denied has no counts.
    assert_eq!((flows[2].src_bytes, flows[2].src_ip), (None, "101.33.218.153".parse().ok()));
    assert_eq!((flows[5].protocol, flows[5].dst_bytes), (Protocol::UDP, Some(4_610_880)));
}

#[test]
fn an_array_of_records_reads_as_its_records_do_in_lines() {
    for (name, format, key) in [
        ("azure.ndjson", Format::Azure, Some("records")),
        ("tailscale.ndjson", Format::Tailscale, Some("logs")),
        ("gcp.ndjson", Format::Gcp, None),
    ] {
        let lines = fs::read_to_string(path(name)).unwrap();
        let records: Vec<&str> = lines.lines().collect();
        let array = format!("[\n  {}\n]\n", records.join(",\n  "));
        let document = key.map_or(array.clone(), |key| format!("{{\"version\": 1, \"{key}\": {array}}}"));
        for text in [array, document] {
            let (report, rejected, flows) = import(text.into_bytes(), ImportOptions::default());
            assert_eq!((rejected.len(), flows.len() as u64), (0, report.imported), "{name}");
            let mut expected = sample(name, format);
            let mut flows = flows;
            let key = |flow: &Flow| format!("{flow:?}");
            expected.sort_by_key(key);
            flows.sort_by_key(key);
            assert_eq!(flows, expected, "{name}");
        }
    }
    let (_, rejected, _) =
        import(b"[{\"virtualTraffic\":[]},\n{\"start\":1,\"virtualTraffic\":7}]".to_vec(), ImportOptions::default());
    assert_eq!(rejected, ["record 2: virtualTraffic: 7 is not an array"]);
}

#[test]
fn parquet_of_vpc_is_told_by_its_columns() {
    for format in [None, Some(ImportFormat::Lines(Format::Vpc))] {
        let options = ImportOptions::default().format(format);
        let (report, rejected, flows) = import(fs::read(path("vpc.parquet")).unwrap(), options);
        assert_eq!((report.imported, report.skipped, rejected.len()), (1, 2, 0));
        let expected = Flow {
            end_time: "2015-08-12T13:47:44Z".parse().ok(),
            protocol: Protocol::TCP,
            src_ip: "198.51.100.1".parse().ok(),
            dst_ip: "192.0.2.1".parse().ok(),
            src_port: Some(443),
            dst_port: Some(49_152),
            src_bytes: Some(840),
            src_packets: Some(10),
            node_id: Some("eni-102010ab".to_owned()),
            ..starting("2015-08-12T13:47:43Z")
        };
        assert_eq!(flows, [expected]);
    }
}

#[test]
fn a_file_describes_the_export_of_a_notebook() {
    let file = fs::read_to_string(path("azure-nsg.toml")).unwrap();
    let options = ImportOptions::default().mapping(mapping(&file));
    let (report, rejected, flows) = import(fs::read(path("azure-nsg.csv")).unwrap(), options);
    assert_eq!((report.imported, rejected.len(), report.remarks.to_string().as_str()), (20, 0, ""));
    assert!(flows.iter().all(|flow| flow.node_id.as_deref() == Some("msticalertswin1") && flow.src_ip.is_some()));
}

#[test]
fn the_example_of_the_readme_is_a_mapping_and_a_record_of_it() {
    let readme = include_str!("../../README.md");
    let block = |begin: &str| {
        let (_, block) = readme.split_once(begin).unwrap();
        block.split_once("```").unwrap().0
    };
    let record = format!("{{\"event\"{}", block("```json\n{\"event\""));
    let (flows, rejected) = mapped(block("```toml\n# firewall.toml\n"), &record);
    let expected = Flow {
        end_time: "2023-01-02T10:00:01.623Z".parse().ok(),
        protocol: Protocol::TCP,
        src_ip: "10.0.0.1".parse().ok(),
        dst_ip: "2001:db8::7".parse().ok(),
        src_port: Some(50_123),
        dst_port: Some(443),
        src_bytes: Some(2310),
        dst_bytes: Some(81_022),
        tcp_flags: Some(TcpFlags::new(0x1b)),
        node_id: Some("fw-1".to_owned()),
        ..starting("2023-01-02T10:00:00.123Z")
    };
    assert_eq!((flows, rejected), (vec![expected], vec![]));
}

const JSON: &str = r#"
    input = "json"
    absent = ["N/A"]
    only = [{ path = "kind", values = ["flow"], absent = true }]

    [flow]
    startTime = { path = "t", time = "ms" }
    duration = { path = "took", unit = "us" }
    protocol = ["l4.proto", { constant = "UDP", when = { path = "l4.udp" } }]
    source = "a"
    dest = ["b", "l4.peer"]
    sourceBytes = { path = "sum", minus = "back" }
    nodeId = { constant = "gw-1" }
    sourceNode = { join = ["site", "host"], with = "/" }
    tcpFlags = "flags"

    [flow.meta]
    rule = "rule"
"#;

#[test]
fn a_mapping_of_json_takes_what_it_names() {
    let line =
        r#"{"t":1666012671001,"took":2500,"l4":{"peer":"[::1]:53","udp":{}},"a":"10.0.0.1:443","sum":7,"back":"2",
        "site":"n/a","host":7,"rule":[1,"x"],"other":[{}]}"#
            .replace('\n', " ");
    let expected = Flow {
        end_time: "2022-10-17T13:17:51.003Z".parse().ok(),
        protocol: Protocol::UDP,
        src_ip: "10.0.0.1".parse().ok(),
        dst_ip: "::1".parse().ok(),
        src_port: Some(443),
        dst_port: Some(53),
        src_bytes: Some(5),
        src_node: Some("n/a/7".to_owned()),
        node_id: Some("gw-1".to_owned()),
        meta: r#"{"rule":[1,"x"]}"#.parse().ok(),
        ..starting("2022-10-17T13:17:51.001Z")
    };
    assert_eq!(mapped(JSON, &line), (vec![expected], vec![]));
    assert_eq!(mapped(JSON, r#"{"t":1,"host":"a","site":"N/A"}"#).0[0].src_node, None);
}

#[test]
fn an_object_may_be_taken_whole_and_in_parts() {
    let file = "input = \"json\"\n[flow]\nstartTime = \"a.t\"\nmeta = \"a\"\nnodeId = \"a.n\"\n";
    let (flows, rejected) = mapped(file, "{\"a\":{\"t\":1,\"n\":\"x\"}}\n{\"a\":7}\n");
    assert_eq!(rejected, ["line 2: a.t: it is missing, and every flow has a start"]);
    assert_eq!(
        (flows[0].meta.as_ref().unwrap().as_str(), flows[0].node_id.as_deref()),
        (r#"{"t":1,"n":"x"}"#, Some("x"))
    );
}

#[test]
fn a_bad_record_is_named_by_its_own_path() {
    for (line, reason) in [
        (r#"{"a":1}"#, "t: it is missing, and every flow has a start"),
        (r#"{"t":"x"}"#, "t: \"x\" is not a number of Unix time in ms"),
        (
            r#"{"t":1,"a":"10.0.0.1:x"}"#,
            "a: \"10.0.0.1:x\" is not an address and a port such as 10.0.0.1:443 or [::1]:443",
        ),
        (
            r#"{"t":1,"l4":{"proto":"TPC"}}"#,
            "l4.proto: \"TPC\" is not a protocol: a name such as TCP or an IANA number from 0 to 255",
        ),
        (r#"{"t":1,"sum":1,"back":2}"#, "sum: 1 is less than 2"),
        (r#"{"t":1,"took":"1 s"}"#, "took: \"1 s\" is not a duration"),
        (
            r#"{"t":1,"flags":{"SYN":1}}"#,
            "flags: an object does not give TCP flags: letters such as .A..S. or names such as SYN, a number from 0 to 255, 8 binary digits, or 0x and hexadecimal digits",
        ),
        ("7", "not a JSON object"),
        (r#"{"t":1 "a":2}"#, "not JSON at byte 8: expected `,` or `}`"),
    ] {
        assert_eq!(mapped(JSON, &format!("\n{line}\n")).1, [format!("line 2: {reason}")]);
    }
}

#[test]
fn what_a_mapping_passes_over_or_does_not_find_is_remarked_once() {
    let input = "{\"t\":1,\"kind\":\"flow\"}\n{\"t\":2,\"kind\":\"dns\"}\n{\"t\":3,\"a\":\"10.0.0.1\",\"took\":null}\n";
    let (report, ..) = import(input.into(), ImportOptions::default().mapping(mapping(JSON)));
    assert_eq!((report.imported, report.skipped), (2, 1));
    assert_eq!(report.remarks.skipped_logs()[0].name, "dns");
    let absent = ["l4.proto", "l4.udp", "b", "l4.peer", "sum", "back", "site", "host", "flags", "rule"];
    let mut told = report.remarks.absent_paths();
    told.sort_unstable();
    let mut expected = absent.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert!(report.remarks.to_string().contains("\"l4.proto\" of the mapping occurs in no record"));
}

const SEPARATED: &str = r##"
    input = "separated"
    separator = ";"
    comment = "#"
    offset = "+02:00"
    ends = ["total"]

    [flow]
    startTime = { path = "Time", time = ["%d.%m.%Y %H:%M:%S%.f", "s"] }
    sourceIP = "From"
    sourceNode = "Name"
"##;

#[test]
fn a_mapping_of_separated_text_knows_quotes_comments_headers_and_sums() {
    let text = "# made by hand\nName;Time;From\n\"a; \"\"b\"\"\" ; 02.01.2023 10:00:00,5;10.0.0.1\n\ntotal;1\n1;2\n\
                Time;From\n1672646400;10.0.0.2\n";
    let (flows, rejected) = mapped(SEPARATED, text);
    assert_eq!(rejected, [""; 0]);
    let first = Flow {
        src_ip: "10.0.0.1".parse().ok(),
        src_node: Some("a; \"b\"".to_owned()),
        ..starting("2023-01-02T08:00:00.500Z")
    };
    let second = Flow { src_ip: "10.0.0.2".parse().ok(), ..starting("2023-01-02T08:00:00Z") };
    assert_eq!(flows, [first, second]);
    for (text, reason) in [
        ("1;2;3\n", "line 1: no header with a column Time names the fields before this line"),
        ("Time;From\n1\n", "line 2: the line has 1 fields, and its header names 2"),
        ("Time;From\n1;10.0.0.1", "line 2: the line has no end, so its last field may have been cut off"),
        ("Time;From\n\"1;2\n", "line 2: a \" is not closed in the line"),
        (
            "Time;From\n2023-01-02;\n",
            "line 2: Time: \"2023-01-02\" is not a time like %d.%m.%Y %H:%M:%S%.f or a number of Unix time in s",
        ),
    ] {
        assert_eq!(mapped(SEPARATED, text).1, [reason]);
    }
}

#[test]
fn headers_hold_for_all_chunks_of_an_import() {
    let rows = |count: u32| (0..count).map(|row| format!("n;{};10.0.0.1\n", 1_600_000_000 + row)).collect::<String>();
    let text = format!("Name;Time;From\n{}Time;From\n1600000000;10.0.0.2\n", rows(60_000));
    assert!(text.len() > 1 << 20);
    let (report, rejected, _) = import(text.into_bytes(), ImportOptions::default().mapping(mapping(SEPARATED)));
    assert_eq!((report.imported, rejected.len()), (60_001, 0));
}

#[test]
fn an_error_in_a_file_names_its_line_its_key_and_what_is_allowed() {
    let flow = "[flow]\nstartTime = \"t\"\n";
    for (file, error) in [
        ("input = ", "line 1: not TOML: "),
        (flow, "the key input is missing: it is \"json\", \"separated\" or \"parquet\", or a list of these"),
        ("input = \"xml\"", "line 1: input: \"xml\" is none of \"json\", \"separated\", \"parquet\""),
        ("input = \"json\"", "the table [flow] is missing"),
        ("input = \"json\"\n[flow]\n", "line 2: flow: the key startTime is missing: every flow has a start"),
        (
            "\ninput = \"json\"\nabsnt = []\n",
            "line 3: absnt: the key is unknown; did you mean \"absent\"? (allowed are input, ",
        ),
        (
            "input = \"json\"\n[flow]\nstartTime = \"t\"\nsourceIp = \"a\"\n",
            "line 4: flow.sourceIp: the key is unknown; did you mean \"sourceIP\"?",
        ),
        ("input = \"json\"\n[flow]\nstartTime = 7\n", "line 3: flow.startTime: 7 is not a text"),
        (
            "input = \"json\"\n[flow]\nstartTime = { path = \"t\", time = \"sec\" }\n",
            "line 3: flow.startTime.time: \"sec\" is no form of a time: allowed are ",
        ),
        (
            "input = \"json\"\n[flow]\nstartTime = { path = \"t\", time = \"%Y %Q\" }\n",
            "line 3: flow.startTime.time: \"%Y %Q\" has a % that begins none of ",
        ),
        (
            "input = \"json\"\n[flow]\nstartTime = \"[].t\"\n",
            "line 3: flow.startTime: \"[].t\" is a path from an element on, and the key each names no list",
        ),
        (
            "input = \"json\"\n[flow]\nstartTime = { path = \"t\", unit = \"s\" }\n",
            "line 3: flow.startTime.unit: the key is unknown",
        ),
        (
            "input = \"json\"\n[flow]\nstartTime = {}\n",
            "line 3: flow.startTime: one of path, constant and join is wanted",
        ),
        (
            "input = \"json\"\nonly = [{ path = \"a\", values = [1], not = [2] }]\n",
            "line 2: only: only one of values, not and contains is allowed",
        ),
        ("input = \"json\"\nseparator = \",\"\n", "line 2: separator: only an input that is \"separated\" has it"),
        ("input = \"separated\"\nquote = \"''\"\n", "line 2: quote: \"''\" is not one character of ASCII"),
        ("input = \"parquet\"\neach = [\"a\"]\n", "line 2: each: only records of JSON have lists"),
        ("input = \"json\"\noffset = \"2h\"\n", "line 2: offset: the offset is none such as \"+02:00\""),
    ] {
        let told = file.parse::<Mapping>().unwrap_err().to_string();
        assert!(told.contains(error), "{told}\nin place of\n{error}");
    }
    let parquet = ImportOptions::default().mapping(mapping("input = \"parquet\"\n[flow]\nstartTime = \"t\"\n"));
    let folder = Folder::new();
    let archive = Archive::open_or_create(folder.path().join("flows")).unwrap();
    let error = archive.appender().unwrap().import(&b"{}\n"[..], parquet, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn records_of_other_versions_and_with_fewer_fields_are_flows_too() {
    let imported = |text: &str| {
        let (report, rejected, flows) = import(text.as_bytes().to_vec(), ImportOptions::default());
        assert_eq!((report.imported, report.skipped, rejected), (1, 0, Vec::new()), "{text}");
        flows.into_iter().next().unwrap()
    };
    // The first version of GoFlow2.
    let flow = imported(concat!(
        r#"{"Type":"SFLOW_5","TimeReceived":1700000001,"TimeFlowStart":1700000000,"Bytes":70,"SamplingRate":100,"#,
        r#""SamplerAddress":"192.0.2.9","SrcAddr":"192.0.2.1","DstAddr":"10.0.0.1","Proto":6,"SrcPort":443}"#
    ));
    assert_eq!((flow.src_bytes, flow.src_port, flow.node_id.as_deref()), (Some(7000), Some(443), Some("192.0.2.9")));
    // Hubble's exporter with a field mask that leaves the type out.
    let flow = imported(concat!(
        r#"{"flow":{"time":"2023-11-14T22:13:20Z","verdict":"DROPPED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"#,
        r#""l4":{"TCP":{"source_port":4000,"destination_port":80}},"node_name":"w1"},"time":"2023-11-14T22:13:20Z"}"#
    ));
    assert_eq!((flow.dst_port, flow.node_id.as_deref()), (Some(80), Some("w1")));
    // pmacct without the times of flows.
    let flow = imported(concat!(
        r#"{"event_type":"purge","ip_src":"192.0.2.1","ip_dst":"10.0.0.1","ip_proto":"tcp","#,
        r#""stamp_inserted":"2023-11-14 22:10:00","stamp_updated":"2023-11-14 22:13:20","packets":2,"bytes":100}"#
    ));
    assert_eq!(flow.start_time, "2023-11-14T22:10:00Z".parse().unwrap());
}
