//! What queries hold stays within the settings, however many there are and however many segments they look at.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use flowseek::{
    Archive, Filter, Order, Settings,
    archive::SegmentOptions,
    filter,
    flow::Field,
    order::{Direction, SortKey},
    query::{Budget, Count, FlowTable},
    schema::Flows,
};
use tokio::runtime::Builder;

use crate::{
    kept::{Place, commit},
    ten_thousand::{fixture, some},
};

const SEGMENTS: i64 = 600;
const CLIENTS: i64 = 64;

fn settings(place: &Place) -> Settings {
    place
        .settings(2)
        .segment(SegmentOptions::default().block_rows(8).row_group_blocks(1))
        .segment_rows(2)
        .index_cache_bytes(2 << 20)
        .page_cache_bytes(1 << 20)
}

/// Asserts that an archive holds no more than its settings allow.
fn assert_within(archive: &Archive) {
    let (memory, settings) = (archive.memory(), archive.settings());
    assert!(memory.index_bytes <= settings.index_cache_bytes, "{memory:?}");
    assert!(memory.page_bytes <= settings.page_cache_bytes, "{memory:?}");
}

/// Runs `work`, and asserts all the while that an archive holds no more than its settings allow, and in the end that it
/// came near to that.
fn stays_within(archive: &Archive, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                assert_within(archive);
                most = most.max(archive.memory().index_bytes);
                std::thread::yield_now();
            }
            most
        });
        let worked = catch_unwind(AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap();
        worked.unwrap_or_else(|panic| resume_unwind(panic));
        assert!(most > 1 << 19, "the caches were hardly used");
    });
}

#[test]
fn many_clients_over_many_segments_hold_no_more_than_the_settings_allow() {
    let place = Place::new();
    let archive = Archive::open_or_create_with(&place.path, settings(&place)).unwrap();
    commit(&archive, 0..2 * SEGMENTS);
    assert_eq!(archive.snapshot().unwrap().manifest().segments.len() as i64, SEGMENTS);
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let ask = |client: i64| {
        let archive = archive.clone();
        async move {
            let by_name = SortKey { field: Field::SrcNode, direction: Direction::Descending };
            let (filter, order) = match client % 5 {
                0 => (filter::src_node().eq("node-3"), Order::new([by_name], Direction::Ascending)),
                1 | 3 => (filter::dst_port().within(100..), Order::newest_first()),
                _ => (Filter::all(), Order::new([by_name], Direction::Descending)),
            };
            let budget = Budget::default().time(Duration::from_secs(600));
            if client % 5 == 4 {
                let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
                context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
                let table = context.table("flows").await.unwrap();
                // No order of flows: all partitions of the table are open at the same time.
                let sort = vec![(col("flow_id") % lit(2u64)).sort(true, true), col("flow_id").sort(true, true)];
                let batches = table.sort(sort).unwrap().collect().await.unwrap();
                return batches
                    .iter()
                    .flat_map(|batch| Flows::new(batch).unwrap().iter().collect::<Vec<_>>())
                    .collect();
            }
            let query = archive.snapshot().unwrap().query(filter).order(order).limit(300).budget(budget);
            query.page().await.unwrap().flows().unwrap()
        }
    };
    stays_within(&archive, || {
        let alone: Vec<_> = (0..5).map(|client| runtime.block_on(ask(client))).collect();
        let clients: Vec<_> = (0..CLIENTS).map(|client| runtime.spawn(ask(client))).collect();
        for (client, answer) in clients.into_iter().enumerate() {
            assert_eq!(runtime.block_on(answer).unwrap(), alone[client % 5]);
        }
    });
}

/// What a client of a kind is answered of ten thousand segments: flows, their number, or the groups of a summary. Each
/// opens some hundred segments, more than there is memory for.
async fn ask(archive: Archive, kind: i64) -> String {
    let few = Budget::new(300, Duration::MAX);
    let by_name = SortKey { field: Field::SrcNode, direction: Direction::Descending };
    let by_name = Order::new([by_name], Direction::Ascending);
    let snapshot = archive.snapshot().unwrap();
    let (filter, order) = match kind {
        0 => (filter::src_node().eq("node-3"), by_name),
        1 => (filter::dst_port().within(100..), Order::newest_first()),
        2 => (Filter::all(), by_name),
        3 => (some(), Order::oldest_first()),
        4 => {
            let patient = Budget::default().time(Duration::from_secs(600));
            let counted = snapshot.query(some()).limit(0).count(Count::Exact).budget(patient).page().await;
            return format!("{:?}", counted.unwrap().total);
        }
        _ => {
            let summary = snapshot.summarize(some()).by([Field::SrcIp]).budget(few).summary().await;
            return format!("{:?}", summary.unwrap().groups);
        }
    };
    let page = snapshot.query(filter).order(order).limit(300).count(Count::None).budget(few).page().await;
    format!("{:?}", page.unwrap().flows().unwrap())
}

#[test]
fn many_clients_over_ten_thousand_segments_hold_no_more_than_the_settings_allow() {
    let settings = Settings::default().index_cache_bytes(2 << 20).page_cache_bytes(1 << 20);
    let archive = Archive::open_with(&fixture().path, settings).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    stays_within(&archive, || {
        let alone: Vec<_> = (0..6).map(|kind| runtime.block_on(ask(archive.clone(), kind))).collect();
        let clients = (0..CLIENTS).map(|client| (client % 6, runtime.spawn(ask(archive.clone(), client % 6))));
        for (kind, answer) in clients.collect::<Vec<_>>() {
            assert_eq!(runtime.block_on(answer).unwrap(), alone[kind as usize]);
        }
    });
}
