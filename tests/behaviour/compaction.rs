//! Compaction: few large segments, and nobody notices.

use std::thread;

use flowseek::{
    ErrorKind, Filter, Order, StoredFlow,
    archive::{Compactor, Effort, JobOutcome, Retention, Writer},
    flow::Timestamp,
    query::{Query, Start},
    schema::FlowBuilder,
};

use crate::{
    kept::{Place, all, commit, flow, ids, now},
    support::block_on,
};

fn compact(compactor: &Compactor, effort: Effort) -> u64 {
    let mut merged = 0;
    while let Some(done) = compactor.run_once(effort).unwrap() {
        merged += done.merged;
    }
    merged
}

fn write(writer: &mut Writer, starts: impl IntoIterator<Item = i64>) {
    let mut flows = FlowBuilder::default();
    starts.into_iter().for_each(|start| flows.push(&flow(start)).unwrap());
    writer.write(&flows.finish(writer.next_id()).unwrap()).unwrap();
}

#[test]
fn many_small_segments_become_few_ordered_ones_and_a_second_run_does_nothing() {
    for effort in [Effort::Background, Effort::Thorough, Effort::Full] {
        let place = Place::new();
        let archive = place.archive(20);
        // Each overlaps the one before.
        let mut writer = archive.writer().unwrap();
        for first in 0..24 {
            write(&mut writer, (0..4).map(|flow| first * 4 + flow * 2));
        }
        let _ = writer.commit().unwrap();
        let before = now(&archive);
        let compactor = writer.compactor();
        assert!(compact(&compactor, effort) >= 24);
        assert_eq!(compact(&compactor, effort), 0, "{effort:?}");
        drop((writer, compactor));
        assert_eq!(now(&archive), before);
        place.assert_clean(&archive);
        let mut segments = archive.snapshot().unwrap().manifest().segments.clone();
        assert!(segments.len() <= 8, "{effort:?}: {} segments", segments.len());
        assert!(segments.iter().all(|segment| segment.rows <= 20));
        segments.sort_by_key(|segment| segment.start_time);
        let is_ordered = segments.windows(2).all(|pair| pair[0].start_time.1 <= pair[1].start_time.0);
        assert!(is_ordered || effort == Effort::Background, "{effort:?}");
        assert_eq!(ids(&before), place.globbed());
    }
}

/// Pages of three flows, newest first, and the cursor of the next.
fn page(query: &Query, start: Start) -> (Vec<StoredFlow>, Option<Start>) {
    let page = block_on(query.clone().order(Order::newest_first()).limit(3).start(start).page()).unwrap();
    let next = page.next.as_ref().map(|next| Start::At(next.to_string().parse().unwrap()));
    (page.flows().unwrap(), next)
}

#[test]
fn cursors_and_snapshots_go_on_through_every_flow_once_while_segments_are_swapped() {
    let place = Place::new();
    let archive = place.archive(10);
    (0..12).for_each(|first| commit(&archive, [first, first * 5 % 12, 30 - first]));
    let mut expected = now(&archive);
    expected.reverse();
    let held = archive.snapshot().unwrap().query(Filter::all());
    let (mut by_snapshot, mut at_snapshot) = page(&held, Start::First);
    let (mut by_cursor, mut at_cursor) = page(&held, Start::First);
    let compactor = archive.writer().unwrap().compactor();
    let mut merged = 0;
    while let Some(start) = at_snapshot {
        merged += compactor.run_once(Effort::Full).unwrap().map_or(0, |done| done.merged);
        let (flows, next) = page(&held, start);
        by_snapshot.extend(flows);
        at_snapshot = next;
        // A cursor alone, and the archive as it is by now.
        let newest = archive.snapshot().unwrap().query(Filter::all());
        let (flows, next) = page(&newest, at_cursor.take().unwrap());
        by_cursor.extend(flows);
        at_cursor = next;
    }
    assert!(merged >= 12);
    assert_eq!(by_snapshot, expected);
    assert_eq!(by_cursor, expected);
}

