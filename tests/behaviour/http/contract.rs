//! Pages, headers and errors.

use std::time::Duration;

use axum::Router;
use flowseek::{
    Archive, Flow,
    flow::StoredFlow,
    http::{EndpointSettings, FlowLogs},
    import::{Format, Item, Reader},
    query::Budget,
    wire::{FlagsFormat, Limits, Profile, Request},
};
use serde_json::Value;

use super::{Answer, Running, archive_in_blocks, encoded, golden_archive, many, open, shown};
use crate::{
    folder::Folder,
    golden_queries,
    support::{append, block_on},
};

#[test]
fn golden_queries_are_answered_over_a_socket() {
    let running = Running::golden();
    let flows = golden_queries::flows();
    for case in golden_queries::cases() {
        let answer = running.ask(&case.query);
        let Some(expected) = &case.flows else {
            let problems = answer.problems(422);
            assert_eq!(problems.len(), case.problems.len(), "{}: {problems:#?}", case.name);
            for fragment in &case.problems {
                assert!(problems.iter().any(|problem| problem.contains(fragment)), "{}: {problems:#?}", case.name);
            }
            continue;
        };
        let stored = |id: &u64| flows.iter().find(|flow| flow.id.get() == *id).map(shown).unwrap();
        assert_eq!(answer.flows(), expected.iter().map(stored).collect::<Vec<_>>(), "{}", case.name);
    }
}

/// The pages of a walk by the cursors of `x-next-page`.
fn walk(running: &Running, query: &str) -> Vec<Answer> {
    let mut pages = vec![running.ask(query)];
    while let Some(next) = pages.last().unwrap().header("x-next-page") {
        assert!(next.len() <= 512 && next.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        pages.push(running.ask(&format!("{query}&page={next}")));
        assert!(pages.len() < 1000);
    }
    pages
}

fn all_of(archive: &Archive, query: &str) -> Vec<Value> {
    let page = block_on(Request::parse(query).unwrap().query(&archive.snapshot().unwrap()).page()).unwrap();
    assert!(page.next.is_none());
    page.flows().unwrap().iter().map(shown).collect()
}

#[test]
fn a_walk_over_pages_gives_the_answer_of_the_library() {
    let (directory, archive) = golden_archive();
    let running = Running::with((directory, archive.clone()), open, EndpointSettings::default());
    for query in ["sort=destBytes:desc,srcIp", "reverse=true", "protocol=TCP&sort=sourceNode", "dstPort=443,80&limit=3"]
    {
        let pages = walk(&running, &format!("{query}&limit=7").replace("&limit=3&limit=7", "&limit=3"));
        assert!(pages.len() > 1);
        let walked: Vec<Value> = pages.iter().flat_map(Answer::flows).collect();
        assert_eq!(walked, all_of(&archive, &query.replace("&limit=3", "")), "{query}");
    }
}

#[test]
fn the_link_leads_on_wherever_the_router_is_mounted() {
    let (_directory, archive) = golden_archive();
    let logs = FlowLogs::new(archive.clone(), open);
    let app = Router::new().nest("/tenants/7", logs.router());
    let running = Running::routes(app);
    let path = "/tenants/7/v2/audit/flow-logs";
    let mut query = "?limit=9&srcNodeOp=&sort=destPort:desc".to_owned();
    let mut walked = Vec::new();
    loop {
        // A reference of a query alone is resolved against the path that the client has asked for (RFC 3986, 5.2).
        let answer = running.get(&format!("{path}{query}"), &[]);
        walked.extend(answer.flows());
        let Some(link) = answer.header("link") else {
            assert_eq!(answer.header("x-next-page"), None);
            break;
        };
        let (target, relation) = link.split_once("; ").unwrap();
        assert_eq!(relation, "rel=\"next\"");
        query = target.strip_prefix('<').and_then(|target| target.strip_suffix('>')).unwrap().to_owned();
        assert!(query.starts_with("?limit=9&"), "{query}");
        assert!(query.ends_with(&format!("&page={}", answer.header("x-next-page").unwrap())));
    }
    assert_eq!(walked, all_of(&archive, "sort=destPort:desc"));
}

#[test]
fn a_long_query_has_a_short_head_for_an_answer() {
    let running = Running::golden();
    let addresses: Vec<String> = (0..1600u32).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let query = format!("srcIp={}&limit=1", addresses.join(","));
    let answer = running.ask(&query);
    assert_eq!((answer.flows().len(), answer.header("link")), (1, None));
    let head: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    assert!(head < 2048, "{head} bytes");
    // The cursor leads on all the same.
    let next = answer.header("x-next-page").unwrap();
    assert_eq!(running.ask(&format!("{query}&page={next}")).flows().len(), 1);
}

#[test]
fn the_total_is_told_where_it_is_free_or_asked_for() {
    let running = Running::golden();
    let total = |query: &str| running.ask(query).header("x-total-count").map(str::to_owned);
    let flows = golden_queries::flows();
    let tcp = flows.iter().filter(|stored: &&StoredFlow| stored.flow.protocol.name() == "TCP").count().to_string();
    assert_eq!(total("limit=1"), Some(flows.len().to_string()));
    assert_eq!(total("limit=0"), Some(flows.len().to_string()));
    assert_eq!(total("protocol=TCP"), Some(tcp.clone()));
    assert_eq!(total("protocol=TCP&limit=1&sort=destBytes&count=exact"), Some(tcp));
    assert_eq!(total("count=none"), None);
}

#[test]
fn no_rows_lead_nowhere() {
    let running = Running::golden();
    let next = running.ask("limit=1").header("x-next-page").unwrap().to_owned();
    for query in ["limit=0", "limit=0&dstPort=443&sort=destBytes", "limit=0&page=3", &format!("limit=0&page={next}")] {
        let answer = running.ask(query);
        assert_eq!(answer.flows(), [] as [Value; 0], "{query}");
        assert_eq!((answer.header("x-next-page"), answer.header("link")), (None, None), "{query}");
    }
    // What is wrong is wrong, however few rows are asked for.
    running.ask(&format!("limit=0&dstPort=443&page={next}")).problems(422);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let running = Running::golden();
    let problems = running.ask("limit=10001&dstPrt=1&reverse=perhaps&sTime=1666012671000").problems(422);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("did you mean `dstPort`")));
    assert!(problems.iter().any(|problem| problem.contains("milliseconds")));
}

