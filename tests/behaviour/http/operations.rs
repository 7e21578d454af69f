//! What those see who run the server.

use std::{fs, time::Duration};

use flowseek::{
    ErrorKind, Flow, LiveOptions,
    http::{EndpointSettings, FlowLogs},
};

use super::{Running, golden_archive, open};
use crate::support::block_on;

#[test]
fn a_server_is_ready_while_its_archive_is_there() {
    let (directory, archive) = golden_archive();
    let place = directory.path().to_owned();
    let running = Running::with((directory, archive), open, EndpointSettings::default());
    for path in ["/healthz", "/readyz"] {
        let answer = running.get(path, &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert!(answer.json()["status"].is_string());
    }
    fs::rename(place.join("manifests"), place.join("elsewhere")).unwrap();
    running.get("/readyz", &[]).problems(503);
    assert_eq!(running.get("/healthz", &[]).status, 200);
    fs::rename(place.join("elsewhere"), place.join("manifests")).unwrap();
    assert_eq!(running.get("/readyz", &[]).status, 200);
}

#[test]
fn a_server_that_is_about_to_stop_is_not_ready_and_answers_all_the_same() {
    let (_directory, archive) = golden_archive();
    let logs = FlowLogs::new(archive, open);
    let running = Running::routes(logs.router().merge(logs.operations()));
    assert_eq!(running.get("/readyz", &[]).status, 200);
    logs.stopping();
    let answer = running.get("/readyz", &[]);
    assert_eq!(answer.problems(503), ["the server is about to stop"]);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(running.get("/healthz", &[]).status, 200);
    assert_eq!(running.ask("limit=2").flows().len(), 2);
}

#[test]
fn a_server_whose_appender_cannot_commit_is_not_ready_and_says_in_its_metrics_what_waits() {
    let (directory, archive) = golden_archive();
    let data = directory.path().join("data");
    let appender = archive.live_appender(LiveOptions::default().flush_age(Duration::MAX)).unwrap();
    let logs = FlowLogs::new(archive, open);
    let running = Running::routes(logs.router().merge(logs.operations()));
    assert!(!running.get("/metrics", &[]).text().contains("flowseek_appender_"));
    logs.appending(&appender);
    let has = |lines: [&str; 4]| {
        let answer = running.get("/metrics", &[]);
        lines.into_iter().for_each(|line| assert!(answer.text().lines().any(|written| written == line), "{line}"));
    };
    let flow = Flow::starting("2022-11-01T22:46:01Z".parse().unwrap());
    block_on(async {
        fs::rename(&data, data.with_extension("away")).unwrap();
        fs::write(&data, "").unwrap();
        appender.append([&flow, &flow]).await.unwrap();
        assert_eq!(appender.commit().await.unwrap_err().kind(), ErrorKind::Io);
    });
    let problems = running.get("/readyz", &[]).problems(503);
    assert_eq!(problems, ["what is appended cannot be committed; the server's log has the cause"]);
    has([
        "flowseek_appender_uncommitted_flows 2",
        "flowseek_appender_failing 1",
        "flowseek_appender_commits_total 0",
        "flowseek_appender_commit_failures_total 1",
    ]);
    fs::remove_file(&data).unwrap();
    fs::rename(data.with_extension("away"), &data).unwrap();
    assert_eq!(block_on(appender.commit()).unwrap().flows, 2);
    assert_eq!(running.get("/readyz", &[]).status, 200);
    has([
        "flowseek_appender_uncommitted_flows 0",
        "flowseek_appender_failing 0",
        "flowseek_appender_commits_total 1",
        "flowseek_appender_queued_bytes 0",
    ]);
    // It is not kept by this: the archive is free.
    let _ = block_on(appender.close()).unwrap();
    assert!(!running.get("/metrics", &[]).text().contains("flowseek_appender_"));
}

#[test]
fn metrics_count_requests_and_what_they_cost() {
    let running = Running::golden();
    for query in ["limit=3", "limit=4", "limt=4"] {
        running.ask(query);
    }
    let answer = running.get("/metrics", &[]);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let value = |name: &str| -> f64 {
        let line = answer.text().lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("flowseek_requests_total{status=\"200\"}"), 2.0);
    assert_eq!(value("flowseek_requests_total{status=\"422\"}"), 1.0);
    assert_eq!(value("flowseek_request_duration_seconds_count"), 3.0);
    assert_eq!(value("flowseek_rows_returned_total"), 7.0);
    assert_eq!(value("flowseek_pages_total"), 2.0);
    assert!(value("flowseek_bytes_read_total") > 0.0 && value("flowseek_blocks_read_total") >= 2.0);
    assert_eq!(value("flowseek_archive_flows"), crate::golden_queries::flows().len() as f64);
    // Every sample has its family's help and type before it.
    let mut family = "";
    for line in answer.text().lines() {
        match line.strip_prefix("# TYPE ") {
            Some(named) => family = named.split(' ').next().unwrap(),
            None => assert!(line.starts_with("# HELP ") || line.starts_with(family), "{line}"),
        }
    }
}
