//! Two things timed side by side: the machine's speed drifts, and their ratio does not.

use std::time::{Duration, Instant};

/// Whether this is a benchmark (`cargo bench`), or a look whether it still works (`cargo test --benches`).
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The medians of two things that were run in turn, `times` each, after one run of each that is not counted.
pub fn in_turn(times: usize, mut left: impl FnMut(), mut right: impl FnMut()) -> (Duration, Duration) {
    let mut samples = (Vec::new(), Vec::new());
    for round in 0..=times {
        let both = (time(&mut left), time(&mut right));
        if round > 0 || times == 0 {
            samples.0.push(both.0);
            samples.1.push(both.1);
        }
    }
    (median(samples.0), median(samples.1))
}

pub fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

pub fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

/// As milliseconds, with three digits after the point.
pub fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
