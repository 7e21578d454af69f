//! A running appender keeps its archive in order: merging, removing, and telling what of it has failed.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flowseek::{
    Archive, ErrorKind, Settings,
    archive::Effort,
    flow::Timestamp,
    ingest::{LiveAppender, LiveOptions, LiveStatus},
    resources::Clock,
};
use tokio::time::sleep;

use crate::{
    clock::ManualClock,
    hooked::{Hooked, Step},
    kept::{Place, flow, now},
    support::block_on,
};

/// Far longer than anything here takes: only what never ends is ended by it.
const LONG: Duration = Duration::from_secs(60);

/// Commits for nobody but who asks.
fn options() -> LiveOptions {
    LiveOptions::default().flush_age(Duration::MAX)
}

async fn commit(appender: &LiveAppender, starts: impl IntoIterator<Item = i64>) {
    appender.append(starts.into_iter().map(flow)).await.unwrap();
    let _ = appender.commit().await.unwrap();
}

async fn status_when(appender: &LiveAppender, is_so: impl Fn(&LiveStatus) -> bool) -> LiveStatus {
    let begin = Instant::now();
    loop {
        let status = appender.status();
        if is_so(&status) {
            return status;
        }
        assert!(begin.elapsed() < LONG, "{status:?}");
        sleep(Duration::from_millis(1)).await;
    }
}

async fn settled(appender: &LiveAppender) -> LiveStatus {
    status_when(appender, |status| !status.is_busy).await
}

fn rows(archive: &Archive) -> u64 {
    archive.snapshot().unwrap().manifest().rows()
}

fn segments(archive: &Archive) -> usize {
    archive.snapshot().unwrap().manifest().segments.len()
}

#[test]
fn small_segments_are_merged_by_themselves_and_no_flow_changes() {
    let place = Place::new();
    let archive = place.archive(100);
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        for first in 0..200 {
            commit(&appender, [first, first + 3]).await;
        }
        let status = settled(&appender).await;
        assert!(segments(&archive) < 30, "{} segments", segments(&archive));
        let merged_away = status.merged - status.written;
        assert_eq!(200 - merged_away, segments(&archive) as u64, "{status:?}");
        assert!(status.rewritten >= 400 && status.removed == 0 && status.failures == 0, "{status:?}");
        let _ = appender.close().await.unwrap();
    });
    let mut expected: Vec<(Timestamp, u64)> = (0..200)
        .flat_map(|first| [(first, first * 2 + 1), (first + 3, first * 2 + 2)])
        .map(|(start, id)| (Timestamp::from_millis(start).unwrap(), id as u64))
        .collect();
    expected.sort_unstable();
    let found = now(&archive).into_iter().map(|stored| (stored.flow.start_time, stored.id.get()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

#[test]
fn what_was_left_small_earlier_is_merged_at_the_start() {
    let place = Place::new();
    let archive = place.archive(100);
    (0..20).for_each(|start| crate::kept::commit(&archive, [start]));
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        assert_eq!(settled(&appender).await.merged, 20);
    });
    assert_eq!(segments(&archive), 1);
}

#[test]
fn without_compaction_segments_stay_as_they_were_committed() {
    let place = Place::new();
    let archive = place.archive(100);
    block_on(async {
        let appender = archive.live_appender(options().compaction(None)).unwrap();
        for start in 0..20 {
            commit(&appender, [start]).await;
        }
        let status = appender.status();
        assert!(!status.is_busy && status.merged == 0, "{status:?}");
        let _ = appender.close().await.unwrap();
    });
    assert_eq!(segments(&archive), 20);
}

#[test]
fn flows_that_are_too_old_go_and_young_ones_stay() {
    let place = Place::new();
    let archive = place.archive(100);
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let keep = Some(Duration::from_secs(3600));
    block_on(async {
        let appender = archive.live_appender(options().keep(keep)).unwrap();
        commit(&appender, [1, 2, today - 7_200_000]).await;
        commit(&appender, [today]).await;
        // Late ones too.
        commit(&appender, [3]).await;
        assert_eq!(settled(&appender).await.removed, 4);
        let _ = appender.close().await.unwrap();
    });
    let starts: Vec<i64> = now(&archive).iter().map(|stored| stored.flow.start_time.as_millis()).collect();
    assert_eq!(starts, [today]);
}

/// The system's clock, so far ahead.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.0
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

#[test]
fn a_clock_that_jumps_ahead_removes_nothing_that_is_young_beside_the_newest_flow() {
    let place = Place::new();
    let years = Duration::from_secs(40 * 365 * 86_400);
    let settings = place.settings(100).clock(Arc::new(Ahead(years)));
    let archive = Archive::open_or_create_with(&place.path, settings).unwrap();
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let keep = Some(Duration::from_secs(3600));
    block_on(async {
        let appender = archive.live_appender(options().keep(keep)).unwrap();
        commit(&appender, [today - 7_200_000]).await;
        commit(&appender, [today - 3_000_000]).await;
        commit(&appender, [today]).await;
        let status = status_when(&appender, |status| status.removed > 0 && !status.is_busy).await;
        assert_eq!((status.removed, status.failures), (1, 0), "{status:?}");
        let _ = appender.close().await.unwrap();
    });
    assert_eq!(now(&archive).len(), 2);
}

