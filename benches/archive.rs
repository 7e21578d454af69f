//! An archive over time: merging, starting after a crash, opening, and a day of a server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use common::{
    fixture,
    measure::{self, is_bench, millis},
    report::Report,
};
use flowseek::{
    Archive, Filter, Flow, Order, Settings,
    archive::{Compactor, Effort},
    filter,
    flow::{Address, Timestamp},
    generate::Generator,
    ingest::{LiveAppender, LiveOptions},
    query::Page,
};
use serde_json::json;
use tokio::{runtime::Runtime, time::sleep};

const HOURS: u64 = 24;
const HOUR_MILLIS: i64 = 3_600_000;
/// The beginning of the day: 2025-01-01T00:00:00Z.
const BEGIN: i64 = 1_735_689_600_000;

/// How much is done.
struct Scale {
    /// Segments that are merged, and flows of each.
    merged: (u64, u64),
    /// Segments of the archive that is opened.
    opened: u64,
    /// Commits of an hour, and flows of each.
    hour: (u64, u64),
}

fn main() {
    let scale = match is_bench() {
        true => Scale { merged: (256, 15_000), opened: 1000, hour: (180, 4630) },
        false => Scale { merged: (16, 100), opened: 20, hour: (2, 50) },
    };
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir_in(fixture::directory()).unwrap();
    let mut report = Report::new();
    merging(&scale, &directory.path().join("merged"), &mut report);
    opening(&scale, &directory.path().join("opened"), &runtime, &mut report);
    runtime.block_on(day(&scale, &directory.path().join("day"), &mut report));
}

/// An archive of so many segments of so many flows.
fn many_segments(path: &Path, segments: u64, flows: u64) -> Archive {
    let settings = Settings::default().segment_rows(flows as usize);
    let archive = Archive::open_or_create_with(path, settings).unwrap();
    let mut appender = archive.appender().unwrap();
    Generator::new(7).flows(segments * flows).for_each(|flow| appender.push(&flow).unwrap());
    assert_eq!(appender.commit().unwrap().flows, segments * flows);
    assert_eq!(archive.snapshot().unwrap().manifest().segments.len() as u64, segments);
    archive
}

/// All small segments to large ones.
fn merging(scale: &Scale, path: &Path, report: &mut Report) {
    let (segments, flows) = scale.merged;
    drop(many_segments(path, segments, flows));
    let archive = Archive::open(path).unwrap();
    let is_fresh = forget_peak();
    let writer = archive.writer().unwrap();
    let begin = Instant::now();
    let rows = compact(&writer.compactor());
    let took = begin.elapsed();
    let rate = rows as f64 / took.as_secs_f64();
    let peak = measure::peak_memory().filter(|_| is_fresh).map(|bytes| bytes >> 20);
    let left = archive.snapshot().unwrap().manifest().segments.len();
    println!(
        "merging {segments} segments of {flows} flows to {left}: {rate:.0} flows/s, peak memory {} MiB",
        peak.map_or("unknown".to_owned(), |peak| peak.to_string())
    );
    report.line(&json!({"suite": "archive", "name": "merge", "flows_per_second": rate, "peak_mib": peak}));
}

/// The answer is how many flows were written.
fn compact(compactor: &Compactor) -> u64 {
    let once = || compactor.run_once(Effort::Thorough).unwrap().map(|done| done.rows);
    std::iter::from_fn(once).sum()
}

/// From now on the peak is that from now on, where the system can do that.
fn forget_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Opening an archive of many segments, and beginning to write to it after a crash.
fn opening(scale: &Scale, path: &Path, runtime: &Runtime, report: &mut Report) {
    let archive = many_segments(path, scale.opened, 1000);
    let wait = |name: &str, run: &dyn Fn()| -> Duration {
        let samples = (0..if is_bench() { 15 } else { 1 }).map(|_| measure::time(run)).collect();
        let time = measure::median(samples);
        println!("{name}, with {} segments: {} ms", scale.opened, millis(time));
        time
    };
    let newest = |path: &Path| {
        let snapshot = Archive::open(path).unwrap().snapshot().unwrap();
        let page = runtime.block_on(snapshot.query(Filter::all()).order(Order::newest_first()).limit(100).page());
        assert_eq!(page.unwrap().batch.num_rows(), 100);
    };
    let rare: Address = "2001:db8::7".parse().unwrap();
    let needle = |path: &Path| {
        let snapshot = Archive::open(path).unwrap().snapshot().unwrap();
        let page = runtime.block_on(snapshot.query(filter::src_ip().any_of([rare])).page());
        assert_eq!(page.unwrap().batch.num_rows(), 0);
    };
    let first = wait("opening and the first page", &|| newest(path));
    let absent = wait("opening and an absent address", &|| needle(path));
    let clean = wait("beginning to write", &|| drop(archive.writer().unwrap()));
    // As many segments more, half of them with their names, that never came to be part of it.
    let segments = archive.snapshot().unwrap().manifest().segments.clone();
    let mut samples = Vec::new();
    for _ in 0..if is_bench() { 3 } else { 1 } {
        for (number, segment) in segments.iter().enumerate() {
            let ending = if number % 2 == 0 { "parquet" } else { "parquet.tmp" };
            let left = format!("data/2025-01-01-{number:032x}.{ending}");
            fs::copy(path.join(&segment.path), path.join(left)).unwrap();
        }
        samples.push(measure::time(|| drop(archive.writer().unwrap())));
        assert_eq!(fs::read_dir(path.join("data")).unwrap().count(), segments.len());
    }
    let crashed = measure::median(samples);
    println!("beginning to write after a crash that left as many files: {} ms", millis(crashed));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    report.line(&json!({
        "suite": "archive", "name": "open", "segments": scale.opened, "first_page_ms": ms(first),
        "absent_ms": ms(absent), "writer_ms": ms(clean), "crashed_writer_ms": ms(crashed),
    }));
}

