//! Retention: the old goes, the rest stays.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flowseek::{
    Archive, ErrorKind,
    archive::{Effort, Retained, Retention},
    flow::Timestamp,
    resources::Clock,
};

use crate::kept::{Place, all, commit, ids, now};

/// Segments of flows at 0 to 9, 10 to 19, 20 to 29, and one from 5 to 25.
fn archive(place: &Place) -> Archive {
    let archive = place.archive(100);
    (0..3).for_each(|first| commit(&archive, first * 10..first * 10 + 10));
    commit(&archive, [5, 15, 25]);
    archive
}

fn retain(archive: &Archive, retention: Retention) -> Retained {
    archive.writer().unwrap().retain(retention).unwrap()
}

fn before(millis: i64) -> Retention {
    Retention::default().before(Timestamp::from_millis(millis))
}

fn starts(archive: &Archive) -> Vec<i64> {
    now(archive).iter().map(|flow| flow.flow.start_time.as_millis()).collect()
}

#[test]
fn segments_go_whose_flows_are_all_too_old() {
    let place = Place::new();
    let archive = archive(&place);
    let bytes = archive.snapshot().unwrap().manifest().bytes();
    let done = retain(&archive, before(20));
    assert_eq!((done.rows, done.segments, done.rewritten), (20, 2, 0));
    assert_eq!(done.bytes, bytes - archive.snapshot().unwrap().manifest().bytes());
    assert_eq!(starts(&archive), [5, 15, 20, 21, 22, 23, 24, 25, 25, 26, 27, 28, 29]);
    let version = archive.snapshot().unwrap().manifest().version;
    let again = retain(&archive, before(20));
    assert_eq!((again.rows, again.segments, again.rewritten, again.bytes), (0, 0, 0, 0));
    assert_eq!((done.version, again.version), (version, version));
    place.assert_clean(&archive);
}

#[test]
fn exact_retention_leaves_no_flow_that_is_too_old_and_every_other_as_it_was() {
    for millis in [-1, 0, 1, 5, 15, 16, 24, 25, 26, 29, 30, 99] {
        let place = Place::new();
        let archive = archive(&place);
        let mut expected = now(&archive);
        expected.retain(|flow| flow.flow.start_time.as_millis() >= millis);
        let done = retain(&archive, before(millis).exact(true));
        assert_eq!(now(&archive), expected, "before {millis}");
        assert_eq!(done.rows as usize, 33 - expected.len());
        place.assert_clean(&archive);
        let again = retain(&archive, before(millis).exact(true));
        assert_eq!((again.rows, again.segments, again.rewritten), (0, 0, 0));
    }
}

#[test]
fn a_damaged_segment_keeps_no_other_from_being_cut_and_is_named() {
    let place = Place::new();
    let archive = place.archive(100);
    commit(&archive, 0..10);
    commit(&archive, [5, 15, 25]);
    commit(&archive, [6, 16, 26]);
    let (spoiled, mut expected) = (archive.snapshot().unwrap().manifest().segments[1].path.clone(), now(&archive));
    let path = place.path.join(&spoiled);
    let (mut bytes, sound) = (fs::read(&path).unwrap(), fs::read(&path).unwrap());
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let done = retain(&archive, before(20).exact(true));
    assert_eq!((done.rows, done.segments, done.rewritten), (12, 1, 1));
    let [error] = done.unreadable.as_slice() else { panic!("{:?}", done.unreadable) };
    assert_eq!((error.kind(), error.file().is_some_and(|file| file.ends_with(&spoiled))), (ErrorKind::Damaged, true));

    fs::write(&path, sound).unwrap();
    expected.retain(|flow| [11, 12, 13, 16].contains(&flow.id.get()));
    assert_eq!(now(&archive), expected);
    assert_eq!(retain(&archive, before(20).exact(true)).rows, 2);
    assert_eq!(starts(&archive), [25, 26]);
    place.assert_clean(&archive);
}