#[test]
fn an_age_that_reaches_back_before_all_times_removes_nothing() {
    let place = Place::new();
    let archive = place.archive(100);
    block_on(async {
        for keep in [Duration::MAX, Duration::from_secs(1 << 40)] {
            let appender = archive.live_appender(options().keep(keep)).unwrap();
            commit(&appender, [-60_000_000_000_000]).await;
            let status = settled(&appender).await;
            assert!(status.removed == 0 && status.failures == 0, "{status:?}");
            let _ = appender.close().await.unwrap();
        }
    });
    assert_eq!(now(&archive).len(), 2);
}

#[test]
fn the_oldest_go_where_there_are_more_bytes_than_allowed() {
    let place = Place::new();
    let archive = place.archive(10);
    let bytes = |archive: &Archive| -> u64 {
        archive.snapshot().unwrap().manifest().segments.iter().map(|segment| segment.bytes).sum()
    };
    crate::kept::commit(&archive, 0..10);
    let max_bytes = bytes(&archive) * 3;
    block_on(async {
        let appender = archive.live_appender(options().max_bytes(max_bytes)).unwrap();
        for first in 1..10 {
            commit(&appender, first * 10..first * 10 + 10).await;
            let removed = settled(&appender).await.removed;
            assert!(bytes(&archive) <= max_bytes);
            let snapshot = archive.snapshot().unwrap();
            let oldest = snapshot.manifest().segments.iter().map(|segment| segment.start_time.0).min();
            assert_eq!(oldest, Some(removed as i64));
        }
        assert!(appender.status().removed >= 50);
    });
}

/// Holds up, or fails, whatever the thread besides writes as a segment.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_shut: bool,
    is_full: bool,
    /// Whether somebody stands before it.
    is_held: bool,
}

#[derive(Clone, Debug, Default)]
struct Gated(Arc<Gate>);

impl Gated {
    fn set(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_all();
    }

    /// Lets a step through, now or later, or fails it.
    fn pass(&self, path: &Path, step: Step) -> io::Result<()> {
        let is_besides = thread::current().name().is_some_and(|name| name.starts_with("flowseek-upkeep"));
        let is_segment = path.parent().is_some_and(|folder| folder.ends_with("data"));
        if step != Step::Create || !is_besides || !is_segment {
            return Ok(());
        }
        self.set(|state| state.is_held = true);
        let state = self.0.state.lock().unwrap();
        let mut state = self.0.changed.wait_timeout_while(state, LONG, |state| state.is_shut).unwrap().0;
        state.is_held = false;
        if state.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Waits until something stands before the gate.
    fn holds(&self) {
        let state = self.0.state.lock().unwrap();
        let (_state, waited) = self.0.changed.wait_timeout_while(state, LONG, |state| !state.is_held).unwrap();
        assert!(!waited.timed_out());
    }
}

fn gated(place: &Place) -> (Archive, Gated) {
    gated_with(place, place.settings(100))
}

fn gated_with(place: &Place, settings: Settings) -> (Archive, Gated) {
    let gate = Gated::default();
    let passed = gate.clone();
    let storage = Hooked::new(move |path, step| passed.pass(path, step));
    let settings = settings.storage(Arc::new(storage));
    (Archive::open_or_create_with(&place.path, settings).unwrap(), gate)
}

#[test]
fn commits_go_on_while_segments_are_being_merged() {
    let place = Place::new();
    let (archive, gate) = gated(&place);
    gate.set(|state| state.is_shut = true);
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        for start in 0..8 {
            commit(&appender, [start]).await;
        }
        gate.holds();
        // The merge is half done, and stays so.
        for start in 8..40 {
            commit(&appender, [start]).await;
        }
        assert_eq!((segments(&archive), rows(&archive)), (40, 40));
        assert!(appender.status().is_busy);
        gate.set(|state| state.is_shut = false);
        assert_eq!(settled(&appender).await.failures, 0);
        assert!(segments(&archive) < 20, "{} segments", segments(&archive));
        assert_eq!(rows(&archive), 40);
    });
}

#[test]
fn a_disk_that_is_too_full_to_merge_fails_no_call_and_is_told_and_tried_again() {
    let place = Place::new();
    let (archive, gate) = gated(&place);
    gate.set(|state| state.is_full = true);
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        for start in 0..20 {
            commit(&appender, [start]).await;
        }
        let status = status_when(&appender, |status| status.failures > 0).await;
        assert!(status.is_busy && status.merged == 0, "{status:?}");
        let error = status.failure.unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("data/") && error.to_string().contains("no storage space"), "{error}");
        commit(&appender, [20]).await;
        assert_eq!(segments(&archive), 21);
        gate.set(|state| state.is_full = false);
        // Nobody commits any more. Of a job that was picked before the last commit, one segment may be left over.
        let status = settled(&appender).await;
        assert!((20..=21).contains(&status.merged), "{status:?}");
        assert_eq!(status.written, 1, "{status:?}");
        assert!(status.failure.is_some(), "what has failed is not forgotten");
        assert_eq!(segments(&archive) as u64, 21 - status.merged + status.written);
        let _ = appender.close().await.unwrap();
    });
    assert_eq!(now(&archive).len(), 21);
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

