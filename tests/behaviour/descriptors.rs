//! Few file descriptors: an archive of many small segments does everything it does with many.

use std::{env, fs, process::Command, time::Duration};

use flowseek::{
    Archive, Filter, Order, Settings,
    archive::SegmentOptions,
    archive::{Depth, Effort, Retention},
    filter,
    flow::{Field, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, FlowTable},
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    child,
    kept::{Place, commit, flow, ids},
    support::{block_on, oracle},
    ten_thousand::{fixture, flows, some},
};

/// However busy the machine is.
const PATIENT: Budget = Budget::new(u64::MAX, Duration::MAX);
const SEGMENTS: i64 = 1200;
const DESCRIPTORS: u64 = 64;

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs an ignored test on an archive of 1,200 segments, in a process that may have 64 descriptors.
fn in_a_process_of_few_descriptors(test: &str) {
    let place = Place::new();
    let archive = place.archive(1);
    commit(&archive, 0..SEGMENTS);
    assert_eq!(archive.snapshot().unwrap().manifest().segments.len() as i64, SEGMENTS);
    drop(archive);
    in_a_child(test, &place);
}

/// Runs an ignored test on an archive, in a process that may have 64 descriptors.
fn in_a_child(test: &str, place: &Place) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(child::arguments(test));
    child::give_task(&mut command, &[place.path.to_str().unwrap()]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(child::said(&told).collect::<Vec<_>>(), ["done"]);
}

fn limited() -> Option<Archive> {
    let task = child::task()?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) }).unwrap();
    let settings =
        Settings::default().segment(SegmentOptions::default().block_rows(16).row_group_blocks(1)).segment_rows(100);
    Some(Archive::open_with(&task[0], settings).unwrap())
}

#[test]
fn every_query_is_answered() {
    in_a_process_of_few_descriptors("descriptors::queries");
}

#[test]
#[ignore = "run by every_query_is_answered"]
fn queries() {
    let Some(archive) = limited() else { return };
    let snapshot = archive.snapshot().unwrap();
    let all = block_on(snapshot.query(Filter::all()).limit(2000).budget(PATIENT).page()).unwrap().flows().unwrap();
    assert_eq!(all.len() as i64, SEGMENTS);
    for field in Field::all() {
        for direction in [Direction::Ascending, Direction::Descending] {
            let order = Order::new([SortKey { field, direction }], direction);
            for filter in [Filter::all(), filter::src_node().eq("node-3"), filter::dst_port().within(100..=103)] {
                let query =
                    snapshot.query(filter.clone()).order(order.clone()).limit(50).count(Count::Exact).budget(PATIENT);
                let page = block_on(query.page()).unwrap();
                let mut expected = oracle(&all, &filter, &order);
                assert_eq!(page.total, Some(expected.len() as u64));
                expected.truncate(50);
                assert_eq!(page.flows().unwrap(), expected, "{field:?} {direction:?}");
            }
        }
    }
    assert!(open_descriptors() < 40 && archive.memory().open_files <= 16);
    // Whoever reads nothing has nothing open.
    drop(snapshot);
    assert_eq!(archive.memory().open_files, 0);
    child::say("done");
}

#[test]
fn sql_reads_every_segment() {
    in_a_process_of_few_descriptors("descriptors::sql");
}