#[test]
fn a_cursor_that_is_damaged_or_of_another_query_is_one_problem() {
    let running = Running::golden();
    let next = running.ask("limit=3").header("x-next-page").unwrap().to_owned();
    assert!(!running.ask(&format!("limit=5&page={next}")).flows().is_empty());
    for query in [format!("dstPort=443&page={next}"), format!("reverse=true&page={next}"), format!("page={next}A")] {
        assert_eq!(running.ask(&query).problems(422).len(), 1, "{query}");
    }
}

#[test]
fn limits_and_flags_are_settings() {
    let settings =
        EndpointSettings::default().limits(Limits::default().default_rows(2).largest_rows(3)).flags(FlagsFormat::Hex);
    let running = Running::with(golden_archive(), open, settings);
    assert_eq!(running.ask("").flows().len(), 2);
    assert_eq!(running.ask("limit=3").flows().len(), 3);
    assert!(running.ask("limit=4").problems(422)[0].ends_with("allowed: 0 to 3"));
    let flags = running.ask("tcpFlags=SYN&limit=1").flows()[0]["tcpFlags"].clone();
    assert!(flags.as_str().unwrap().starts_with("0x"), "{flags}");
}

/// Two flows, of which the first has values in every column.
fn full() -> (Folder, Archive) {
    let line =
        r#"{"startTime":7,"flags":65537,"meta":{"cost":0.10,"a":1},"sourcePackets":3,"destPackets":4,"nodeId":"n1",
        "tcpFlags":"00010010","destPort":443}"#
            .replace('\n', " ");
    let items = Reader::new(Format::Json, line.as_bytes()).collect::<flowseek::Result<Vec<_>>>().unwrap();
    let [Item::Flow(flow)] = items.as_slice() else { panic!("{items:?}") };
    archive_in_blocks(&[flow.clone(), Flow::starting(flow.start_time)], 10)
}

