//! Summaries over a socket.

use std::time::Duration;

use axum::http::request::Parts;
use flowseek::{
    Flow, StoredFlow, filter,
    flow::Timestamp,
    http::{EndpointSettings, Grant, PERMISSION, Refusal, openapi},
    query::Budget,
    wire::{Limits, Parameter},
};
use serde_json::{Value, json};

use super::{Answer, Running, archive_in_blocks, archive_of, encoded, golden_archive, many, open};
use crate::golden_queries;

const PATH: &str = "/v2/audit/flow-logs/summary";

fn summary(running: &Running, query: &str) -> Answer {
    running.get(&format!("{PATH}?{}", encoded(query)), &[])
}

fn right(running: &Running, query: &str) -> Value {
    let answer = summary(running, query);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{}", answer.text());
    answer.json()
}

/// What flows add up to, as JSON has it within an object.
fn sums<'a>(flows: impl Iterator<Item = &'a StoredFlow>) -> String {
    let (flows, source, dest) = flows.fold((0, 0, 0), |(flows, source, dest), StoredFlow { flow, .. }| {
        let bytes = |bytes: Option<u64>| u128::from(bytes.unwrap_or(0));
        (flows + 1, source + bytes(flow.src_bytes), dest + bytes(flow.dst_bytes))
    });
    format!(r#""flows":{flows},"sourceBytes":{source},"destBytes":{dest}"#)
}

#[test]
fn every_golden_query_has_a_total_that_its_flows_add_up_to() {
    let running = Running::golden();
    let flows = golden_queries::flows();
    let mut asked = 0;
    for case in golden_queries::cases() {
        let filters = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            !["limit", "page", "sort", "reverse", "count"].contains(&name)
        };
        let query: Vec<&str> = case.query.split('&').filter(filters).collect();
        let is_page = case.query.contains("limit=") || case.query.contains("page=");
        let Some(expected) = case.flows.as_ref().filter(|_| !is_page) else { continue };
        let expected = sums(flows.iter().filter(|stored| expected.contains(&stored.id.get())));
        let answer = summary(&running, &query.join("&"));
        assert_eq!(answer.text(), format!(r#"{{"complete":true,{expected}}}"#), "{}", case.name);
        asked += 1;
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn groups_and_buckets_are_as_the_contract_has_them() {
    let flow = |second: i64, port: Option<u16>, bytes: u64| Flow {
        dst_port: port,
        src_bytes: Some(bytes),
        dst_ip: Some("::ffff:10.0.0.1".parse().unwrap()),
        node_id: Some("n1".to_owned()),
        ..Flow::starting(Timestamp::from_millis(1_767_225_600_000 + second * 1000).unwrap())
    };
    let flows =
        [flow(0, Some(443), u64::MAX), flow(59, Some(443), u64::MAX), flow(185, Some(22), 5), flow(61, None, 0)];
    let running = Running::with(archive_of(&flows), open, EndpointSettings::default());
    // Sums beyond 2^64 are numbers all the same.
    let answer = summary(&running, "by=dstPort&measure=bytes&top=2&every=1m");
    let expected = concat!(
        r#"{"complete":true,"flows":4,"sourceBytes":36893488147419103235,"destBytes":0,"#,
        r#""groups":[{"destPort":443,"flows":2,"sourceBytes":36893488147419103230,"destBytes":0},"#,
        r#"{"destPort":22,"flows":1,"sourceBytes":5,"destBytes":0}],"#,
        r#""buckets":[{"time":"2026-01-01T00:00:00.000Z","flows":2,"sourceBytes":36893488147419103230,"destBytes":0},"#,
        r#"{"time":"2026-01-01T00:01:00.000Z","flows":1,"sourceBytes":0,"destBytes":0},"#,
        r#"{"time":"2026-01-01T00:02:00.000Z","flows":0,"sourceBytes":0,"destBytes":0},"#,
        r#"{"time":"2026-01-01T00:03:00.000Z","flows":1,"sourceBytes":5,"destBytes":0}]}"#
    );
    assert_eq!((answer.status, answer.text()), (200, expected));
    // A group whose field is absent has no such key; of alike many, the lesser value comes first.
    let groups = |query: &str| right(&running, query)["groups"].clone();
    assert_eq!(
        groups("by=port&fields=flows"),
        json!([{"destPort": 443, "flows": 2}, {"destPort": 22, "flows": 1}, {"flows": 1}])
    );
    assert_eq!(groups("by=dstIp,node&fields=flows"), json!([{"destIP": "10.0.0.1", "nodeId": "n1", "flows": 4}]));
    // A name is there once.
    assert_eq!(
        groups("by=srcBytes&top=1&fields=flows,sourceBytes,destBytes"),
        json!([{"sourceBytes": u64::MAX, "flows": 2, "destBytes": 0}])
    );
    assert_eq!(
        right(&running, "fields=flows&every=auto&dstPort=1"),
        json!({"complete": true, "flows": 0, "buckets": []})
    );
}

#[test]
fn what_is_wrong_is_told_at_once_as_for_pages() {
    let running = Running::golden();
    let problems =
        summary(&running, "by=srcIp,dstIp,port&top=1001&every=5&measure=byte&limit=3&dstPort=x").problems(422);
    assert_eq!(problems.len(), 6, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.ends_with("did you mean `top`?")), "{problems:#?}");
    let problems = summary(&running, "every=1ms").problems(422);
    assert!(problems[0].contains("more than 10000 buckets of 1ms"), "{problems:?}");
    summary(&running, &format!("dstPort={}1", "9,".repeat(31_000))).problems(414);
    // Of a page there are no groups.
    let problems = running.ask("by=srcIp").problems(422);
    assert!(problems[0].starts_with("`by` is not a parameter"), "{problems:?}");
}

#[test]
fn a_summary_is_of_what_a_grant_lets_be_seen() {
    let by = |parts: &Parts| match parts.headers.get("x-user").and_then(|user| user.to_str().ok()) {
        Some("nobody") => Ok(Grant::new(["audits::read:events"])),
        Some(node) => Ok(Grant::new([PERMISSION]).only(filter::node_id().eq(node))),
        None => Err(Refusal::unauthorized("log in first")),
    };
    let flows = golden_queries::flows();
    let running = Running::with(golden_archive(), by, EndpointSettings::default());
    assert!(summary(&running, "").header("www-authenticate").is_some());
    summary(&running, "").problems(401);
    running.get(PATH, &[("x-user", "nobody")]).problems(403);
    let node = flows.iter().find_map(|stored| stored.flow.node_id.clone()).unwrap();
    let told = running.get(&format!("{PATH}?by=node"), &[("x-user", &node)]);
    let mine = sums(flows.iter().filter(|stored| stored.flow.node_id.as_ref() == Some(&node)));
    assert_eq!(told.text(), format!(r#"{{"complete":true,{mine},"groups":[{{"nodeId":"{node}",{mine}}}]}}"#));
}

#[test]
fn a_summary_that_stops_early_says_what_it_covers_and_how_to_go_on() {
    for budget in [Budget::default().rows(1), Budget::default().time(Duration::ZERO)] {
        let running =
            Running::with(archive_in_blocks(&many(1000), 10), open, EndpointSettings::default().budget(budget));
        let mut query = "by=srcNode&top=1".to_owned();
        let mut told = 0;
        let mut answers = 0;
        loop {
            let answer = right(&running, &query);
            answers += 1;
            told += answer["flows"].as_u64().unwrap();
            if answer["complete"] == json!(true) {
                assert!(answer.get("searchedFrom").is_none() && answer.get("searchedTo").is_none());
                break;
            }
            let from = answer["searchedFrom"].as_str().unwrap();
            assert!(from <= answer["searchedTo"].as_str().unwrap());
            query = format!("by=srcNode&top=1&eTime={from}&eTimeOp=lt");
        }
        assert_eq!(told, 1000);
        assert!(answers > 2, "{answers}");
        let metrics = running.get("/metrics", &[]);
        let has = |line: String| metrics.text().lines().any(|written| written == line);
        assert!(has(format!("flowseek_summaries_total {answers}")), "{}", metrics.text());
        assert!(has(format!("flowseek_summaries_cut_short_total {}", answers - 1)), "{}", metrics.text());
    }
    // So it does where there is no memory for its groups.
    let settings = EndpointSettings::default().group_bytes(1);
    let running = Running::with(archive_in_blocks(&many(1000), 10), open, settings);
    assert_eq!(right(&running, "by=srcNode")["complete"], json!(false));
    assert_eq!(right(&running, "")["complete"], json!(true));
}

#[test]
fn the_head_of_an_answer_and_other_methods_are_as_for_pages() {
    let running = Running::golden();
    let url = format!("http://{}{PATH}?by=protocol", running.address);
    let got = summary(&running, "by=protocol");
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let mut head = ureq::head(&url).call().unwrap();
    for name in ["content-type", "content-length", "vary"] {
        assert_eq!(head.headers().get(name), got.headers.get(name), "{name}");
    }
    assert!(head.body_mut().read_to_vec().unwrap().is_empty());
    let post = ureq::post(&url).config().http_status_as_error(false).build().send("{}").unwrap();
    assert_eq!((post.status().as_u16(), &post.headers()["allow"]), (405, &"GET, HEAD".parse().unwrap()));
    let gzip = running.get(&format!("{PATH}?by=protocol"), &[("accept-encoding", "zstd")]);
    assert_eq!(gzip.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::stream::decode_all(gzip.body.as_slice()).unwrap(), got.body);
}

#[test]
fn the_document_describes_what_is_answered() {
    let document = openapi::document(&Limits::default());
    let operation = &document["paths"][PATH]["get"];
    let described = operation["parameters"].as_array().unwrap();
    let names: Vec<&str> = described.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(names, Parameter::of_summaries().map(|parameter| parameter.name).collect::<Vec<_>>());
    let running = Running::golden();
    for parameter in described {
        let name = parameter["name"].as_str().unwrap();
        let by = match name {
            "measure" | "top" => "by=dstPort&",
            "every" => "sTime=1666012671&eTime=1666019999&",
            _ => "",
        };
        let words = parameter["schema"]["enum"].as_array().into_iter().flatten();
        for value in words.chain(parameter["schema"]["examples"].as_array().into_iter().flatten()) {
            let value = match value {
                Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
                other => other.as_str().map_or_else(|| other.to_string(), str::to_owned),
            };
            right(&running, &format!("{by}{name}={value}"));
        }
    }
    let answer = right(&running, "by=dstPort,node&every=auto");
    let properties =
        |schema: &Value| -> Vec<String> { schema["properties"].as_object().unwrap().keys().cloned().collect() };
    let summary = &document["components"]["schemas"]["Summary"];
    for (schema, object) in [
        (summary, &answer),
        (&summary["properties"]["groups"]["items"], &answer["groups"][0]),
        (&summary["properties"]["buckets"]["items"], &answer["buckets"][0]),
    ] {
        let known = properties(schema);
        assert!(object.as_object().unwrap().keys().all(|key| known.contains(key)), "{object}");
    }
}
