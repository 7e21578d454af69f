//! Readers and writers of one archive, and the files between them.

use std::{
    collections::BTreeSet,
    io::ErrorKind as IoErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use flowseek::{
    Archive, ErrorKind,
    archive::{Effort, Retention},
};

use crate::{
    faults::Fault,
    kept::{Place, all, commit, flow, ids, now},
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
    let _ = archive.writer().unwrap().retain(Retention { bytes: Some(0), ..Retention::default() }).unwrap();
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
    std::fs::remove_dir_all(&place.path).unwrap();
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
            assert_eq!(error.kind(), ErrorKind::Io);
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
    assert_eq!(compactor.run_once(Effort::Full).unwrap_err().kind(), ErrorKind::Io);
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
