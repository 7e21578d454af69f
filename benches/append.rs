//! Flows from several tasks at once, and a durable commit each second.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{fixture, measure, report::Report};
use flowseek::{
    Archive, Flow,
    generate::Generator,
    ingest::{LiveAppender, LiveOptions},
};
use serde_json::json;
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Tasks that append, each flows of its own.
const TASKS: usize = 4;
/// Flows of a call.
const CALL_FLOWS: usize = 1000;
/// Flows a second of a large network.
const STEADY: u32 = 100_000;

/// How the tasks append.
struct Load {
    name: &'static str,
    /// Flows a second of all tasks together; `None` for as many as are taken.
    rate: Option<u32>,
    commits: u32,
    /// From one commit to the next.
    pause: Duration,
    /// Calls of a task, at most.
    calls: usize,
}

fn main() {
    let (flows, commits, pause, calls) = if measure::is_bench() {
        let named = std::env::var("FLOWSEEK_BENCH_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
        (1_000_000, named.unwrap_or(10), Duration::from_secs(1), usize::MAX)
    } else {
        (8000, 3, Duration::from_millis(20), 2)
    };
    let flows: Vec<Flow> = Generator::new(7).flows(flows).collect();
    let parts: Vec<Arc<[Flow]>> = flows.chunks(flows.len() / TASKS).map(Arc::from).collect();
    drop(flows);
    let runtime = Runtime::new().unwrap();
    let mut report = Report::new();
    let names = [("100,000 flows a second", Some(STEADY)), ("as fast as they are taken", None)];
    for (name, rate) in names {
        runtime.block_on(run(&Load { name, rate, commits, pause, calls }, &parts, &mut report));
    }
}

async fn run(load: &Load, parts: &[Arc<[Flow]>], report: &mut Report) {
    let directory = tempfile::tempdir_in(fixture::directory()).unwrap();
    let archive = Archive::open_or_create(directory.path().join("archive")).unwrap();
    // Nothing is committed but by who asks.
    let options = LiveOptions::default().flush_age(Duration::MAX).flush_rows(u64::MAX).flush_bytes(u64::MAX);
    let appender = archive.live_appender(options).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let pause = load.rate.map(|rate| Duration::from_secs(1) * (CALL_FLOWS * TASKS) as u32 / rate);
    let mut tasks = JoinSet::new();
    for part in parts {
        tasks.spawn(append(appender.clone(), Arc::clone(part), load.calls, pause, Arc::clone(&ended)));
    }
    let begin = Instant::now();
    let (mut waits, mut committed) = (Vec::new(), 0);
    for number in 1..=load.commits {
        sleep_until(begin + load.pause * number).await;
        let asked = Instant::now();
        committed += appender.commit().await.unwrap().flows;
        waits.push(asked.elapsed());
    }
    let rate = committed as f64 / begin.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    let appended: u64 = tasks.join_all().await.into_iter().sum();
    committed += appender.close().await.unwrap().flows;

    let snapshot = archive.snapshot().unwrap();
    let segments = snapshot.manifest().segments.len();
    assert_eq!((committed, snapshot.manifest().rows()), (appended, appended));
    let [median, late] = [0.5, 0.99].map(|share| measure::quantile(waits.clone(), share));
    println!(
        "{}, by {TASKS} tasks, with {} commits: {rate:.0} flows/s durable; commit p50 {} ms, p99 {} ms; {segments} segments",
        load.name,
        waits.len(),
        measure::millis(median),
        measure::millis(late)
    );
    report.line(&json!({
        "suite": "append",
        "name": load.name,
        "flows": appended,
        "flows_per_second": rate,
        "p50_ms": median.as_secs_f64() * 1e3,
        "p99_ms": late.as_secs_f64() * 1e3,
        "segments": segments,
    }));
}

/// Appends the flows over and over, a call each `pause`, until it is told to end or has made all its calls; the answer
/// is how many flows.
async fn append(
    appender: LiveAppender,
    flows: Arc<[Flow]>,
    calls: usize,
    pause: Option<Duration>,
    ended: Arc<AtomicBool>,
) -> u64 {
    let (begin, mut appended) = (Instant::now(), 0);
    for (number, call) in (0..).zip(flows.chunks(CALL_FLOWS).cycle().take(calls)) {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        if let Some(pause) = pause {
            sleep_until(begin + pause * number).await;
        }
        appended += appender.append(call).await.unwrap().flows();
    }
    appended
}
