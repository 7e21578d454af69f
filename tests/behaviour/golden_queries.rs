//! The golden requests of `testdata/queries`: what each query answers over a few handmade flows, or what is wrong
//! with it. An executor is a function from a request to the answered flows, so that every one can be held to the same
//! cases; the one here is the plain reference.

use std::{fs, path::PathBuf};

use flowseek::{
    Archive, Settings,
    archive::SegmentOptions,
    flow::{Flow, FlowFlags, FlowId, Instant, Protocol, StoredFlow, TcpFlags},
    query::Start,
    wire::{Request, problem_list},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    folder::Folder,
    support::{append, block_on},
};

/// A query and what it must answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// The query string.
    pub query: String,
    /// The line numbers of the flows answered, in order; absent where the query is wrong.
    pub flows: Option<Vec<u64>>,
    /// A fragment of each problem.
    #[serde(default)]
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    case: Vec<Case>,
}

/// The cases of all topics.
pub fn cases() -> Vec<Case> {
    let entries = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut topics: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    topics.sort();
    let read = |path: PathBuf| -> Topic {
        let text = fs::read_to_string(&path).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    topics.into_iter().flat_map(|path| read(path).case).collect()
}

/// The flows of `flows.ndjson`: their IDs are their line numbers.
pub fn flows() -> Vec<StoredFlow> {
    let text = fs::read_to_string(directory().join("flows.ndjson")).unwrap();
    (1..).map(FlowId::new).zip(text.lines().map(flow)).map(|(id, flow)| StoredFlow { id, flow }).collect()
}

/// Holds an executor to a case: `answer` gives the IDs of the answered flows, in order.
pub fn check(case: &Case, answer: impl Fn(&Request) -> Vec<u64>) {
    let (name, query) = (&case.name, &case.query);
    match (Request::parse(query), &case.flows) {
        (Ok(request), Some(flows)) => assert_eq!(&answer(&request), flows, "{name}: {query}"),
        (Ok(_), None) => panic!("{name}: {query} is accepted"),
        (Err(error), Some(_)) => panic!("{name}: {query}: {error}"),
        (Err(error), None) => {
            let problems = problem_list(&error);
            assert_eq!(problems.len(), case.problems.len(), "{name}: {query}: {problems:#?}");
            for fragment in &case.problems {
                let found = problems.iter().filter(|problem| problem.contains(fragment)).count();
                assert_eq!(found, 1, "{name}: {query}: {fragment} in {problems:#?}");
            }
        }
    }
}

/// The reference: every flow is looked at, and all that match are sorted.
fn reference(flows: &[StoredFlow], request: &Request) -> Vec<u64> {
    let order = &request.order;
    let mut matches: Vec<_> = flows.iter().filter(|flow| request.filter.matches(flow)).collect();
    matches.sort_by(|left, right| order.compare(&order.key(left), &order.key(right)));
    let before = match request.start {
        Start::First => 0,
        Start::Number(number) => u128::from(number - 1) * request.limit as u128,
        Start::At(_) => panic!("a golden query has no cursor: it would be another in every version"),
    };
    let rest = matches.into_iter().skip(usize::try_from(before).unwrap_or(usize::MAX));
    rest.take(request.limit).map(|flow| flow.id.get()).collect()
}

#[test]
fn golden_queries_answer_the_expected_flows_or_problems() {
    let flows = flows();
    for case in cases() {
        check(&case, |request| reference(&flows, request));
    }
}

#[test]
fn an_archive_gives_the_golden_answers_however_it_is_cut() {
    let flows: Vec<Flow> = flows().into_iter().map(|flow| flow.flow).collect();
    for (segment_rows, block_rows) in [(100, 100), (7, 3), (1, 1)] {
        let directory = Folder::new();
        let segment = SegmentOptions::default().block_rows(block_rows).row_group_blocks(2);
        let settings = Settings::default().segment(segment).segment_rows(segment_rows);
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        append(&archive, std::slice::from_ref(&flows));
        let snapshot = archive.snapshot().unwrap();
        for case in cases() {
            check(&case, |request| {
                let page = block_on(request.query(&snapshot).page()).unwrap();
                page.flows().unwrap().into_iter().map(|flow| flow.id.get()).collect()
            });
        }
    }
}

#[test]
fn golden_queries_have_their_names_once() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    names.sort();
    assert!(names.len() > 150 && names.windows(2).all(|pair| pair[0] != pair[1]));
}

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "queries"].iter().collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    start_time: String,
    end_time: Option<String>,
    protocol: Option<Value>,
    #[serde(rename = "sourceIP")]
    source_ip: Option<String>,
    #[serde(rename = "destIP")]
    dest_ip: Option<String>,
    source_port: Option<u16>,
    dest_port: Option<u16>,
    source_bytes: Option<u64>,
    dest_bytes: Option<u64>,
    tcp_flags: Option<String>,
    source_node: Option<String>,
    dest_node: Option<String>,
    node_id: Option<String>,
    #[serde(rename = "activityID")]
    activity_id: Option<String>,
    source_packets: Option<u64>,
    dest_packets: Option<u64>,
    flags: Option<String>,
    meta: Option<Value>,
}

fn flow(line: &str) -> Flow {
    let line: Line = serde_json::from_str(line).unwrap();
    let time = |text: &str| text.parse::<Instant>().unwrap().floor();
    Flow {
        end_time: line.end_time.as_deref().map(time),
        protocol: match line.protocol {
            None => Protocol::UNKNOWN,
            Some(Value::String(name)) => Protocol::from_name(&name).unwrap(),
            Some(number) => Protocol::new(number.as_u64().unwrap().try_into().unwrap()),
        },
        src_ip: line.source_ip.map(|text| text.parse().unwrap()),
        dst_ip: line.dest_ip.map(|text| text.parse().unwrap()),
        src_port: line.source_port,
        dst_port: line.dest_port,
        src_bytes: line.source_bytes,
        dst_bytes: line.dest_bytes,
        tcp_flags: line.tcp_flags.map(|bits| TcpFlags::new(u8::from_str_radix(&bits, 2).unwrap())),
        src_node: line.source_node,
        dst_node: line.dest_node,
        node_id: line.node_id,
        activity_id: line.activity_id,
        flow_flags: line.flags.map(|flags| FlowFlags::new(flags.parse().unwrap())),
        meta: line.meta.map(|meta| meta.to_string().parse().unwrap()),
        src_packets: line.source_packets,
        dst_packets: line.dest_packets,
        ..Flow::starting(time(&line.start_time))
    }
}