#[test]
fn how_long_it_waits_after_a_failure_is_told_by_the_clock_of_the_archive() {
    let place = Place::new();
    let clock = ManualClock::new();
    let (archive, gate) = gated_with(&place, place.settings(100).clock(Arc::new(clock.clone())));
    gate.set(|state| state.is_full = true);
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        for start in 0..20 {
            commit(&appender, [start]).await;
        }
        // By the clock of the system the eighth attempt would come after two minutes.
        let failed = status_when(&appender, |status| {
            clock.advance(Duration::from_secs(64));
            status.failures > 7
        });
        assert_eq!(failed.await.merged, 0);
        let _ = appender.close().await.unwrap();
    });
}

#[test]
fn a_damaged_segment_is_told_and_keeps_no_others_from_being_merged() {
    let place = Place::new();
    place.expect_damage();
    let archive = place.archive(100);
    (0..8).for_each(|start| crate::kept::commit(&archive, [start]));
    let damaged = archive.snapshot().unwrap().manifest().segments[3].path.clone();
    let file = OpenOptions::new().write(true).open(place.path.join(&damaged)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        let status = settled(&appender).await;
        assert_eq!((status.merged, status.failures), (0, 1));
        let error = status.failure.unwrap();
        assert!(error.kind() == ErrorKind::Damaged && error.to_string().contains(&damaged), "{error}");
        for start in 8..16 {
            commit(&appender, [start]).await;
        }
        let status = settled(&appender).await;
        assert_eq!((status.merged, status.written, status.failures), (8, 1, 1));
    });
    assert_eq!(segments(&archive), 9);
}

#[test]
fn one_missing_or_unreadable_segment_keeps_no_other_from_being_merged() {
    type Damage = fn(&Path);
    let missing: Damage = |file| fs::remove_file(file).unwrap();
    let refused: Damage = |file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink(file, file).unwrap();
    };
    let cut: Damage = |file| OpenOptions::new().write(true).open(file).unwrap().set_len(700).unwrap();
    for damage in [missing, refused, cut] {
        let place = Place::new();
        place.expect_damage();
        let archive = place.archive(100);
        (0..20).for_each(|start| crate::kept::commit(&archive, [start]));
        let damaged = archive.snapshot().unwrap().manifest().segments[3].path.clone();
        damage(&place.path.join(&damaged));
        block_on(async {
            let appender = archive.live_appender(options()).unwrap();
            for start in 20..60 {
                commit(&appender, [start]).await;
            }
            let status = settled(&appender).await;
            assert!(status.merged >= 50, "{status:?}");
            let error = status.failure.unwrap();
            assert!(error.to_string().contains(&damaged), "{error}");
            assert_eq!(status.failures, 1, "it is told once");
        });
        let manifest = archive.snapshot().unwrap().manifest().clone();
        assert!(manifest.segments.len() < 20, "{} segments", manifest.segments.len());
        assert!(manifest.segments.iter().any(|segment| segment.path == damaged), "it is left for a repair");
        assert_eq!(manifest.rows(), 60);
    }
}

#[test]
fn an_appender_that_ends_leaves_the_archive_free_and_clean_whatever_was_being_merged() {
    let place = Place::new();
    let archive = place.archive(40);
    let mut flows = 0;
    block_on(async {
        for round in 0..20 {
            let options = options().compaction(Effort::Thorough);
            let appender = archive.live_appender(options).unwrap();
            for _ in 0..6 + round % 5 {
                commit(&appender, [flows, flows + 1]).await;
                flows += 2;
            }
            match round % 2 {
                0 => drop(appender),
                _ => drop(appender.close().await.unwrap()),
            }
            drop(archive.appender().unwrap());
        }
    });
    place.assert_clean(&archive);
    assert_eq!(now(&archive).len() as i64, flows);
}

#[test]
fn a_merge_that_is_held_up_holds_up_the_end_and_nothing_is_left_of_it() {
    let place = Place::new();
    let (archive, gate) = gated(&place);
    gate.set(|state| state.is_shut = true);
    let appender = block_on(async {
        let appender = archive.live_appender(options()).unwrap();
        for start in 0..8 {
            commit(&appender, [start]).await;
        }
        appender
    });
    gate.holds();
    let ending = thread::spawn(|| drop(appender));
    gate.set(|state| (state.is_shut, state.is_full) = (false, true));
    ending.join().unwrap();
    drop(archive.appender().unwrap());
    assert_eq!(now(&archive).len(), 8);
    place.assert_clean(&archive);
}
