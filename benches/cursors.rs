//! What a cursor costs on its way through a URL.
#![allow(clippy::unwrap_used)]

mod common;

use std::hint::black_box;

use common::{asked::Asked, fixture, measure, report::Report, suites};
use flowseek::{Cursor, wire::Request};
use serde_json::json;
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let archive = fixture::archive(fixture::flows().min(2_000_000));
    let snapshot = archive.snapshot().unwrap();
    let times = if measure::is_bench() { 100_000 } else { 1 };
    let mut report = Report::new();
    for case in [suites::pages(), suites::sorts()].concat() {
        let asked = runtime.block_on(Asked::new(&snapshot, &case));
        let Some(cursor) = asked.page.next else { continue };
        let text = cursor.to_string();
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        let query = format!("{}&page={text}", case.query);
        let all = [
            nanos(times, || drop(black_box(&cursor).to_string())),
            nanos(times, || drop(black_box(&text).parse::<Cursor>().unwrap())),
            nanos(times, || drop(Request::parse(black_box(&query)).unwrap())),
        ];
        println!(
            "{:24} {} bytes: text {:.0} ns, parse {:.0} ns, parse with its query {:.0} ns",
            case.name,
            text.len(),
            all[0],
            all[1],
            all[2]
        );
        report.line(&json!({"suite": "cursors", "name": case.name, "bytes": text.len(), "nanos": all}));
    }
}

/// How long one run takes, of so many.
fn nanos(times: u32, run: impl Fn()) -> f64 {
    let time = measure::time(|| (0..times).for_each(|_| run()));
    time.as_secs_f64() * 1e9 / f64::from(times)
}
