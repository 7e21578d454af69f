//! Flows in, from the first to the durable commit.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::{io::Cursor, time::Duration};

use common::{fixture, measure, report::Report};
use flowseek::{
    Archive,
    generate::Generator,
    ingest::{Appender, ImportOptions},
    wire::{FlagsFormat, write_line},
};
use serde_json::json;

fn main() {
    let flows = if measure::is_bench() { fixture::flows().min(4_000_000) } else { 10_000 };
    let generated: Vec<_> = Generator::new(7).flows(flows).collect();
    let mut report = Report::new();
    let append = |appender: &mut Appender| generated.iter().for_each(|flow| appender.push(flow).unwrap());
    tell(&mut report, "append", flows, runs(flows, append));

    let imported = flows.div_ceil(4);
    let mut lines = Vec::new();
    generated
        .iter()
        .take(imported as usize)
        .for_each(|flow| write_line(&mut lines, flow, FlagsFormat::Binary).unwrap());
    drop(generated);
    let import = |appender: &mut Appender| {
        let input = Cursor::new(lines.clone());
        let report = appender.import(input, ImportOptions::default(), &mut |_| {}).unwrap();
        assert_eq!((report.imported, report.rejected), (imported, 0));
    };
    tell(&mut report, "import of JSON lines", imported, runs(imported, import));
    index_parts(&mut report);
}

/// What the index takes of the first segment, part by part.
fn index_parts(report: &mut Report) {
    let archive = fixture::archive(fixture::flows());
    let snapshot = archive.snapshot().unwrap();
    let (flows, bytes) = (snapshot.manifest().rows(), snapshot.manifest().bytes());
    let share = |part: u64| 100.0 * part as f64 / bytes as f64;
    let parts = snapshot.index_bytes().unwrap();
    for (name, part) in &parts {
        println!("index, {name}: {:.3} bytes a flow, {:.1} %", *part as f64 / flows as f64, share(*part));
    }
    let all: u64 = parts.values().sum();
    println!("index: {:.1} % of the files", share(all));
    report.line(&json!({"suite": "ingest", "name": "index", "percent": share(all)}));
}

/// The median time in which `flows` flows were taken in and committed, each time by a new archive.
fn runs(flows: u64, take: impl Fn(&mut Appender)) -> Duration {
    let run = |_| {
        let directory = tempfile::tempdir_in(fixture::directory()).unwrap();
        let archive = Archive::open_or_create(directory.path().join("archive")).unwrap();
        let mut appender = archive.appender().unwrap();
        let time = measure::time(|| {
            take(&mut appender);
            let _ = appender.commit().unwrap();
        });
        assert_eq!(archive.snapshot().unwrap().manifest().rows(), flows);
        time
    };
    measure::median((0..if measure::is_bench() { 3 } else { 1 }).map(run).collect())
}

fn tell(report: &mut Report, name: &str, flows: u64, time: Duration) {
    let rate = flows as f64 / time.as_secs_f64();
    println!("{name}, {flows} flows, durably: {rate:.0} flows/s");
    report.line(&json!({"suite": "ingest", "name": name, "flows": flows, "flows_per_second": rate}));
}
