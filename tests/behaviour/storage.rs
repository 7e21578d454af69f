//! Readers and writers of one archive, and the files between them.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind as IoErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use flowseek::{
    Archive, ErrorKind, Filter, Order,
    archive::{Effort, Retention},
    flow::Field,
    ingest::LiveOptions,
    order::{Direction, SortKey},
};

use crate::{
    faults::Fault,
    kept::{Place, all, commit, flow, ids, now},
    support::block_on,
};

fn compact(archive: &Archive) {
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
}

#[test]
fn files_that_a_snapshot_of_any_process_needs_stay_until_it_is_dropped() {
    let place = Place::new();
    let archive = place.archive(8);
    (0..4).for_each(|first| commit(&archive, (0..5).map(|flow| first + flow * 4)));
    // An archive that was opened by itself shares nothing with the other but the files, as one of another process does.
    let other = Archive::open(&place.path).unwrap();
    let held = other.snapshot().unwrap();
    let before = now(&archive);
    commit(&archive, [50]);
    compact(&archive);
    commit(&archive, [60]);
    let _ = archive.writer().unwrap().retain(Retention::default().bytes(0)).unwrap();
    assert!(now(&archive).is_empty());
    assert_eq!(all(&held), before);
    // Those that are in the way of nobody are gone already: what is left was part of the version that is held.
    let retired = place.names("retired").into_iter().filter(|name| name.ends_with(".parquet"));
    let named = held.manifest().segments.iter().map(|segment| segment.path.strip_prefix("data/").unwrap().to_owned());
    assert_eq!(retired.collect::<BTreeSet<_>>(), named.collect());
    drop(archive.writer().unwrap());
    assert_eq!(all(&held), before);
    drop(held);
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
    drop(other);
}

/// The files of a place that this process has open though they are deleted.
fn deleted_and_open(place: &Place) -> Vec<String> {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let names = links.map(|link| link.display().to_string());
    names.filter(|name| name.starts_with(place.path.to_str().unwrap()) && name.ends_with(" (deleted)")).collect()
}

#[test]
fn an_idle_reader_keeps_no_deleted_file_on_the_disk() {
    for removes in [false, true] {
        let place = Place::new();
        let archive = place.archive(8);
        (0..9).for_each(|first| commit(&archive, first * 8..first * 8 + 8));
        let idle = Archive::open(&place.path).unwrap();
        let by_port = SortKey { field: Field::DstPort, direction: Direction::Ascending };
        let order = Order::new([by_port], Direction::Ascending);
        let query = idle.snapshot().unwrap().query(Filter::all()).order(order).limit(100);
        assert_eq!(block_on(query.page()).unwrap().flows().unwrap().len(), 72);
        drop(query);
        let held = idle.memory().index_bytes;
        assert!(held > 0);
        // Nobody asks the reader for anything any more.
        match removes {
            true => {
                let _ = archive.writer().unwrap().retain(Retention::default().bytes(0)).unwrap();
            }
            false => {
                let larger = Archive::open_with(&place.path, place.settings(100)).unwrap();
                compact(&larger);
            }
        }
        drop(archive.writer().unwrap());
        place.assert_clean(&archive);
        assert_eq!(deleted_and_open(&place), Vec::<String>::new());
        // And with the next question the memory is free as well.
        drop(idle.snapshot().unwrap());
        assert!(idle.memory().index_bytes < held, "{:?}", idle.memory());
    }
}

#[test]
fn a_reader_that_was_idle_for_many_versions_sees_the_newest_although_an_old_one_is_held() {
    let place = Place::new();
    let writer = place.archive(8);
    let idle = Archive::open(&place.path).unwrap();
    let holder = Archive::open(&place.path).unwrap();
    commit(&writer, [1]);
    let old = holder.snapshot().unwrap();
    let _ = idle.snapshot().unwrap();
    for start in 2..6 {
        commit(&writer, [start]);
    }
    assert_eq!(now(&idle).len(), 5);
    assert_eq!(now(&holder).len(), 5);
    assert_eq!(all(&old).len(), 1);
    assert_eq!(idle.snapshot().unwrap().manifest().version, writer.snapshot().unwrap().manifest().version);
}

