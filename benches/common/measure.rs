//! Things timed side by side: the machine's speed drifts, and their ratio does not.

use std::time::{Duration, Instant};

/// Whether this is a benchmark (`cargo bench`), or a look whether it still works (`cargo test --benches`).
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// How often something is run that takes `once`: often enough for a median, and not for minutes.
pub fn runs(once: Duration) -> usize {
    match once.as_millis() {
        _ if !is_bench() => 1,
        0..50 => 31,
        50..500 => 7,
        _ => 3,
    }
}

/// The medians of things that are run in turn, after one run of each that is not counted.
pub fn in_turn<F: FnMut()>(things: &mut [F]) -> Vec<Duration> {
    let wanted: Vec<usize> = things.iter_mut().map(|thing| runs(time(thing))).collect();
    let mut samples = vec![Vec::new(); things.len()];
    for round in 0..wanted.iter().copied().max().unwrap_or(0) {
        for ((thing, wanted), samples) in things.iter_mut().zip(&wanted).zip(&mut samples) {
            if round < *wanted {
                samples.push(time(&mut *thing));
            }
        }
    }
    samples.into_iter().map(median).collect()
}

pub fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

pub fn median(samples: Vec<Duration>) -> Duration {
    quantile(samples, 0.5)
}

/// The sample below which a share of them lies.
pub fn quantile(mut samples: Vec<Duration>, share: f64) -> Duration {
    samples.sort();
    let place = (samples.len() as f64 * share) as usize;
    samples[place.min(samples.len() - 1)]
}

/// As milliseconds, with three digits after the point.
pub fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// How many times as long `other` took as `time`.
pub fn ratio(other: Duration, time: Duration) -> f64 {
    other.as_secs_f64() / time.as_secs_f64()
}

/// The most memory that this process has held so far, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
