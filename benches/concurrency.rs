//! 64 clients at once: how long each waits for its page, against one client alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::{asked::Asked, fixture, measure, report::Report, sample::Sample, suites};
use flowseek::{
    Snapshot, filter,
    query::{Count, Query},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tokio::runtime::Runtime;

const CLIENTS: u32 = 64;
/// A client that reads what it gets asks no more often.
const PAUSE: Duration = Duration::from_millis(200);

fn main() {
    let runtime = Runtime::new().unwrap();
    let archive = fixture::archive(fixture::flows());
    let snapshot = archive.snapshot().unwrap();
    let cases = [suites::pages(), suites::needles(&Sample::of(fixture::flows()))].concat();
    let asked = cases.iter().map(|case| runtime.block_on(Asked::new(&snapshot, case)).query);
    let queries: Vec<Query> = asked.collect();
    let pages = if measure::is_bench() { 100 } else { 1 };
    let alone: Vec<Duration> = queries.iter().map(|query| alone(&runtime, query)).collect();
    println!("pages and needles in turn; one client: median {} ms", measure::millis(measure::median(alone.clone())));
    let mut report = Report::new();
    for (name, pause) in [("each asks 5 times a second", PAUSE), ("each asks again at once", Duration::ZERO)] {
        let begin = Instant::now();
        let waits = match pause {
            Duration::ZERO => clients(&runtime, &queries, pages),
            pause => arrivals(&runtime, &queries, pages, pause),
        };
        let rate = waits.len() as f64 / begin.elapsed().as_secs_f64();
        let times: Vec<Duration> = waits.iter().map(|(_, wait)| *wait).collect();
        let [median, late] = [0.5, 0.99].map(|share| measure::quantile(times.clone(), share));
        // A wait counts against the same query alone.
        let mut ratios: Vec<f64> = waits.iter().map(|(query, wait)| measure::ratio(*wait, alone[*query])).collect();
        ratios.sort_by(f64::total_cmp);
        let times = ratios[(ratios.len() * 99 / 100).min(ratios.len() - 1)];
        println!(
            "{CLIENTS} clients, {name}: {rate:.0} pages/s, p50 {} ms, p99 {} ms; p99 = {times:.1} times the lone median",
            measure::millis(median),
            measure::millis(late)
        );
        let [p50, p99] = [median, late].map(|time| time.as_secs_f64() * 1e3);
        report.line(&json!({"suite": "concurrency", "name": name, "p50_ms": p50, "p99_ms": p99, "p99_ratio": times}));
    }
    let stops: Vec<Duration> =
        (0..pages).map(|n| stop(&runtime, &snapshot, Duration::from_micros(300 * n as u64))).collect();
    println!(
        "a scan of everything that is dropped has stopped after {} ms (p50), {} ms at most",
        measure::millis(measure::median(stops.clone())),
        measure::millis(stops.into_iter().max().unwrap_or_default())
    );
    let settings = archive.settings();
    let mebibytes = |bytes: u64| bytes >> 20;
    println!(
        "memory: {} MiB at most, of which the caches may hold {} MiB",
        measure::peak_memory().map_or("unknown".to_owned(), |bytes| mebibytes(bytes).to_string()),
        mebibytes(settings.index_cache_bytes + settings.page_cache_bytes)
    );
}

/// How long all work on a query goes on after it is dropped, `after` it was begun.
fn stop(runtime: &Runtime, snapshot: &Snapshot, after: Duration) -> Duration {
    // Neither bounds nor lists tell of it, so all flows are looked at.
    let scan = snapshot.query(filter::src_bytes().eq(1).and(filter::dst_bytes().eq(1))).count(Count::Exact);
    runtime.block_on(async {
        let _ = tokio::time::timeout(after, scan.page()).await;
    });
    let dropped = Instant::now();
    while runtime.metrics().num_alive_tasks() > 0 {
        std::hint::spin_loop();
    }
    dropped.elapsed()
}

/// The median time of a page for one client alone.
fn alone(runtime: &Runtime, query: &Query) -> Duration {
    measure::in_turn(&mut [|| drop(runtime.block_on(query.page()).unwrap())])[0]
}

/// Clients that ask at random moments, whether they have been answered or not, `pause` apart on the average: which query
/// each asked, and how long it waited from the moment it asked.
fn arrivals(runtime: &Runtime, queries: &[Query], pages: usize, pause: Duration) -> Vec<(usize, Duration)> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let due = |_| pause.mul_f64(random.random_range(0.0..pages as f64));
    let mut dues: Vec<Duration> = (0..pages * CLIENTS as usize).map(due).collect();
    dues.sort();
    let begin = Instant::now();
    let ask = |(number, due): (usize, &Duration)| {
        std::thread::sleep((begin + *due).saturating_duration_since(Instant::now()));
        let place = number % queries.len();
        let (query, asked) = (queries[place].clone(), Instant::now());
        runtime.spawn(async move {
            query.page().await.unwrap();
            (place, asked.elapsed())
        })
    };
    let tasks: Vec<_> = dues.iter().enumerate().map(ask).collect();
    tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect()
}

/// Clients that each ask again as soon as they are answered: which query each asked, and how long it waited.
fn clients(runtime: &Runtime, queries: &[Query], pages: usize) -> Vec<(usize, Duration)> {
    let client = |number: u32| {
        let queries = queries.to_vec();
        async move {
            let mut waits = Vec::with_capacity(pages);
            for (place, query) in queries.iter().enumerate().cycle().skip(number as usize).take(pages) {
                let asked = Instant::now();
                query.page().await.unwrap();
                waits.push((place, asked.elapsed()));
                // The others come first.
                tokio::task::yield_now().await;
            }
            waits
        }
    };
    let tasks: Vec<_> = (0..CLIENTS).map(|number| runtime.spawn(client(number))).collect();
    tasks.into_iter().flat_map(|task| runtime.block_on(task).unwrap()).collect()
}
