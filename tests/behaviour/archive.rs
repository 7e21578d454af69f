//! What an archive promises whoever opens it.

use std::{fs, time::Duration};

use flowseek::{Archive, ErrorKind, Filter, Flow, StoredFlow, flow::Timestamp, generate::Generator};

use crate::{
    folder::Folder,
    kept::{Place, commit},
    support::{append, assert_sound, block_on},
};

fn flow(second: i64) -> Flow {
    Flow::starting(Timestamp::from_millis(second * 1000).unwrap())
}

fn all(archive: &Archive) -> Vec<StoredFlow> {
    block_on(archive.snapshot().unwrap().query(Filter::all()).page()).unwrap().flows().unwrap()
}

#[test]
fn a_reader_sees_a_commit_by_itself_and_a_snapshot_stays_as_it_was() {
    let directory = Folder::new();
    let writer = Archive::open_or_create(directory.path()).unwrap();
    let reader = Archive::open(directory.path()).unwrap();
    let before = reader.snapshot().unwrap();
    let stored = append(&writer, &[vec![flow(1), flow(2)], vec![flow(0)]]);
    assert_eq!(all(&reader), [stored[2].clone(), stored[0].clone(), stored[1].clone()]);
    assert_eq!(block_on(before.query(Filter::all()).page()).unwrap().batch.num_rows(), 0);
    assert_sound(directory.path());
}

#[test]
fn what_is_not_committed_is_no_part_of_the_archive_and_leaves_nothing() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let mut appender = archive.appender().unwrap();
    appender.push(&flow(1)).unwrap();
    drop(appender);
    assert!(all(&archive).is_empty());
    assert_sound(directory.path());
    assert_eq!(fs::read_dir(directory.path().join("data")).unwrap().count(), 0);
}

#[test]
fn flow_ids_are_never_given_twice() {
    let directory = Folder::new();
    for run in 0..3u64 {
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let stored = append(&archive, &[vec![flow(1)], vec![flow(1), flow(1)]]);
        let ids: Vec<u64> = stored.iter().map(|flow| flow.id.get()).collect();
        assert_eq!(ids, [run * 3 + 1, run * 3 + 2, run * 3 + 3]);
    }
    assert_sound(directory.path());
}

#[test]
fn there_is_one_writer_at_a_time() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let first = archive.appender().unwrap();
    let other = Archive::open(directory.path()).unwrap();
    assert_eq!(other.appender().unwrap_err().kind(), ErrorKind::Locked);
    drop(first);
    assert!(other.appender().is_ok());
}

#[test]
fn a_directory_that_is_no_archive_is_refused_and_left_alone() {
    let directory = Folder::new();
    assert_eq!(Archive::open(directory.path()).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let error = Archive::open_or_create(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_manifest_or_segment_is_named() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    append(&archive, &[vec![flow(1), flow(2)]]);
    let segment = fs::read_dir(directory.path().join("data")).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&segment).unwrap();
    for (at, what) in [(good.len() - 1, "footer"), (good.len() - 8, "length")] {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(&segment, bad).unwrap();
        let fresh = Archive::open(directory.path()).unwrap();
        let error = block_on(fresh.snapshot().unwrap().query(Filter::all()).page()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        assert!(error.to_string().contains(segment.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    fs::remove_file(&segment).unwrap();
    let fresh = Archive::open(directory.path()).unwrap();
    let error = block_on(fresh.snapshot().unwrap().query(Filter::all()).page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");

    let manifest = directory.path().join("manifests/00000000000000000002.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for bad in [text.replace("\"rows\":2", "\"rows\":3"), text[..text.len() / 2].to_owned(), String::new()] {
        fs::write(&manifest, bad).unwrap();
        let error = Archive::open(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("00000000000000000002.json"), "{error}");
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_and_the_appender_goes_on() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let mut appender = archive.appender().unwrap();
    let named = |name: String| Flow { src_node: Some(name), ..flow(1) };
    for bad in [named("n".repeat(256)), named(String::new())] {
        let error = appender.push(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("src_node"), "{error}");
    }
    appender.push(&named("n".repeat(255))).unwrap();
    assert_eq!(appender.commit().unwrap().flows, 1);
    assert_eq!(all(&archive).len(), 1);
}

#[test]
fn a_changed_byte_in_a_segment_is_an_error_and_never_another_answer() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    append(&archive, &[Generator::new(3).flows(300).collect()]);
    let stored = all(&archive);
    let path = directory.path().join(&archive.snapshot().unwrap().manifest().segments[0].path);
    let bytes = fs::read(&path).unwrap();
    let mut errors = 0;
    for at in (4..bytes.len()).step_by(bytes.len() / 150) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let archive = Archive::open(directory.path()).unwrap();
        match block_on(archive.snapshot().unwrap().query(Filter::all()).page()) {
            Ok(page) => assert!(page.flows().unwrap() == stored, "byte {at} gives another answer"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported), "byte {at}: {error:?}");
                errors += 1;
            }
        }
    }
    // Lists and what only other readers look at are not read for this page.
    assert!(errors > 50, "{errors}");
}

#[test]
fn who_waits_for_a_change_is_told_of_it_whichever_process_has_made_it() {
    let place = Place::new();
    let writer = place.archive(100);
    // Another handle knows what is published only from the files, as another process does.
    let follower = Archive::open(&place.path).unwrap();
    block_on(async {
        for archive in [&writer, &follower] {
            let before = archive.snapshot().unwrap();
            let waiting = tokio::spawn({
                let before = before.clone();
                async move { before.changed().await }
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!waiting.is_finished());
            commit(&writer, [1, 2]);
            let after = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap().unwrap();
            assert_eq!(after.manifest().version, before.manifest().version + 1);
            // What has changed already is not waited for.
            assert_eq!(before.changed().await.unwrap().manifest().version, after.manifest().version);
        }
        let last = follower.snapshot().unwrap();
        fs::rename(place.path.join("manifests"), place.path.join("away")).unwrap();
        assert_eq!(last.changed().await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::rename(place.path.join("away"), place.path.join("manifests")).unwrap();
    });
}