#[test]
fn a_page_has_the_fields_of_the_profile_or_those_that_it_is_asked_for() {
    let seed = r#"{"destPort":443,"protocol":"UNKNOWN","startTime":"1970-01-01T00:00:07.000Z","tcpFlags":"00010010"}"#;
    let current = r#"{"destPort":443,"flags":"65537","meta":{"cost":0.10,"a":1},"nodeId":"n1","protocol":"UNKNOWN","startTime":"1970-01-01T00:00:07.000Z","tcpFlags":"18"}"#;
    let some = r#"{"sourcePackets":3,"meta":{"cost":0.10,"a":1}}"#;
    for (profile, usual) in [(Profile::Seed, seed), (Profile::Current, current)] {
        let running = Running::with(full(), open, EndpointSettings::default().profile(profile));
        let first = running.ask("limit=1");
        assert_eq!(first.text(), format!("[{usual}]"));
        let next = first.header("x-next-page").unwrap();
        assert_eq!(first.header("x-cursor"), (profile == Profile::Current).then_some(next));
        let second = running.ask(&format!("limit=1&cursor={next}"));
        assert_eq!(second.text(), running.ask(&format!("limit=1&page={next}")).text());
        assert_eq!((second.flows().len(), second.header("x-cursor")), (1, None));
        assert_eq!(running.ask("fields=sourcePackets,meta&flags=65536").text(), format!("[{some}]"));
        assert_eq!(
            running.ask("fields=meta").flows(),
            [serde_json::json!({"meta": {"cost": 0.1, "a": 1}}), serde_json::json!({})]
        );
        let all = running.ask("fields=*&defunct=true").flows();
        assert_eq!((all.len(), all[0].as_object().unwrap().len()), (1, 9), "{all:?}");
        let flags = if profile == Profile::Seed { "00010010" } else { "18" };
        assert_eq!(all[0]["tcpFlags"], flags);
        let accept = [("accept", "text/csv")];
        let csv = running.get("/v2/audit/flow-logs?fields=flags,destPort&limit=1", &accept);
        assert_eq!(csv.text(), "flags,destPort\r\n65537,443\r\n");
        assert_eq!(running.ask("sort=flags:desc&fields=flags").flows()[0]["flags"], "65537");
        assert!(running.ask("sort=meta").problems(422)[0].contains("\"meta\" is not a field"));
    }
}

#[test]
fn a_search_that_stops_early_says_where_to_go_on() {
    for budget in [Budget::default().rows(1), Budget::default().time(Duration::ZERO)] {
        // Far more blocks than one step of a search reads.
        let archive = archive_in_blocks(&many(5000), 10);
        let running = Running::with(archive, open, EndpointSettings::default().budget(budget));
        for (query, flows) in [
            ("sort=sourceNode:desc&limit=10000", 5000),
            ("sort=sourceBytes&limit=5000", 5000),
            ("reverse=true&limit=5000&eTime=4000", 4001),
            ("sort=sourceNode:desc&srcNode=none,0&limit=10", 0),
        ] {
            let pages = walk(&running, query);
            let walked: Vec<Value> = pages.iter().flat_map(Answer::flows).collect();
            assert_eq!(walked.len(), flows, "{budget:?}: {query}");
            assert!(flows == 0 || pages.len() > 2, "{budget:?}: {query}: {} pages", pages.len());
            let all = || walked.iter().map(|flow| flow["startTime"].as_str().unwrap());
            assert!(all().is_sorted_by(|a, b| if query.starts_with("sort=sourceBytes") { a < b } else { a > b }));
        }
    }
}