#[test]
fn a_writer_commits_while_a_compactor_works_in_another_thread() {
    let place = Place::new();
    let archive = place.archive(40);
    let mut writer = archive.writer().unwrap();
    let compactor = writer.compactor();
    let background = {
        let compactor = compactor.clone();
        thread::spawn(move || {
            let mut merged = 0;
            while merged < 30 {
                merged += compact(&compactor, Effort::Background);
                thread::yield_now();
            }
        })
    };
    for first in 0..40 {
        write(&mut writer, [first, first + 1]);
        let done = writer.commit().unwrap();
        assert_eq!((done.first.get(), done.flows), (first as u64 * 2 + 1, 2));
    }
    background.join().unwrap();
    drop((writer, compactor));
    assert_eq!(ids(&now(&archive)), (1..=80).collect::<Vec<_>>());
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

#[test]
fn a_compaction_whose_segments_are_removed_meanwhile_gives_up() {
    let place = Place::new();
    let archive = place.archive(40);
    (0..4).for_each(|first| commit(&archive, [first, 10]));
    let writer = archive.writer().unwrap();
    let compactor = writer.compactor();
    let job = compactor.next_job(Effort::Thorough).unwrap();
    assert_eq!((job.segments(), job.rows()), (4, 8));
    let mut retained = 0;
    let remove = |_| {
        let before = Timestamp::from_millis(5);
        retained += writer.retain(Retention::default().before(before).exact(true)).unwrap().rows;
    };
    let mut remove = remove;
    assert_eq!(compactor.run(&job, &mut remove).unwrap(), JobOutcome::Outdated);
    assert_eq!(compactor.run(&job, &mut |_| {}).unwrap(), JobOutcome::Outdated);
    drop((writer, compactor));
    assert_eq!(retained, 4);
    assert_eq!(ids(&now(&archive)), [2, 4, 6, 8]);
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

#[test]
fn a_compactor_that_is_stopped_ends_at_once_and_leaves_nothing() {
    let place = Place::new();
    let archive = place.archive(40);
    (0..4).for_each(|first| commit(&archive, [first, 10]));
    let before = archive.snapshot().unwrap().manifest().clone();
    let compactor = archive.writer().unwrap().compactor();
    compactor.clone().stop();
    assert_eq!(compactor.run_once(Effort::Full).unwrap(), None);
    drop(compactor);
    assert_eq!(*archive.snapshot().unwrap().manifest(), before);
    place.assert_clean(&archive);
}

#[test]
fn the_archive_stays_locked_until_the_last_compactor_is_dropped() {
    let place = Place::new();
    let archive = place.archive(40);
    let compactor = archive.writer().unwrap().compactor();
    assert_eq!(archive.writer().unwrap_err().kind(), ErrorKind::Locked);
    drop(compactor);
    assert!(archive.writer().is_ok());
}

#[test]
fn a_segment_that_is_damaged_is_named_and_nothing_is_merged() {
    let place = Place::new();
    place.expect_damage();
    let archive = place.archive(40);
    (0..3).for_each(|first| commit(&archive, first..first * 2 + 10));
    let manifest = archive.snapshot().unwrap().manifest().clone();
    let path = &manifest.segments[1].path;
    let good = std::fs::read(place.path.join(path)).unwrap();
    // The footer, its length, a page, the end, and a segment that is another's.
    let other = std::fs::read(place.path.join(&manifest.segments[0].path)).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0xff;
        bytes
    };
    for bad in [changed(good.len() - 9), changed(good.len() - 6), changed(8), good[..good.len() / 2].to_vec(), other] {
        std::fs::write(place.path.join(path), bad).unwrap();
        let compactor = archive.writer().unwrap().compactor();
        let error = compactor.run_once(Effort::Full).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains(path), "{error}");
        assert_eq!(*archive.snapshot().unwrap().manifest(), manifest);
    }
    std::fs::write(place.path.join(path), good).unwrap();
    std::fs::remove_file(place.path.join(&manifest.segments[2].path)).unwrap();
    let error = archive.writer().unwrap().compactor().run_once(Effort::Full).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[test]
fn a_day_that_is_larger_than_a_segment_is_merged_in_parts_of_a_segment() {
    let place = Place::new();
    let archive = place.archive(100);
    // Two nodes have logged the same time: every segment overlaps another one whole.
    for _ in 0..2 {
        let mut writer = archive.writer().unwrap();
        for part in 0..4 {
            write(&mut writer, part * 100..part * 100 + 100);
        }
        let _ = writer.commit().unwrap();
    }
    let before = now(&archive);
    let compactor = archive.writer().unwrap().compactor();
    assert!(compact(&compactor, Effort::Background) >= 8);
    drop(compactor);
    let snapshot = archive.snapshot().unwrap();
    let mut times: Vec<_> = snapshot.manifest().segments.iter().map(|segment| segment.start_time).collect();
    times.sort_unstable();
    assert_eq!(times.len(), 8);
    assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
    assert_eq!(all(&snapshot), before);
}

#[test]
fn pages_of_segments_that_were_merged_make_room_at_once() {
    let place = Place::new();
    let archive = place.archive(1000);
    (0..8).for_each(|commit_| commit(&archive, (0..60).map(|flow| flow * 8 + commit_)));
    let newest = archive.snapshot().unwrap();
    assert_eq!(all(&newest).len(), 480);
    let before = archive.memory();
    assert!(before.page_bytes > 0 && before.index_bytes > 0);
    drop(newest);
    let compactor = archive.writer().unwrap().compactor();
    assert!(compact(&compactor, Effort::Thorough) > 0);
    // Nothing has read what they were merged to.
    assert_eq!(archive.memory().page_bytes, 0, "{before:?}");
    assert_eq!(now(&archive).len(), 480);
    drop(compactor);
    // What was not merged keeps its pages.
    let kept = archive.memory().page_bytes;
    commit(&archive, [5_000]);
    assert_eq!(archive.memory().page_bytes, kept);
}
