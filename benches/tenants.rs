//! Many tenants in one archive, whose flows compaction divides into groups: pages of one tenant, alone and beside others, with cold and warm caches, and while flows come in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::{fixture, measure, report::Report};
use flowseek::{
    Archive, Field, Filter, Flow, LiveOptions, Order,
    archive::{Effort, Partition},
    filter,
    generate::Generator,
    order::{Direction, SortKey},
    query::{Count, Query},
};
use serde_json::json;
use tokio::runtime::Runtime;

const TENANTS: u64 = 50;
const NODES: u64 = 10;
const GROUPS: u16 = 64;
/// A file that says that the archive is complete.
const DIVIDED: &str = "bench-divided";
/// Flows that come in a second, in calls of 250.
const RATE: u64 = 19_000;
const CALL: usize = 250;

fn main() {
    let runtime = Runtime::new().unwrap();
    let flows = fixture::flows_or(11_400_000);
    let archive = archive(flows);
    let mut report = Report::new();
    println!("{flows} flows of {TENANTS} tenants, pages of 1,000 of a tenant, in ms");
    println!("{:28} {:>10} {:>10} {:>16} {:>16}", "", "cold", "warm", "8 at once, cold", "8 at once, warm");
    for (name, order) in orders() {
        let cold = measure::median(
            (0..measure::runs(Duration::from_secs(1)) as u64)
                .map(|tenant| {
                    let archive = fixture::reopened(&archive);
                    measure::time(|| ask(&runtime, &[page(&archive, tenant, &order)]))
                })
                .collect(),
        );
        let query = page(&archive, 7, &order);
        let warm = measure::in_turn(&mut [|| ask(&runtime, std::slice::from_ref(&query))])[0];
        let fresh = fixture::reopened(&archive);
        let eight: Vec<_> = (0..8).map(|tenant| page(&fresh, tenant * 6, &order)).collect();
        let together = [0, 1].map(|_| measure::time(|| ask(&runtime, &eight)));
        let millis = [cold, warm, together[0], together[1]].map(measure::millis);
        println!("{name:28} {:>10} {:>10} {:>16} {:>16}", millis[0], millis[1], millis[2], millis[3]);
        let millis = [cold, warm, together[0], together[1]].map(|time| time.as_secs_f64() * 1e3);
        report.line(&json!({"suite": "tenants", "name": name, "flows": flows, "flowseek_ms": millis}));
    }
    let (pages, late) = under_ingestion(&runtime, &archive);
    println!("while {RATE} flows/s come in: {} pages, p50 {} ms, p99 {} ms", pages, late[0], late[1]);
    report.line(&json!({"suite": "tenants", "name": "under ingestion", "p50_ms": late[0], "p99_ms": late[1]}));
}

fn orders() -> [(&'static str, Order); 4] {
    let by = |field| Order::new([SortKey { field, direction: Direction::Descending }], Direction::Descending);
    [
        ("newest", Order::newest_first()),
        ("destBytes:desc", by(Field::DstBytes)),
        ("sourceIP:desc", by(Field::SrcIp)),
        ("destPort:desc", by(Field::DstPort)),
    ]
}

fn tenant(tenant: u64) -> Filter {
    filter::node_id().any_of((0..NODES).map(|node| format!("tenant-{tenant}/{node}")))
}

fn page(archive: &Archive, number: u64, order: &Order) -> Query {
    let query = archive.snapshot().unwrap().query(tenant(number % TENANTS)).order(order.clone());
    query.limit(1000).count(Count::None)
}

/// All at once, to the last.
fn ask(runtime: &Runtime, queries: &[Query]) {
    runtime.block_on(async {
        let tasks: Vec<_> =
            queries.iter().cloned().map(|query| tokio::spawn(async move { query.page().await.unwrap() })).collect();
        for task in tasks {
            assert!(task.await.unwrap().batch.num_rows() > 0);
        }
    });
}

/// Flows of all tenants, in turn.
fn flows_of_tenants(flows: u64) -> impl Iterator<Item = Flow> {
    let name = |n: u64| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        format!("tenant-{}/{}", mixed % TENANTS, mixed / TENANTS % NODES)
    };
    (0..).zip(Generator::new(7).flows(flows)).map(move |(n, flow)| Flow { node_id: Some(name(n)), ..flow })
}

/// The archive, made once.
fn archive(flows: u64) -> Archive {
    let path = fixture::directory().join(format!("tenants-{flows}-{GROUPS}"));
    if let Ok(archive) = Archive::open(&path)
        && archive.snapshot().is_ok_and(|snapshot| snapshot.manifest().rows() == flows && path.join(DIVIDED).exists())
    {
        return archive;
    }
    let archive = fixture::create(&path);
    let mut appender = archive.appender().unwrap();
    flows_of_tenants(flows).for_each(|flow| appender.push(&flow).unwrap());
    let _ = appender.commit().unwrap();
    drop(appender);
    let writer = archive.writer().unwrap();
    let _ = writer.partition(Partition::by_node(GROUPS).up_to("/")).unwrap();
    while writer.compactor().run_once(Effort::Thorough).unwrap().is_some() {}
    drop(writer);
    std::fs::write(path.join(DIVIDED), "").unwrap();
    archive
}

/// Pages of all kinds by 4 clients while flows come in: how many, and the median and the 99th percentile of their times, in
/// milliseconds.
fn under_ingestion(runtime: &Runtime, archive: &Archive) -> (usize, [f64; 2]) {
    let copy = fixture::written_to(archive);
    let time = Duration::from_secs(if measure::is_bench() { 60 } else { 1 });
    let stopped = Arc::new(AtomicBool::new(false));
    let appender = {
        let _runtime = runtime.enter();
        copy.live_appender(LiveOptions::default().flush_age(Duration::from_millis(250))).unwrap()
    };
    let pushing = {
        let (stopped, appender) = (Arc::clone(&stopped), appender.clone());
        runtime.spawn(async move {
            let mut flows = flows_of_tenants(u64::MAX / 2);
            let pause = Duration::from_secs(CALL as u64) / RATE as u32;
            let mut due = tokio::time::Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let call: Vec<Flow> = flows.by_ref().take(CALL).collect();
                appender.append(&call).await.unwrap();
                due += pause;
                tokio::time::sleep_until(due).await;
            }
        })
    };
    let clients: Vec<_> = (0..4)
        .map(|client: u64| {
            let copy = copy.clone();
            runtime.spawn(async move {
                let (begin, mut times) = (Instant::now(), Vec::new());
                for number in client.. {
                    if begin.elapsed() > time {
                        break;
                    }
                    let (_, order) = &orders()[number as usize % 4];
                    let query = page(&copy, number * 7, order);
                    let asked = Instant::now();
                    query.page().await.unwrap();
                    times.push(asked.elapsed());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                times
            })
        })
        .collect();
    let times: Vec<Duration> = clients.into_iter().flat_map(|client| runtime.block_on(client).unwrap()).collect();
    stopped.store(true, Ordering::Relaxed);
    runtime.block_on(pushing).unwrap();
    let _ = runtime.block_on(appender.shutdown(Duration::from_secs(60)));
    let quantile = |share| measure::quantile(times.clone(), share).as_secs_f64() * 1e3;
    (times.len(), [quantile(0.5), quantile(0.99)])
}