#[test]
fn an_archive_that_is_removed_and_made_anew_is_an_error_to_who_has_it_open() {
    let place = Place::new();
    let archive = place.archive(8);
    commit(&archive, [1]);
    fs::remove_dir_all(&place.path).unwrap();
    assert_eq!(archive.snapshot().unwrap_err().kind(), ErrorKind::NotFound);
    drop(Archive::open_or_create(&place.path).unwrap());
    assert_eq!(archive.snapshot().unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_full_disk_is_a_clear_error_that_loses_nothing_and_work_goes_on_when_there_is_room() {
    let place = Place::new();
    let archive = place.archive(8);
    commit(&archive, [1, 2]);
    commit(&archive, [1, 3]);
    let before = now(&archive);
    for (kind, told) in [(IoErrorKind::StorageFull, "no storage space"), (IoErrorKind::ReadOnlyFilesystem, "read-only")]
    {
        let mut appender = archive.appender().unwrap();
        appender.push(&flow(4)).unwrap();
        place.storage.set(Fault::NoWrites(kind));
        for _ in 0..3 {
            let error = appender.commit().unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Io, false));
            assert_eq!(error.is_disk_full(), kind == IoErrorKind::StorageFull);
            assert!(error.to_string().contains(told) && error.to_string().contains("data/"), "{error}");
        }
        place.storage.set(Fault::Never);
        assert_eq!(now(&archive).len(), before.len() + usize::from(kind == IoErrorKind::ReadOnlyFilesystem));
        assert_eq!(appender.commit().unwrap().flows, 1);
    }
    let before = now(&archive);
    assert_eq!(before.len(), 6);
    let compactor = archive.writer().unwrap().compactor();
    place.storage.set(Fault::NoWrites(IoErrorKind::StorageFull));
    let error = compactor.run_once(Effort::Full).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.is_disk_full(), "{error}");
    assert_eq!(now(&archive), before);
    place.storage.set(Fault::Never);
    assert!(compactor.run_once(Effort::Full).unwrap().is_some());
    drop(compactor);
    assert_eq!(now(&archive), before);
    place.assert_clean(&archive);
}

#[test]
fn readers_in_other_threads_find_every_flow_once_while_versions_come_and_go() {
    let place = Place::new();
    let archive = place.archive(16);
    commit(&archive, 0..20);
    let is_done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (reader, is_done) = (Archive::open(&place.path).unwrap(), Arc::clone(&is_done));
            thread::spawn(move || {
                let mut newest = 0;
                while !is_done.load(Ordering::Relaxed) {
                    let snapshot = reader.snapshot().unwrap();
                    let found = ids(&all(&snapshot));
                    assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
                    assert!(found.len() >= newest, "a flow was lost");
                    newest = found.len();
                }
                newest
            })
        })
        .collect();
    let mut appender = archive.appender().unwrap();
    for start in 0..30 {
        appender.push(&flow(start)).unwrap();
        let _ = appender.commit().unwrap();
        if start % 10 == 9 {
            drop(appender);
            compact(&archive);
            appender = archive.appender().unwrap();
        }
    }
    drop(appender);
    assert_eq!(now(&Archive::open(&place.path).unwrap()).len(), 50);
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() >= 20);
    }
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

/// What the second of two writers makes of the archive of the first.
fn take_over(place: &Place, starts: impl IntoIterator<Item = i64>) {
    let second = Archive::open_or_create_with(&place.path, place.settings(8)).unwrap();
    commit(&second, starts);
}

