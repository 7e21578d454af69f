//! Every step of every change fails once, and crashes once: the archive is as before or as after, and goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flowseek::{
    Archive, Result, StoredFlow,
    archive::{Effort, Retention, Writer},
    filter,
    flow::Timestamp,
    schema::FlowBuilder,
};

use crate::{
    faults::{Fault, Loss},
    hooked::{Hooked, Step},
    kept::{Place, commit, flow, now},
};

/// What changes an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Commit,
    Compact,
    RetainWhole,
    RetainExact,
    /// What was removed is put back.
    Restore,
    /// Flows of one segment.
    Remove,
}

impl Change {
    const EACH: [Self; 6] =
        [Self::Commit, Self::Compact, Self::RetainWhole, Self::RetainExact, Self::Restore, Self::Remove];

    /// An archive of several segments, some of which overlap, and of which some are removed for a time.
    fn prepared(self) -> Place {
        let place = Place::new();
        let archive = place.archive(8);
        for first in 0..3 {
            commit(&archive, (0..4).map(|flow| first * 7 + flow * 3));
        }
        if self == Self::Restore {
            let before = Timestamp::from_millis(17).unwrap();
            let retention = Retention::default().before(before).grace(Duration::from_secs(86_400));
            assert_eq!(archive.writer().unwrap().retain(retention).unwrap().segments, 2);
        }
        place
    }

    fn run(self, archive: &Archive, writer: &mut Writer) -> Result<()> {
        let before = Some(Timestamp::from_millis(10).unwrap());
        match self {
            Self::Commit => {
                // Two segments of two flows. What an earlier attempt has written is not written again.
                while writer.next_id().get() < 17 {
                    let first = writer.next_id();
                    let mut flows = FlowBuilder::default();
                    (0..2).for_each(|nth| flows.push(&flow(first.get() as i64 * 7 % 40 + nth)).unwrap());
                    writer.write(&flows.finish(first)?)?;
                }
                writer.commit().map(drop)
            }
            Self::Compact => {
                let compactor = writer.compactor();
                while compactor.run_once(Effort::Full)?.is_some() {}
                Ok(())
            }
            Self::RetainWhole => writer.retain(Retention::default().before(before)).map(drop),
            Self::RetainExact => writer.retain(Retention::default().before(before).exact(true)).map(drop),
            Self::Remove => writer.remove(&filter::dst_port().any_of([3, 9])).map(drop),
            Self::Restore => writer.restore().map(|restored| assert!(restored.unreadable.is_empty())),
        }
        .inspect(|()| assert!(archive.snapshot().is_ok()))
    }

    /// The flows before and after.
    fn expected(self) -> (Vec<StoredFlow>, Vec<StoredFlow>) {
        let place = self.prepared();
        let archive = place.archive(8);
        let before = now(&archive);
        let mut writer = archive.writer().unwrap();
        self.run(&archive, &mut writer).unwrap();
        drop(writer);
        let after = now(&archive);
        assert_eq!(before == after, self == Self::Compact, "{self:?} changes the flows");
        place.assert_clean(&archive);
        goes_on(&place, &archive, "nothing has failed");
        (before, after)
    }

    /// Makes the change to a copy of an archive for each of its steps, which fails in one of two ways.
    fn with_each_failure(self, template: &Place, mut test: impl FnMut(Attempt)) {
        for fault in [Fault::At, Fault::AfterAll] {
            let steps = (1..).find(|step| {
                let told = format!("{self:?}, {:?}", fault(*step));
                let place = template.copy();
                let storage = place.storage.clone();
                let archive = place.archive(8);
                let mut writer = archive.writer().unwrap();
                storage.set(fault(*step));
                let done = self.run(&archive, &mut writer);
                let has_struck = storage.has_struck();
                test(Attempt { writer, archive, place, done, told });
                !has_struck
            });
            assert!(steps > Some(5), "{self:?} has {steps:?} steps");
        }
    }
}

/// A change of which a step has failed, once.
struct Attempt {
    writer: Writer,
    archive: Archive,
    place: Place,
    done: Result<()>,
    told: String,
}

/// Asserts that an archive goes on as if nothing had been.
fn goes_on(place: &Place, archive: &Archive, told: &str) {
    place.storage.set(Fault::Never);
    let mut flows = now(archive);
    commit(archive, [1_000]);
    let found = now(archive);
    assert_eq!(found.len(), flows.len() + 1, "{told}");
    flows.push(found[found.len() - 1].clone());
    assert_eq!(found, flows, "{told}");
    place.assert_clean(archive);
}

