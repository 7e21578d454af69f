//! Answers the cases on request, for the script beside it, which asks other databases in turn.
//!
//! It writes JSON lines: first what the archive is, then every case with its SQL, then an empty object. After that it
//! reads a line at a time: the number of a case, from 0 on, or the path of a file to be imported, and answers each with
//! a line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

use std::io::stdin;

use common::{asked::Asked, case, dialect::Dialect, fixture, measure, report::object, sample::Sample, suites};
use flowseek::{Archive, ingest::ImportOptions};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let flows = fixture::flows();
    let archive = fixture::archive(flows);
    let snapshot = archive.snapshot().unwrap();
    println!("{}", described(&archive));
    let words = case::words();
    let cases = suites::all(&Sample::of(flows)).into_iter().filter(|case| case.is_named_by(&words));
    let cases: Vec<_> = cases.map(|case| (runtime.block_on(Asked::new(&snapshot, &case)), case)).collect();
    for (asked, case) in &cases {
        let mut line = object(case, &[], &asked.page.explain);
        line["duckdb"] = asked.sql(Dialect::DuckDb).into();
        line["clickhouse"] = asked.sql(Dialect::ClickHouse).into();
        line["answer"] = asked.found().into();
        println!("{line}");
    }
    println!("{{}}");
    let answer = |request: &str| match request.parse::<usize>() {
        Ok(number) => {
            let (asked, case) = &cases[number];
            let mut page = None;
            let time = measure::time(|| page = runtime.block_on(asked.query.page()).ok());
            object(case, &[("flowseek", time)], &page.unwrap().explain)
        }
        Err(_) => import(request),
    };
    if measure::is_bench() {
        stdin().lines().for_each(|line| println!("{}", answer(&line.unwrap())));
    } else {
        (0..cases.len()).for_each(|number| println!("{}", answer(&number.to_string())));
    }
}

/// An archive of the flows in the file at `path`.
fn import(path: &str) -> Value {
    let archive = fixture::create(&fixture::directory().join("archive-imported"));
    let mut appender = archive.appender().unwrap();
    appender.import_file(path, ImportOptions::default(), &mut |_| {}).unwrap();
    let _ = appender.commit().unwrap();
    described(&archive)
}

fn described(archive: &Archive) -> Value {
    let snapshot = archive.snapshot().unwrap();
    let manifest = snapshot.manifest();
    json!({
        "archive": archive.path(),
        "format": fixture::format(),
        "flows": manifest.rows(),
        "bytes": manifest.bytes(),
    })
}