#[test]
fn a_writer_whose_lock_was_taken_from_it_never_commits_again() {
    type Take = fn(&Place);
    let lock: Take = |place| fs::remove_file(place.path.join("lock")).unwrap();
    let directory: Take = |place| fs::rename(&place.path, place.path.with_extension("away")).unwrap();
    for take in [lock, directory] {
        // The second writer publishes fewer, as many, and more versions than the first has seen.
        for commits in [1, 3, 6] {
            let place = Place::new();
            let archive = place.archive(8);
            let mut first = archive.appender().unwrap();
            for start in 0..3 {
                first.push(&flow(start)).unwrap();
                let _ = first.commit().unwrap();
            }
            // As many as a segment has: one more would begin to write it in the background, which may take a free lock again.
            (10..18).for_each(|start| first.push(&flow(start)).unwrap());
            take(&place);
            (0..commits).for_each(|start| take_over(&place, [start + 30]));
            let expected = now(&Archive::open(&place.path).unwrap());
            for _ in 0..3 {
                assert_eq!(first.commit().unwrap_err().kind(), ErrorKind::Locked);
                first.push(&flow(1)).unwrap();
            }
            drop(first);
            let after = place.archive(8);
            assert_eq!(now(&after), expected);
            commit(&after, [90]);
            assert_eq!(now(&after).len(), expected.len() + 1);
            drop(after.writer().unwrap());
            place.assert_clean(&after);
        }
    }
}

#[test]
fn a_writer_whose_lock_was_taken_from_it_merges_and_removes_nothing() {
    let place = Place::new();
    let archive = place.archive(40);
    (0..12).for_each(|start| commit(&archive, [start]));
    let writer = archive.writer().unwrap();
    let compactor = writer.compactor();
    fs::remove_dir_all(&place.path).unwrap();
    (0..3).for_each(|start| take_over(&place, [start]));
    let newest = Archive::open(&place.path).unwrap();
    let before = (newest.snapshot().unwrap().manifest().clone(), now(&newest));
    for _ in 0..2 {
        assert_eq!(compactor.run_once(Effort::Full).unwrap_err().kind(), ErrorKind::Locked);
        let all = Retention::default().bytes(0);
        assert_eq!(writer.retain(all).unwrap_err().kind(), ErrorKind::Locked);
    }
    drop((writer, compactor));
    let newest = Archive::open(&place.path).unwrap();
    assert_eq!((newest.snapshot().unwrap().manifest().clone(), now(&newest)), before);
    place.assert_clean(&newest);
}

#[test]
fn no_receipt_resolves_for_flows_that_another_writer_has_pushed_aside() {
    let place = Place::new();
    let archive = place.archive(8);
    let options = LiveOptions::default().flush_age(Duration::MAX);
    block_on(async {
        let appender = archive.live_appender(options).unwrap();
        appender.append([flow(1)]).await.unwrap();
        let _ = appender.commit().await.unwrap();
        let receipt = appender.append([flow(2), flow(3)]).await.unwrap();
        fs::remove_file(place.path.join("lock")).unwrap();
        take_over(&place, 10..15);
        for _ in 0..3 {
            assert_eq!(appender.commit().await.unwrap_err().kind(), ErrorKind::Locked);
            assert_eq!(receipt.durable().await.unwrap_err().kind(), ErrorKind::Locked);
        }
    });
    let starts: Vec<i64> = now(&archive).iter().map(|stored| stored.flow.start_time.as_millis()).collect();
    assert_eq!(starts, [1, 10, 11, 12, 13, 14]);
}

#[test]
fn a_lock_that_is_removed_and_not_taken_by_another_is_taken_again() {
    let place = Place::new();
    let archive = place.archive(8);
    let mut first = archive.appender().unwrap();
    for start in 0..3 {
        fs::remove_file(place.path.join("lock")).unwrap();
        first.push(&flow(start)).unwrap();
        assert_eq!(first.commit().unwrap().flows, 1);
        assert_eq!(archive.appender().unwrap_err().kind(), ErrorKind::Locked);
    }
    drop(first);
    assert_eq!(now(&archive).len(), 3);
    place.assert_clean(&archive);
}
