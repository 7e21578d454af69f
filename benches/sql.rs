//! SQL and summaries, beside plain DataFusion SQL over the same files, and pages beside their plans.
//!
//! `cargo bench --features sql --bench sql -- "port 443"` runs the statements so named.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    asked::Asked,
    case::{self, Answer},
    dialect::Dialect,
    fixture, measure,
    report::Report,
    rows,
    sample::Sample,
    sql::Sql,
    statement, statements, suites,
};
use datafusion::physical_plan::collect;
use flowseek::Snapshot;
use serde_json::json;
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let flows = fixture::flows();
    let archive = fixture::archive(flows);
    let snapshot = archive.snapshot().unwrap();
    let context = statement::session(&archive);
    let plain = Sql::new(&runtime, archive.path());
    let mut report = Report::new();
    println!("{flows} flows in {} segments", snapshot.manifest().segments.len());
    let words = case::words();
    let sample = Sample::of(flows);
    plans(&runtime, &snapshot, &sample, &words);
    println!("{:34} {:>10} {:>10} {:>10}", "warm, medians in ms", "SQL", "summary", "plain SQL");
    for statement in statements::all(&sample) {
        if !case::are_named(&words, statements::SUITE, &statement.name) {
            continue;
        }
        let sql = statement.sql(Dialect::DataFusion);
        let answer = statement::answer(&runtime, &context, &sql);
        assert_eq!(answer, statement::answer(&runtime, plain.context(), &sql), "{}", statement.name);
        let summary = statement.summary(&snapshot);
        if let Some((summary, measure)) = &summary {
            assert_eq!(answer, rows::of_summary(&runtime.block_on(summary.summary()).unwrap(), *measure));
        }
        let mut sides: [&mut dyn FnMut(); 3] = [
            &mut || drop(statement::batches(&runtime, &context, &sql)),
            &mut || summary.iter().for_each(|(summary, _)| drop(runtime.block_on(summary.summary()).unwrap())),
            &mut || drop(statement::batches(&runtime, plain.context(), &sql)),
        ];
        let times = measure::in_turn(&mut sides);
        let added_up = if summary.is_some() { measure::millis(times[1]) } else { String::new() };
        println!(
            "{:34} {:>10} {:>10} {:>10}",
            statement.name,
            measure::millis(times[0]),
            added_up,
            measure::millis(times[2])
        );
        let millis: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        report.line(&json!({
            "suite": statements::SUITE,
            "name": statement.name,
            "flowseek_ms": millis[0],
            "summary_ms": summary.is_some().then_some(millis[1]),
            "datafusion_ms": millis[2],
        }));
    }
}

/// Pages beside their plans. What one costs more than the other is a matter of microseconds, by which the medians of two
/// runs differ as well: the least of many is compared.
fn plans(runtime: &Runtime, snapshot: &Snapshot, sample: &Sample, words: &[String]) {
    println!("{:34} {:>10} {:>10} {:>10}", "warm, the least in ms", "page", "plan", "more");
    for case in suites::all(sample).iter().filter(|case| case.answer != Answer::Count && case.is_named_by(words)) {
        let asked = runtime.block_on(Asked::new(snapshot, case));
        let collected = || runtime.block_on(collect(asked.query.plan().unwrap(), Arc::default())).unwrap();
        assert_eq!(collected().iter().map(|batch| batch.num_rows()).sum::<usize>(), asked.found().len());
        let (mut page, mut plan) = (Duration::MAX, Duration::MAX);
        for _ in 0..measure::runs(Duration::ZERO) * 10 {
            page = page.min(measure::time(|| drop(runtime.block_on(asked.query.page()).unwrap())));
            plan = plan.min(measure::time(|| drop(collected())));
        }
        let (page, plan, more) =
            (measure::millis(page), measure::millis(plan), measure::millis(plan.saturating_sub(page)));
        println!("{:34} {page:>10} {plan:>10} {more:>10}", case.name);
    }
}
