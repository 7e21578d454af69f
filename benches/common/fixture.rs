//! Archives of generated flows, made once and kept in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flowseek::{Archive, Settings, generate::Generator};
use twox_hash::XxHash64;

use super::measure::is_bench;

/// Flows of the archive that tells the format.
const PROBE_FLOWS: u64 = 20_000;

/// How many flows the benchmarks run over: `FLOWSEEK_BENCH_FLOWS`, else 20 million, and few where only tested.
pub fn flows() -> u64 {
    flows_or(20_000_000)
}

/// The same, else as many as are said.
pub fn flows_or(usual: u64) -> u64 {
    let named = std::env::var("FLOWSEEK_BENCH_FLOWS").ok().map(|text| text.parse().expect("a number of flows"));
    named.unwrap_or(if is_bench() { usual } else { 30_000 })
}

/// The archive of so many generated flows, seed 7. It is made again where this version would write other bytes.
pub fn archive(flows: u64) -> Archive {
    let path = directory().join(format!("archive-{flows}"));
    let (marker, format) = (path.join("bench-format"), format());
    let kept = || {
        let is_current = fs::read_to_string(&marker).is_ok_and(|text| text == format);
        let archive = Archive::open_with(&path, settings()).ok().filter(|_| is_current)?;
        let rows = archive.snapshot().ok()?.manifest().rows();
        (rows == flows).then_some(archive)
    };
    kept().unwrap_or_else(|| {
        let archive = generate(&path, flows);
        fs::write(&marker, &format).unwrap();
        archive
    })
}

/// The same archive, as a process opens it that has just begun.
pub fn reopened(archive: &Archive) -> Archive {
    Archive::open_with(archive.path(), settings()).unwrap()
}

/// A copy of an archive that can be written to; its segments are the same files.
pub fn written_to(archive: &Archive) -> Archive {
    let path = directory().join("archive-written-to");
    drop(create(&path));
    for folder in ["data", "manifests"] {
        fs::remove_dir_all(path.join(folder)).unwrap();
        fs::create_dir(path.join(folder)).unwrap();
        for file in fs::read_dir(archive.path().join(folder)).unwrap().map(Result::unwrap) {
            fs::hard_link(file.path(), path.join(folder).join(file.file_name())).unwrap();
        }
    }
    Archive::open_with(path, settings()).unwrap()
}

/// A new archive at `path`, whatever is there.
pub fn create(path: &Path) -> Archive {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
    Archive::open_or_create_with(path, settings()).unwrap()
}

/// A query asked again is to be counted again.
fn settings() -> Settings {
    Settings::default().count_cache_bytes(0)
}

/// Where archives are kept.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// What tells the format that this version writes from others: a hash of some segment.
pub fn format() -> String {
    let directory = tempfile::tempdir().unwrap();
    let archive = generate(&directory.path().join("probe"), PROBE_FLOWS);
    let snapshot = archive.snapshot().unwrap();
    let segments = snapshot.manifest().segments.iter().map(|entry| fs::read(archive.path().join(&entry.path)).unwrap());
    format!("{:016x}", XxHash64::oneshot(0, &segments.collect::<Vec<_>>().concat()))
}

fn generate(path: &Path, flows: u64) -> Archive {
    let archive = create(path);
    let mut appender = archive.appender().unwrap();
    Generator::new(7).flows(flows).for_each(|flow| appender.push(&flow).unwrap());
    let _ = appender.commit().unwrap();
    archive
}
