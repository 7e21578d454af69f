//! A day of a server of 5,000 flows and a commit each second, made smaller with the same shape.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use flowseek::{
    Archive, Filter, Flow, Order, Settings, Snapshot,
    archive::SegmentOptions,
    filter,
    flow::{Address, Timestamp},
    generate::Generator,
    ingest::{LiveAppender, LiveOptions},
    query::Explain,
};
use tokio::time::sleep;

use crate::{
    folder::Folder,
    hooked::{Hooked, Step},
    support::{assert_sound, block_on},
};

const HOURS: u64 = 24;
const HOUR_MILLIS: i64 = 3_600_000;
/// The beginning: 2025-01-01T00:00:00Z.
const BEGIN: i64 = 1_735_689_600_000;
/// Commits of an hour. A real hour has 3,600, each of 5,000 flows.
const COMMITS: u64 = 60;
const COMMIT_FLOWS: u64 = 16;
/// As many commits as make a segment: a real one has 420.
const SEGMENT_ROWS: usize = 64 * COMMIT_FLOWS as usize;
/// Segments that are not large, at most: of the newest flows, and beside each large one those of late flows.
const SMALL_SEGMENTS: (u64, u64) = (32, 3);

/// A file system that counts the bytes that are written of segments.
fn counting(written: &Arc<AtomicU64>) -> Hooked {
    let written = Arc::clone(written);
    Hooked::new(move |path, step| {
        if let Step::Write(bytes) = step
            && path.to_string_lossy().contains(".parquet")
        {
            written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Ok(())
    })
}

/// The flows of a day in the order of their ends, which is not quite that of their starts.
fn flows() -> impl Iterator<Item = Flow> {
    let count = HOURS * COMMITS * COMMIT_FLOWS;
    (0..).zip(Generator::new(7).flows(count)).map(move |(number, flow)| {
        let end = BEGIN + (number * HOURS * HOUR_MILLIS as u64 / count) as i64;
        // Now and then one has lasted an hour, and comes late by as much.
        let lasted = match number % 50 {
            7 => HOUR_MILLIS,
            _ => flow.end_time.map_or(0, |end| end.as_millis() - flow.start_time.as_millis()),
        };
        let time = |millis| Timestamp::from_millis(millis).unwrap();
        // Three flows of the first hour.
        let src_ip = if (100..103).contains(&number) { Some(needle()) } else { flow.src_ip };
        Flow { end_time: flow.end_time.map(|_| time(end)), src_ip, ..Flow { start_time: time(end - lasted), ..flow } }
    })
}

fn needle() -> Address {
    "2001:db8::7".parse().unwrap()
}

/// What the newest 20 flows that pass a filter cost, and how many there are.
async fn cost(snapshot: &Snapshot, filter: Filter) -> (usize, Explain) {
    let page = snapshot.query(filter).order(Order::newest_first()).limit(20).page().await.unwrap();
    (page.batch.num_rows(), page.explain)
}

/// Waits until nothing is left to be merged.
async fn settle(appender: &LiveAppender) {
    let begin = Instant::now();
    while appender.status().is_busy {
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", appender.status());
        sleep(Duration::from_micros(200)).await;
    }
}

/// What holds at the end of every hour.
async fn check(hour: u64, reader: &Archive) {
    let snapshot = reader.snapshot().unwrap();
    let (segments, rows) = (&snapshot.manifest().segments, snapshot.manifest().rows());
    assert_eq!(rows, (hour + 1) * COMMITS * COMMIT_FLOWS);
    let large = segments.iter().filter(|segment| segment.rows * 2 >= SEGMENT_ROWS as u64).count() as u64;
    let small = segments.len() as u64 - large;
    let (newest, late) = SMALL_SEGMENTS;
    let few = large <= rows * 2 / SEGMENT_ROWS as u64 && small <= newest + late * large;
    assert!(few, "hour {hour}: {large} large segments and {small} small ones");

    let (flows, newest) = cost(&snapshot, Filter::all()).await;
    assert_eq!(flows, 20);
    let (flows, needle) = cost(&snapshot, filter::src_ip().any_of([needle()])).await;
    assert_eq!(flows, 3);
    // In the last hour as in the first. Only how many indexes a rare address is looked up in grows with the archive.
    for explain in [newest, needle] {
        assert!(explain.blocks_read <= 4 && explain.rows_scanned <= 128, "hour {hour}: {explain}");
        assert_eq!(explain.segments, segments.len() as u64);
    }
    let (memory, settings) = (reader.memory(), reader.settings());
    assert!(memory.index_bytes <= settings.index_cache_bytes, "hour {hour}: {memory:?}");
    assert!(memory.page_bytes <= settings.page_cache_bytes, "hour {hour}: {memory:?}");
}

#[test]
fn a_day_of_flows_leaves_few_segments_and_pages_that_cost_the_same_at_its_end() {
    let directory = Folder::new();
    let written = Arc::new(AtomicU64::new(0));
    let settings = Settings::default()
        .segment(SegmentOptions::default().block_rows(64).row_group_blocks(8))
        .segment_rows(SEGMENT_ROWS)
        .storage(Arc::new(counting(&written)))
        .index_cache_bytes(1 << 20)
        .page_cache_bytes(1 << 20);
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings.clone()).unwrap();
    // As another process would have it, all day.
    let reader = Archive::open_with(archive.path(), settings).unwrap();
    let status = block_on(async {
        let options = LiveOptions::default().flush_age(Duration::MAX);
        let appender = archive.live_appender(options).unwrap();
        let mut flows = flows();
        for hour in 0..HOURS {
            for commit in 0..COMMITS {
                appender.append(flows.by_ref().take(COMMIT_FLOWS as usize)).await.unwrap();
                let _ = appender.commit().await.unwrap();
                // Merging may lag, as it does in a server, though not for minutes, as on a machine that is too busy.
                if commit % 8 == 7 {
                    settle(&appender).await;
                }
            }
            check(hour, &reader).await;
        }
        let status = appender.status();
        let _ = appender.close().await.unwrap();
        status
    });
    assert_eq!(status.failures, 0, "{:?}", status.failure);
    assert_sound(reader.path());
    let rows = HOURS * COMMITS * COMMIT_FLOWS;
    let live: u64 = reader.snapshot().unwrap().manifest().segments.iter().map(|segment| segment.bytes).sum();
    let written = written.load(Ordering::Relaxed);
    println!("bytes written: {:.1} times those that are left", written as f64 / live as f64);
    assert!(status.rewritten <= 4 * rows, "{} of {rows} flows were written again", status.rewritten);
}
