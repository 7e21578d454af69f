//! Pages, beside the same question to plain DataFusion SQL over the same files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    cases::{Case, cases},
    fixture, measure,
};
use datafusion::{
    arrow::{array::AsArray, datatypes::UInt64Type},
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use flowseek::{
    Snapshot,
    generate::{CHUNK_FLOWS, Generator},
    query::{Page, Query, Start},
    wire::Request,
};
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let flows = fixture::flows();
    let archive = fixture::archive(flows);
    let snapshot = archive.snapshot().unwrap();
    let context = runtime.block_on(session(archive.path()));
    let sample = runtime.block_on(sample(&snapshot, flows));
    let samples = if measure::is_bench() { 31 } else { 1 };
    let manifest = snapshot.manifest();
    println!(
        "{flows} flows in {} segments, {:.2} bytes a flow",
        manifest.segments.len(),
        manifest.bytes() as f64 / flows as f64
    );
    println!(
        "{:34} {:>10} {:>10} {:>7} {:>7} {:>9}",
        "limit 100, warm, medians in ms", "flowseek", "SQL", "ratio", "blocks", "scanned"
    );
    for case in cases(&sample) {
        let (query, sql) = runtime.block_on(prepared(&snapshot, &case));
        let page = runtime.block_on(query.page()).unwrap();
        let ids = || runtime.block_on(ids(&context, &sql));
        // First the right answer, then the time it takes.
        let found: Vec<u64> = page.flows().unwrap().iter().map(|flow| flow.id.get()).collect();
        assert_eq!(found, ids(), "{}", case.name);
        let samples = samples.min(if page.explain.search_time.as_millis() > 100 { 5 } else { samples });
        let ours = || drop::<Page>(runtime.block_on(query.page()).unwrap());
        // The other side may take seconds: the fewest runs that have a median.
        let slow = measure::time(|| drop(ids())).as_millis() > 500;
        let (ours, theirs) = measure::in_turn(if slow { samples.min(3) } else { samples }, ours, || drop(ids()));
        println!(
            "{:34} {:>10} {:>10} {:>7.1} {:>7} {:>9}",
            case.name,
            measure::millis(ours),
            measure::millis(theirs),
            theirs.as_secs_f64() / ours.as_secs_f64(),
            page.explain.blocks_read,
            page.explain.rows_scanned
        );
    }
}

/// DataFusion as its users have it, with predicate pushdown on.
async fn session(archive: &std::path::Path) -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().execution.parquet.pushdown_filters = true;
    let context = SessionContext::new_with_config(config);
    let data = format!("{}/", archive.join("data").display());
    context.register_parquet("flows", data, ParquetReadOptions::default()).await.unwrap();
    context
}

/// A flow from the midst of the archive, with an address that few have.
async fn sample(snapshot: &Snapshot, flows: u64) -> flowseek::StoredFlow {
    let chunk = Generator::new(7).chunk(flows / 2 / CHUNK_FLOWS as u64);
    let external = |flow: &&flowseek::Flow| {
        flow.src_ip.is_some_and(|ip| ip.to_ip().is_ipv4() && !ip.to_string().starts_with("10."))
    };
    let flow = chunk.iter().filter(external).find(|flow| flow.node_id.is_some()).expect("a flow from outside");
    let same = flowseek::filter::src_ip().within(flow.src_ip.unwrap());
    let page = snapshot.query(same).limit(1).page().await.unwrap();
    page.flows().unwrap().remove(0)
}

/// The query at its page, and the SQL for the same rows.
async fn prepared(snapshot: &Snapshot, case: &Case) -> (Query, String) {
    let request = Request::parse(&case.query).unwrap();
    let mut query = request.query(snapshot);
    for _ in 0..case.pages_before {
        match query.page().await.unwrap().next {
            Some(next) => query = query.start(Start::At(next)),
            None => break,
        }
    }
    let skipped = case.pages_before.min(count_pages(&request, snapshot).await) * request.limit;
    let (condition, order) = &case.sql;
    let sql =
        format!("SELECT * FROM flows WHERE {condition} ORDER BY {order} LIMIT {} OFFSET {skipped}", request.limit);
    (query, sql)
}

/// The number of the last page, from 0 on.
async fn count_pages(request: &Request, snapshot: &Snapshot) -> usize {
    let counted = request.query(snapshot).limit(0).count(flowseek::query::Count::Exact).page().await.unwrap();
    let total = usize::try_from(counted.total.unwrap()).unwrap();
    total.saturating_sub(1) / request.limit
}

async fn ids(context: &SessionContext, sql: &str) -> Vec<u64> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let columns = batches.iter().map(|batch| batch.column_by_name("flow_id").unwrap().as_primitive::<UInt64Type>());
    columns.flat_map(|column| column.values().iter().copied().collect::<Vec<_>>()).collect()
}