/// A day, as fast as it goes: a commit each few seconds, segments merged meanwhile, and a page each hour.
async fn day(scale: &Scale, path: &Path, report: &mut Report) {
    let (commits, commit_flows) = scale.hour;
    let archive = Archive::open_or_create(path).unwrap();
    // As another process would have it, all day.
    let reader = Archive::open(path).unwrap();
    let options = LiveOptions::default().flush_age(Duration::MAX);
    let appender = archive.live_appender(options).unwrap();
    let is_fresh = forget_peak();
    let mut flows = flows_of_day(HOURS * commits * commit_flows);
    let (begin, mut waits, mut hours) = (Instant::now(), Vec::new(), Vec::new());
    let (already, mut segments) = (written_bytes(), 0);
    for hour in 1..=HOURS {
        for _ in 0..commits {
            let call: Vec<Flow> = flows.by_ref().take(commit_flows as usize).collect();
            appender.append(&call).await.unwrap();
            let asked = Instant::now();
            let _ = appender.commit().await.unwrap();
            waits.push(asked.elapsed());
            segments = segments.max(archive.snapshot().unwrap().manifest().segments.len());
        }
        if [2, 12, 24].contains(&hour) {
            settle(&appender).await;
            let (time, page) = newest(&reader).await;
            println!("the newest page after {hour} hours: {} ms, {} blocks", millis(time), page.explain.blocks_read);
            hours.push((hour, time.as_secs_f64() * 1e3));
        }
    }
    let took = begin.elapsed();
    let status = appender.status();
    assert_eq!(status.failures, 0, "{:?}", status.failure);
    let _ = appender.close().await.unwrap();
    let snapshot = archive.snapshot().unwrap();
    let rows = snapshot.manifest().rows();
    assert_eq!(rows, HOURS * commits * commit_flows);
    let flow_times = 1.0 + status.rewritten as f64 / rows as f64;
    let bytes: u64 = snapshot.manifest().segments.iter().map(|segment| segment.bytes).sum();
    let written = written_bytes().zip(already).map(|(now, already)| now - already);
    let byte_times = written.map(|written| written as f64 / bytes as f64);
    let [median, late] = [0.5, 0.99].map(|share| measure::quantile(waits.clone(), share));
    let left = snapshot.manifest().segments.len();
    let peak = measure::peak_memory().filter(|_| is_fresh).map_or(0, |bytes| bytes >> 20);
    println!(
        "a day of {rows} flows in {} commits took {:.1} s: commit p50 {} ms, p99 {} ms; each flow written {flow_times:.2} \
         times, {:.2} bytes for each that is left; {segments} segments at most, {left} at the end; peak memory {peak} MiB",
        waits.len(),
        took.as_secs_f64(),
        millis(median),
        millis(late),
        byte_times.unwrap_or(f64::NAN),
    );
    report.line(&json!({
        "suite": "archive", "name": "day", "flows": rows, "seconds": took.as_secs_f64(), "newest_ms": hours,
        "p50_ms": median.as_secs_f64() * 1e3, "p99_ms": late.as_secs_f64() * 1e3, "flow_times": flow_times, "byte_times": byte_times,
        "most_segments": segments, "segments": left, "peak_mib": peak,
    }));
}

/// What this process has written to files so far, manifests and all; `None` where the system does not tell.
fn written_bytes() -> Option<u64> {
    let told = fs::read_to_string("/proc/self/io").ok()?;
    told.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()
}

/// Generated flows, spread over a day by their ends.
fn flows_of_day(count: u64) -> impl Iterator<Item = Flow> {
    (0..count).zip(Generator::new(7).flows(count)).map(move |(number, flow)| {
        let end = BEGIN + (number * HOURS * HOUR_MILLIS as u64 / count) as i64;
        let lasted = flow.end_time.map_or(0, |end| end.as_millis() - flow.start_time.as_millis());
        let time = |millis| Timestamp::from_millis(millis).unwrap();
        Flow { start_time: time(end - lasted), end_time: flow.end_time.map(|_| time(end)), ..flow }
    })
}

async fn settle(appender: &LiveAppender) {
    while appender.status().is_busy {
        sleep(Duration::from_millis(5)).await;
    }
}

/// The newest 100 flows, warm.
async fn newest(reader: &Archive) -> (Duration, Page) {
    let query = reader.snapshot().unwrap().query(Filter::all()).order(Order::newest_first()).limit(100);
    let mut samples = Vec::new();
    let mut last = query.page().await.unwrap();
    for _ in 0..if is_bench() { 31 } else { 1 } {
        let begin = Instant::now();
        last = query.page().await.unwrap();
        samples.push(begin.elapsed());
    }
    (measure::median(samples), last)
}