#[test]
#[ignore = "run by sql_reads_every_segment"]
fn sql() {
    let Some(archive) = limited() else { return };
    let context = datafusion::prelude::SessionContext::new();
    context.register_table("flows", std::sync::Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
    let sum = "SELECT count(*) AS rows, sum(CAST(dst_port AS BIGINT)) AS ports FROM flows WHERE dst_port >= 0";
    let batches = block_on(async { context.sql(sum).await.unwrap().collect().await.unwrap() });
    let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    let ports: i64 = (0..SEGMENTS).map(|start| start % 1000).sum();
    assert!(shown.contains(&SEGMENTS.to_string()) && shown.contains(&ports.to_string()), "{shown}");
    child::say("done");
}

#[test]
fn segments_are_merged_retained_verified_and_repaired() {
    in_a_process_of_few_descriptors("descriptors::changes");
}

#[test]
#[ignore = "run by segments_are_merged_retained_verified_and_repaired"]
fn changes() {
    let Some(archive) = limited() else { return };
    let sound = |flows: i64| {
        let report = Archive::verify(archive.path(), Depth::Rows, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
        let page =
            block_on(archive.snapshot().unwrap().query(Filter::all()).limit(2000).budget(PATIENT).page()).unwrap();
        assert_eq!(ids(&page.flows().unwrap()).len() as i64, flows);
    };
    sound(SEGMENTS);
    let before = Some(Timestamp::from_millis(100).unwrap());
    let writer = archive.writer().unwrap();
    let retained = writer.retain(Retention::default().before(before).exact(true)).unwrap();
    assert_eq!(retained.rows, 100);
    let compactor = writer.compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop((compactor, writer));
    assert!(archive.snapshot().unwrap().manifest().segments.len() < 20);
    let mut appender = archive.appender().unwrap();
    (0..150).for_each(|start| appender.push(&flow(SEGMENTS + start)).unwrap());
    let _ = appender.commit().unwrap();
    drop(appender);
    sound(SEGMENTS + 50);
    let repaired = Archive::repair(archive.path(), Settings::default(), &mut |_| {}).unwrap();
    assert!(repaired.lost.is_empty() && repaired.rebuilt.is_empty() && repaired.quarantined.is_empty());
    sound(SEGMENTS + 50);
    child::say("done");
}

/// A copy of the archive of ten thousand segments.
fn linked() -> Place {
    let place = Place::new();
    for folder in ["data", "manifests", "retired"] {
        fs::create_dir_all(place.path.join(folder)).unwrap();
        let Ok(entries) = fs::read_dir(fixture().path.join(folder)) else { continue };
        for file in entries.map(|entry| entry.unwrap()) {
            // Nothing is ever written into a file that is there.
            let (from, to) = (file.path(), place.path.join(folder).join(file.file_name()));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        }
    }
    place
}

#[test]
fn ten_thousand_segments_are_no_different() {
    in_a_child("descriptors::ten_thousand", &linked());
}

#[test]
#[ignore = "run by ten_thousand_segments_are_no_different"]
fn ten_thousand() {
    let Some(archive) = limited() else { return };
    let snapshot = archive.snapshot().unwrap();
    for field in [Field::StartTime, Field::DstBytes, Field::SrcNode] {
        let order = Order::new([SortKey { field, direction: Direction::Descending }], Direction::Ascending);
        let page = block_on(snapshot.query(Filter::all()).order(order).limit(50).page()).unwrap();
        assert_eq!(page.batch.num_rows(), 50);
    }
    let expected = flows().filter(|flow| some().matches(flow)).count() as u64;
    let counted = block_on(snapshot.query(some()).limit(0).count(Count::Exact).page()).unwrap();
    assert_eq!(counted.total, Some(expected));
    let summary = block_on(snapshot.summarize(some()).by([Field::Protocol]).summary()).unwrap();
    assert!(summary.is_complete() && summary.totals.flows == expected);
    drop(snapshot);
    let context = flowseek::query::session(datafusion::prelude::SessionConfig::new());
    context.register_table("flows", std::sync::Arc::new(FlowTable::live(archive.clone()))).unwrap();
    let sql = "SELECT protocol, sum(src_bytes) FROM flows WHERE dst_bytes BETWEEN 10 AND 12 GROUP BY protocol";
    let groups = block_on(async { context.sql(sql).await.unwrap().collect().await.unwrap() });
    assert_eq!(groups.iter().map(|batch| batch.num_rows()).sum::<usize>(), summary.groups.len());
    drop(context);
    assert!(open_descriptors() < 40 && archive.memory().open_files <= 16);
    let report = Archive::verify(archive.path(), Depth::Bytes, &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.segments as i64 == 10_000, "{report:?}");
    let writer = archive.writer().unwrap();
    let before = Some(Timestamp::from_millis(190_000).unwrap());
    let retained = writer.retain(Retention::default().before(before).exact(true)).unwrap();
    assert_eq!(retained.rows, flows().filter(|flow| Some(flow.flow.start_time) < before).count() as u64);
    let left = archive.snapshot().unwrap().manifest().segments.len();
    assert!(writer.compactor().run_once(Effort::Background).unwrap().is_some());
    assert!(archive.snapshot().unwrap().manifest().segments.len() < left);
    assert!(open_descriptors() < 40);
    child::say("done");
}
