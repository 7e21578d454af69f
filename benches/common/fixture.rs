//! Archives of generated flows, made once and kept in the target folder.

use std::path::PathBuf;

use flowseek::{Archive, generate::Generator};

use super::measure::is_bench;

/// How many flows the benchmarks run over: `FLOWSEEK_BENCH_FLOWS`, else 20 million, and few where only tested.
pub fn flows() -> u64 {
    let named = std::env::var("FLOWSEEK_BENCH_FLOWS").ok().map(|text| text.parse().expect("a number of flows"));
    named.unwrap_or(if is_bench() { 20_000_000 } else { 30_000 })
}

/// The archive of so many generated flows, seed 7.
pub fn archive(flows: u64) -> Archive {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("archive-{flows}"));
    let archive = Archive::open_or_create(&path).unwrap();
    if archive.snapshot().unwrap().manifest().rows() != flows {
        drop(archive);
        std::fs::remove_dir_all(&path).unwrap();
        let archive = Archive::open_or_create(&path).unwrap();
        let mut appender = archive.appender().unwrap();
        Generator::new(7).flows(flows).for_each(|flow| appender.push(&flow).unwrap());
        let _ = appender.commit().unwrap();
        return archive;
    }
    archive
}
