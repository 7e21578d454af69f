//! The same pages over archives of 2 and 20 million flows, and of 100 million where `FLOWSEEK_BENCH_LARGE` is set.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{asked::Asked, case, fixture, measure, report::Report, sample::Sample, suites};
use flowseek::query::Query;
use serde_json::json;
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let mut sizes = if measure::is_bench() { vec![2_000_000, 20_000_000] } else { vec![10_000, 30_000] };
    if measure::is_bench() && std::env::var_os("FLOWSEEK_BENCH_LARGE").is_some() {
        sizes.push(100_000_000);
    }
    let snapshots: Vec<_> = sizes.iter().map(|flows| fixture::archive(*flows).snapshot().unwrap()).collect();
    let mut report = Report::new();
    let heads: String = sizes.iter().map(|size| format!("{size:>12}")).collect();
    println!("{:34} {heads}   the last to the one before", "medians in ms over so many flows");
    // The generated flows are one stream, so every archive holds those of the smallest.
    let sample = Sample::of(sizes[0]);
    let words = case::words();
    for case in [suites::pages(), suites::needles(&sample)].concat().iter().filter(|case| case.is_named_by(&words)) {
        let ask = |snapshot| runtime.block_on(Asked::new(snapshot, case)).query;
        let queries: Vec<_> = snapshots.iter().map(ask).collect();
        let page = |query: &'_ Query| drop(runtime.block_on(query.page()).unwrap());
        let pages = queries.iter().map(|query| || page(query));
        let times = measure::in_turn(&mut pages.collect::<Vec<_>>());
        let cells: String = times.iter().map(|time| format!("{:>12}", measure::millis(*time))).collect();
        let growth = measure::ratio(times[times.len() - 1], times[times.len() - 2]);
        println!("{:34} {cells}   {growth:.2}", case.name);
        let millis: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        report.line(&json!({"suite": "growth", "name": case.name, "flows": sizes, "flowseek_ms": millis}));
    }
}