#[test]
fn for_want_of_space_the_oldest_segments_go_and_no_more_than_needed() {
    let place = Place::new();
    let archive = archive(&place);
    let segments = archive.snapshot().unwrap().manifest().segments.clone();
    let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let at_most = |bytes| retain(&archive, Retention::default().bytes(bytes));
    assert_eq!(at_most(total).segments, 0);
    let done = at_most(total - 1);
    assert_eq!((done.rows, done.segments, done.bytes), (10, 1, segments[0].bytes));
    assert_eq!(ids(&now(&archive)), (11..=33).collect::<Vec<_>>());
    // A segment is as old as its newest flow.
    assert_eq!(at_most(segments[2].bytes).segments, 2);
    assert_eq!(ids(&now(&archive)), (21..=30).collect::<Vec<_>>());
    assert_eq!(at_most(0).rows, 10);
    assert!(now(&archive).is_empty());
    place.assert_clean(&archive);
    // Numbers of flows that are gone are not given again.
    commit(&archive, [1]);
    assert_eq!(ids(&now(&archive)), [34]);
}

#[test]
fn for_want_of_space_the_segment_whose_newest_flow_is_the_oldest_goes() {
    for (kept, gone) in [([5, 15, 25], 10..20), ([0, 1, 30], 12..29), ([18, 19, 20], 0..20)] {
        let place = Place::new();
        let archive = place.archive(100);
        commit(&archive, kept);
        commit(&archive, gone);
        let bytes = archive.snapshot().unwrap().manifest().bytes();
        let done = retain(&archive, Retention::default().bytes(bytes - 1));
        assert_eq!((done.segments, starts(&archive)), (1, kept.to_vec()));
        place.assert_clean(&archive);
    }
}

#[test]
fn age_and_space_together_remove_what_either_would() {
    let place = Place::new();
    let archive = archive(&place);
    let bytes = archive.snapshot().unwrap().manifest().segments[2].bytes;
    let done = retain(&archive, before(22).exact(true).bytes(bytes));
    assert_eq!((done.segments, done.rewritten), (3, 1));
    assert_eq!(starts(&archive), [22, 23, 24, 25, 26, 27, 28, 29]);
    place.assert_clean(&archive);
}

#[test]
fn a_snapshot_still_has_what_was_removed() {
    let place = Place::new();
    let archive = archive(&place);
    let snapshot = archive.snapshot().unwrap();
    let expected = now(&archive);
    let _ = retain(&archive, before(1_000));
    assert!(now(&archive).is_empty());
    assert_eq!(all(&snapshot), expected);
    assert!(place.globbed().is_empty());
}

#[test]
fn flows_that_are_written_and_not_committed_are_not_touched() {
    let place = Place::new();
    let archive = archive(&place);
    let mut writer = archive.writer().unwrap();
    let mut flows = flowseek::schema::FlowBuilder::default();
    flows.push(&crate::kept::flow(3)).unwrap();
    writer.write(&flows.finish(writer.next_id()).unwrap()).unwrap();
    assert_eq!(writer.retain(before(1_000)).unwrap().rows, 33);
    assert_eq!(writer.commit().unwrap().flows, 1);
    drop(writer);
    assert_eq!(starts(&archive), [3]);
}

/// A clock that goes on and jumps as it is told to. Its clones share its times.
#[derive(Clone, Debug)]
struct Hands(Arc<Mutex<(SystemTime, Instant)>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((UNIX_EPOCH + 1_000 * DAY, Instant::now()))))
    }

    fn pass(&self, time: Duration) {
        self.jump(time);
        self.0.lock().unwrap().1 += time;
    }

    fn jump(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }
}

impl Clock for Hands {
    fn now(&self) -> SystemTime {
        self.0.lock().unwrap().0
    }