#[test]
fn a_crash_at_any_step_leaves_the_archive_as_it_was_before_or_as_it_is_after() {
    for change in Change::EACH {
        let template = change.prepared();
        let (before, after) = change.expected();
        for loss in Loss::EACH {
            for step in 1.. {
                let told = format!("{change:?}, crash at step {step}, lost {loss:?}");
                let place = template.copy();
                let archive = place.archive(8);
                place.storage.set(Fault::CrashAt(step));
                let done = archive.writer().and_then(|mut writer| change.run(&archive, &mut writer));
                let has_struck = place.storage.has_struck();
                drop(archive);
                place.storage.restart(loss, &place.path);

                let archive = place.archive(8);
                let found = now(&archive);
                assert!(found == after || (found == before && done.is_err()), "{told}: {found:?}");
                goes_on(&place, &archive, &told);
                if !has_struck {
                    assert!(step > 5, "{told}");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_step_that_fails_loses_nothing_and_the_next_attempt_does_all_of_it_once() {
    for change in Change::EACH {
        let template = change.prepared();
        let (before, after) = change.expected();
        change.with_each_failure(&template, |Attempt { mut writer, archive, place, done, told }| {
            let found = now(&archive);
            assert!(found == after || (found == before && done.is_err()), "{told}: {found:?}");
            if done.is_err() {
                change.run(&archive, &mut writer).unwrap();
            }
            assert_eq!(now(&archive), after, "{told}");
            drop(writer);
            goes_on(&place, &archive, &told);
        });
    }
}

#[test]
fn what_a_second_attempt_acknowledges_outlives_a_power_failure() {
    for change in Change::EACH {
        let template = change.prepared();
        let (_, after) = change.expected();
        change.with_each_failure(&template, |Attempt { mut writer, archive, place, done, told }| {
            if done.is_err() {
                change.run(&archive, &mut writer).unwrap();
            }
            drop(archive);
            // The process is gone with the power: nothing is dropped in order. Its lock is, as it would be.
            std::mem::forget(writer);
            std::fs::remove_file(place.path.join("lock")).unwrap();
            place.storage.restart(Loss::All, &place.path);
            let archive = place.archive(8);
            assert_eq!(now(&archive), after, "{told}");
            goes_on(&place, &archive, &told);
        });
    }
}

#[test]
fn a_writer_that_is_dropped_after_a_commit_has_failed_takes_nothing_with_it() {
    let template = Change::Commit.prepared();
    let (before, after) = Change::Commit.expected();
    for fault in [Fault::At, Fault::AfterAll] {
        for step in 1.. {
            let place = template.copy();
            let archive = place.archive(8);
            let mut writer = archive.writer().unwrap();
            place.storage.set(fault(step));
            let done = Change::Commit.run(&archive, &mut writer);
            drop(writer);
            let has_struck = place.storage.has_struck();
            let found = now(&archive);
            assert!(found == after || (found == before && done.is_err()), "{:?}: {found:?}", fault(step));
            goes_on(&place, &archive, &format!("{:?}", fault(step)));
            if !has_struck {
                assert!(step > 15, "{:?}", fault(step));
                break;
            }
        }
    }
}

#[test]
fn an_archive_can_be_created_after_a_crash_at_any_step_of_its_creation() {
    for loss in Loss::EACH {
        for step in 1.. {
            let place = Place::new();
            place.storage.set(Fault::CrashAt(step));
            let created = Archive::open_or_create_with(&place.path, place.settings(8)).is_ok();
            let has_struck = place.storage.has_struck();
            place.storage.restart(loss, place.path.parent().unwrap().parent().unwrap());
            if created {
                assert!(Archive::open(&place.path).is_ok(), "step {step}, lost {loss:?}");
            }
            let archive = place.archive(8);
            goes_on(&place, &archive, &format!("step {step}, lost {loss:?}"));
            if !has_struck {
                assert!(step > 10, "step {step}, lost {loss:?}");
                break;
            }
        }
    }
}

#[test]
fn the_leftovers_of_a_crash_are_swept_and_other_files_are_left_alone() {
    let place = Change::Commit.prepared();
    let archive = place.archive(8);
    let data = place.path.join("data");
    let id = "0123456789abcdef0123456789abcdef";
    for name in [format!("2022-11-01-{id}.parquet"), format!("2022-11-01-{id}.parquet.tmp")] {
        std::fs::write(data.join(name), "half").unwrap();
    }
    std::fs::write(place.path.join("manifests/00000000000000000009.x.tmp"), "half").unwrap();
    std::fs::write(data.join("my-own.parquet"), "mine").unwrap();
    let before = now(&archive);
    drop(archive.writer().unwrap());
    assert!(data.join("my-own.parquet").exists());
    // Nobody can tell a finished segment that no manifest names from one that is missing in the manifest.
    assert_eq!(place.names("quarantine"), [format!("2022-11-01-{id}.parquet")].into());
    std::fs::remove_file(data.join("my-own.parquet")).unwrap();
    place.assert_clean(&archive);
    assert_eq!(now(&archive), before);
}

#[test]
fn however_many_segments_a_crash_has_left_they_are_put_aside_with_one_sync() {
    let syncs = [2, 40].map(|strays| {
        let place = Change::Commit.prepared();
        let data = place.path.join("data");
        let segment = data.join(place.names("data").first().unwrap());
        for id in 0..strays {
            std::fs::copy(&segment, data.join(format!("2022-11-01-{id:032x}.parquet"))).unwrap();
        }
        let syncs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&syncs);
        let storage = Hooked::new(move |folder, step| {
            let is_counted = step == Step::SyncDirectory && folder.ends_with("quarantine");
            counted.fetch_add(usize::from(is_counted), Ordering::Relaxed);
            Ok(())
        });
        let settings = place.settings(8).storage(Arc::new(storage));
        drop(Archive::open_with(&place.path, settings).unwrap().writer().unwrap());
        assert_eq!(place.names("quarantine").len(), strays);
        syncs.load(Ordering::Relaxed)
    });
    assert_eq!(syncs, [1, 1]);
}
