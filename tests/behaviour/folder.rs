//! Temporary directories whose archives are verified when a test is done with them.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use flowseek::{Archive, Flow, flow::Timestamp};
use tempfile::TempDir;

use crate::support::{append, assert_sound};

/// A temporary directory. When it is dropped, each archive in it must be sound to the last row, whatever the test has done
/// to it.
pub struct Folder {
    directory: TempDir,
    expects_damage: AtomicBool,
}

impl Folder {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), expects_damage: AtomicBool::new(false) }
    }

    /// The test damages an archive on purpose: none is verified.
    pub fn expect_damage(&self) {
        self.expects_damage.store(true, Ordering::Relaxed);
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() && !self.expects_damage.load(Ordering::Relaxed) {
            archives(self.path()).iter().for_each(|archive| assert_sound(archive));
        }
    }
}

/// The archives at a path and below it.
fn archives(path: &Path) -> Vec<PathBuf> {
    let is_archive = |folder: &Path| {
        let mut manifests = fs::read_dir(folder.join("manifests")).into_iter().flatten();
        manifests.any(|file| file.unwrap().path().extension().is_some_and(|ending| ending == "json"))
    };
    if is_archive(path) {
        return vec![path.to_owned()];
    }
    let below = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    below.filter(|path| path.is_dir()).flat_map(|path| archives(&path)).collect()
}

#[test]
fn a_test_that_leaves_a_damaged_archive_fails() {
    let damaged = || {
        let folder = Folder::new();
        let path = folder.path().join("deep/flows");
        let archive = Archive::open_or_create(&path).unwrap();
        append(&archive, &[vec![Flow::starting(Timestamp::MIN)]]);
        fs::remove_file(path.join(&archive.snapshot().unwrap().manifest().segments[0].path)).unwrap();
        folder
    };
    assert!(catch_unwind(|| drop(damaged())).is_err());
    let meant = damaged();
    meant.expect_damage();
    drop(meant);
}

#[test]
fn archives_of_tests_lie_in_folders_that_verify_them() {
    fn files(path: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour");
    let others = files(&tests).into_iter().filter(|file| *file != tests.join("folder.rs"));
    let makes_its_own = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("tempfile");
    assert_eq!(others.filter(makes_its_own).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}