#[test]
fn a_count_that_stops_early_goes_on_when_it_is_asked_for_again() {
    for budget in [Budget::default().rows(1), Budget::default().time(Duration::ZERO)] {
        // The bound lies in the midst of a block of each of two segments, whose rows have to be looked at.
        let (directory, archive) = archive_in_blocks(&many(5000), 10);
        append(&archive, &[many(5000)]);
        let running = Running::with((directory, archive), open, EndpointSettings::default().budget(budget));
        let count = "sTime=500.5&limit=1&count=exact";
        let problems = running.ask(count).problems(503);
        assert!(problems[0].contains("too many to count"), "{budget:?}: {problems:?}");
        assert_eq!(running.ask(count).header("x-total-count"), Some("8998"), "{budget:?}");
    }
}

#[test]
fn head_is_answered_as_get_without_a_body() {
    let running = Running::golden();
    let url = format!("http://{}/v2/audit/flow-logs?limit=3", running.address);
    let mut response = ureq::head(&url).call().unwrap();
    let got = running.ask("limit=3");
    for name in ["content-type", "content-length", "x-next-page", "link", "x-total-count"] {
        assert_eq!(response.headers().get(name), got.headers.get(name), "{name}");
    }
    assert!(response.body_mut().read_to_vec().unwrap().is_empty());
}

#[test]
fn nothing_is_kept_in_a_cache() {
    let running = Running::golden();
    for path in [
        "/v2/audit/flow-logs",
        "/v2/audit/flow-logs?limt=1",
        "/nowhere",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert_eq!(running.get(path, &[]).header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn other_paths_and_methods_are_errors_as_all_are() {
    let running = Running::golden();
    for path in ["/", "/v2/audit/flow-logs/", "/v2/audit", "/v2/audit/flow-log", "/metrics/x"] {
        running.get(path, &[]).problems(404);
    }
    for path in ["/v2/audit/flow-logs", "/openapi.json", "/healthz", "/readyz", "/metrics"] {
        let url = format!("http://{}{path}", running.address);
        let request = ureq::post(&url).config().http_status_as_error(false).build();
        let mut response = request.send("{\"limit\": 1}").unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET, HEAD".parse().unwrap()));
        let body = response.body_mut().read_to_string().unwrap();
        assert!(serde_json::from_str::<Vec<String>>(&body).is_ok(), "{path}: {body}");
    }
}

#[test]
fn a_long_query_is_answered_and_an_overlong_one_is_414() {
    let running = Running::golden();
    let list = |bytes: usize| format!("dstPort={}443", "80,".repeat((bytes - 11) / 3));
    assert!(!running.ask(&list(60_000)).flows().is_empty());
    running.ask(&list(62_000)).problems(414);
}

#[test]
fn nothing_internal_is_told_of_an_error_within() {
    let (directory, archive) = golden_archive();
    directory.expect_damage();
    let path = directory.path().to_str().unwrap().to_owned();
    let data = directory.path().join("data");
    for entry in std::fs::read_dir(&data).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap().len();
        std::fs::write(&file, vec![0xff; bytes]).unwrap();
    }
    let archive = Archive::open(archive.path()).unwrap();
    let running = Running::with((directory, archive), open, EndpointSettings::default());
    for _ in 0..3 {
        let problems = running.ask("limit=5").problems(500);
        assert!(!problems[0].contains(&path) && !problems[0].contains("parquet"), "{problems:?}");
    }
    running.ask("limt=5").problems(422);
}

#[test]
fn what_is_odd_in_a_url_is_read_as_it_is_meant() {
    let running = Running::golden();
    let one = |query: &str| running.get(&format!("/v2/audit/flow-logs?{query}"), &[]).flows();
    let https = one("dstPort=443");
    assert!(!https.is_empty());
    for same in [
        "dstPort=443&",
        "&&dstPort=443",
        "dstPort=%34%34%33",
        "d%73tPort=443.0",
        "dstPort=443&srcIp=",
        "dstPort=443&srcPortOp=ne",
    ] {
        assert_eq!(one(same), https, "{same}");
    }
    assert_eq!(running.get("/v2/audit/flow-logs", &[]).flows(), one(""));
    assert_eq!(encoded("a b|c%20"), "a%20b%7Cc%20");
}
