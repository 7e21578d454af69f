//! Appending, and what a commit costs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{fixture, measure};
use flowseek::{Archive, generate::Generator};

fn main() {
    let flows = if measure::is_bench() { fixture::flows().min(4_000_000) } else { 10_000 };
    let generated: Vec<_> = Generator::new(7).flows(flows).collect();
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open_or_create(directory.path().join("archive")).unwrap();
    let mut appender = archive.appender().unwrap();
    let time = measure::time(|| {
        generated.iter().for_each(|flow| appender.push(flow).unwrap());
        let _ = appender.commit().unwrap();
    });
    let rows = archive.snapshot().unwrap().manifest().rows();
    assert_eq!(rows, flows);
    println!("appended {flows} flows, durably: {:.0} flows/s", flows as f64 / time.as_secs_f64());
}