    fn instant(&self) -> Instant {
        self.0.lock().unwrap().1
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn parquet_files(place: &Place, folder: &str) -> usize {
    place.names(folder).iter().filter(|name| name.ends_with(".parquet")).count()
}

#[test]
fn what_was_removed_can_be_put_back_for_as_long_as_was_asked_for_whatever_the_clock_says() {
    let (place, clock) = (Place::new(), Hands::new());
    let open = || Archive::open_with(&place.path, place.settings(100).clock(Arc::new(clock.clone()))).unwrap();
    drop(archive(&place));
    let archive = open();
    let expected = now(&archive);
    let writer = archive.writer().unwrap();
    let removed = writer.retain(before(20).grace(DAY)).unwrap();
    assert_eq!((removed.rows, now(&archive).len()), (20, 13));
    // A glob finds none of it.
    assert_eq!((parquet_files(&place, "data"), parquet_files(&place, "retired")), (2, 2));
    let restored = writer.restore().unwrap();
    assert_eq!((restored.rows, restored.segments, restored.unreadable.len()), (20, 2, 0));
    assert_eq!(restored.version, archive.snapshot().unwrap().manifest().version);
    assert_eq!(now(&archive), expected);
    assert_eq!(writer.restore().unwrap().rows, 0);
    let _ = writer.compactor().run_once(Effort::Background).unwrap();
    place.assert_clean(&archive);

    // The clock jumps: this process knows that no day has passed. Others go by the clock.
    let _ = writer.retain(before(20).grace(DAY)).unwrap();
    clock.jump(40 * DAY);
    let compactor = writer.compactor();
    let _ = compactor.run_once(Effort::Background).unwrap();
    assert_eq!(parquet_files(&place, "retired"), 2);
    clock.pass(DAY);
    let _ = compactor.run_once(Effort::Background).unwrap();
    assert_eq!(parquet_files(&place, "retired"), 0);
    assert_eq!(writer.restore().unwrap().rows, 0);
    drop((compactor, writer));

    // A commit, and the end of the process, change nothing.
    let _ = archive.writer().unwrap().retain(before(25).exact(true).grace(DAY)).unwrap();
    assert_eq!(ids(&now(&archive)), [26, 27, 28, 29, 30, 33], "what is cut does not come back");
    let _ = archive.writer().unwrap().retain(before(1_000).grace(DAY)).unwrap();
    commit(&archive, [7]);
    clock.pass(DAY / 2);
    let archive = open();
    assert_eq!(archive.writer().unwrap().restore().unwrap().rows, 6);
    assert_eq!(ids(&now(&archive)), [26, 27, 28, 29, 30, 33, 34]);
    let _ = archive.writer().unwrap().retain(before(1_000).grace(DAY)).unwrap();
    clock.pass(DAY);
    let archive = open();
    assert_eq!(archive.writer().unwrap().restore().unwrap().rows, 0);
    place.assert_clean(&archive);
}

#[test]
fn a_segment_that_cannot_be_read_is_named_and_the_others_are_put_back() {
    let place = Place::new();
    let archive = archive(&place);
    let _ = retain(&archive, before(20).grace(DAY));
    let names = place.names("retired").into_iter().filter(|name| name.ends_with(".parquet")).collect::<Vec<_>>();
    let (broken, missing) = (place.path.join("retired").join(&names[0]), place.path.join("retired").join(&names[1]));
    let sound = fs::read(&broken).unwrap();
    fs::write(&broken, b"PAR1").unwrap();
    let restored = archive.writer().unwrap().restore().unwrap();
    assert_eq!((restored.rows, restored.unreadable.len()), (10, 1));
    assert_eq!(restored.unreadable[0].file(), Some(broken.as_path()));
    assert!(!missing.exists() && place.names("data").contains(&names[1]));
    fs::write(&broken, sound).unwrap();
    assert_eq!(archive.writer().unwrap().restore().unwrap().rows, 10);
    assert_eq!(now(&archive).len(), 33);
}
