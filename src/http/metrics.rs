//! What the endpoint has done so far, as Prometheus reads it (text format 0.0.4).

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::http::StatusCode;

use crate::query::Explain;

/// The statuses that are counted apart.
const STATUSES: [u16; 9] = [200, 401, 403, 405, 414, 422, 499, 500, 503];
/// The upper bounds of the histogram of times, in microseconds.
const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Counters that only rise.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    statuses: [AtomicU64; STATUSES.len()],
    other_statuses: AtomicU64,
    times: [AtomicU64; BUCKETS.len()],
    time_micros: AtomicU64,
    answers: AtomicU64,
    pages: AtomicU64,
    pages_cut_short: AtomicU64,
    summaries: AtomicU64,
    summaries_cut_short: AtomicU64,
    blocks_read: AtomicU64,
    rows_scanned: AtomicU64,
    rows_returned: AtomicU64,
    bytes_read: AtomicU64,
    bytes_cached: AtomicU64,
    exports_broken_off: AtomicU64,
}

/// What is so at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauges {
    pub(super) running: usize,
    pub(super) most_running: usize,
    pub(super) waiting: usize,
    pub(super) exports: usize,
    /// Flows and segments of the archive; nothing where it cannot be read.
    pub(super) archive: Option<(u64, u64)>,
}

/// The status under which a request is counted whose client went away before it was answered.
pub(super) const CLIENT_GONE: u16 = 499;

impl Metrics {
    /// A request was answered with a status, this long after it came.
    pub(super) fn answered(&self, status: StatusCode, time: Duration) {
        self.count(status.as_u16());
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS.iter().position(|bound| micros <= *bound).and_then(|at| self.times.get(at)) {
            add(bucket, 1);
        }
        add(&self.time_micros, micros);
        add(&self.answers, 1);
    }

    /// Rows that were read for pages, and flows that were answered.
    #[cfg(test)]
    pub(super) fn rows(&self) -> (u64, u64) {
        (self.rows_scanned.load(Ordering::Relaxed), self.rows_returned.load(Ordering::Relaxed))
    }

    /// A client did not wait for its answer.
    pub(super) fn left(&self) {
        self.count(CLIENT_GONE);
    }

    fn count(&self, status: u16) {
        let place = STATUSES.iter().position(|known| *known == status);
        add(place.and_then(|place| self.statuses.get(place)).unwrap_or(&self.other_statuses), 1);
    }

    /// A page was answered, at this cost.
    pub(super) fn paid(&self, explain: &Explain) {
        add(&self.pages, 1);
        add(&self.pages_cut_short, u64::from(explain.budget_spent));
        self.cost(explain);
    }

    /// A summary was answered, at this cost.
    pub(super) fn summarized(&self, explain: &Explain) {
        add(&self.summaries, 1);
        add(&self.summaries_cut_short, u64::from(explain.budget_spent));
        self.cost(explain);
    }

    fn cost(&self, explain: &Explain) {
        add(&self.blocks_read, explain.blocks_read);
        add(&self.rows_scanned, explain.rows_scanned);
        add(&self.rows_returned, explain.rows_returned);
        add(&self.bytes_read, explain.bytes_read);
        add(&self.bytes_cached, explain.bytes_cached);
    }

    /// An export ended before its last match.
    pub(super) fn broken_off(&self) {
        add(&self.exports_broken_off, 1);
    }

    /// All of it as text.
    pub(super) fn text(&self, gauges: Gauges) -> String {
        let mut text = Text::default();
        text.head("requests_total", "counter", "Requests by the status of their answer; 499: the client went away.");
        for (status, counter) in STATUSES.iter().zip(&self.statuses) {
            text.sample("requests_total", &format!("{{status=\"{status}\"}}"), get(counter));
        }
        text.sample("requests_total", "{status=\"other\"}", get(&self.other_statuses));
        self.histogram(&mut text);
        for (name, help, counter) in [
            ("pages_total", "Pages that were searched for.", &self.pages),
            ("pages_cut_short_total", "Pages that used up their budget.", &self.pages_cut_short),
            ("summaries_total", "Summaries that were made.", &self.summaries),
            ("summaries_cut_short_total", "Summaries that used up their budget.", &self.summaries_cut_short),
            ("blocks_read_total", "Blocks that were read.", &self.blocks_read),
            ("rows_scanned_total", "Rows of the blocks that were read.", &self.rows_scanned),
            ("rows_returned_total", "Flows that were answered.", &self.rows_returned),
            ("bytes_read_total", "Bytes that were read from files.", &self.bytes_read),
            ("bytes_cached_total", "Bytes that the cache held.", &self.bytes_cached),
            ("exports_broken_off_total", "Exports that ended before their last match.", &self.exports_broken_off),
        ] {
            text.one(name, "counter", help, get(counter));
        }
        text.one("queries_running", "gauge", "Pages and summaries that are worked on.", gauges.running as u64);
        text.one(
            "queries_limit",
            "gauge",
            "Pages and summaries that may be worked on at a time.",
            gauges.most_running as u64,
        );
        text.one("queries_waiting", "gauge", "Requests that wait for their turn.", gauges.waiting as u64);
        text.one("exports_running", "gauge", "Exports that are streamed.", gauges.exports as u64);
        if let Some((flows, segments)) = gauges.archive {
            text.one("archive_flows", "gauge", "Flows of the archive.", flows);
            text.one("archive_segments", "gauge", "Segments of the archive.", segments);
        }
        text.0
    }

    fn histogram(&self, text: &mut Text) {
        let name = "request_duration_seconds";
        text.head(name, "histogram", "How long requests waited for the head of their answer.");
        let mut below = 0;
        for (bound, counter) in BUCKETS.iter().zip(&self.times) {
            below += get(counter);
            let bound = Duration::from_micros(*bound).as_secs_f64();
            text.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), below);
        }
        // Read after the buckets, so that it is no less than they are.
        let answers = get(&self.answers).max(below);
        text.sample(&format!("{name}_bucket"), "{le=\"+Inf\"}", answers);
        let seconds = Duration::from_micros(get(&self.time_micros)).as_secs_f64();
        text.sample(&format!("{name}_sum"), "", seconds);
        text.sample(&format!("{name}_count"), "", answers);
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Text(String);

// Writing into a string does not fail.
impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP flowseek_{name} {help}\n# TYPE flowseek_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "flowseek_{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.sample(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_end_at_infinity() {
        let metrics = Metrics::default();
        for millis in [1, 3, 3, 60_000] {
            metrics.answered(StatusCode::OK, Duration::from_millis(millis));
        }
        metrics.answered(StatusCode::IM_A_TEAPOT, Duration::ZERO);
        metrics.left();
        let text = metrics.text(Gauges { running: 1, most_running: 8, waiting: 2, exports: 3, archive: Some((4, 5)) });
        for line in [
            "flowseek_requests_total{status=\"200\"} 4",
            "flowseek_requests_total{status=\"499\"} 1",
            "flowseek_requests_total{status=\"other\"} 1",
            "flowseek_request_duration_seconds_bucket{le=\"0.0005\"} 1",
            "flowseek_request_duration_seconds_bucket{le=\"0.001\"} 2",
            "flowseek_request_duration_seconds_bucket{le=\"0.005\"} 4",
            "flowseek_request_duration_seconds_bucket{le=\"10\"} 4",
            "flowseek_request_duration_seconds_bucket{le=\"+Inf\"} 5",
            "flowseek_request_duration_seconds_sum 60.007",
            "flowseek_request_duration_seconds_count 5",
            "flowseek_queries_limit 8",
            "flowseek_queries_waiting 2",
            "flowseek_archive_segments 5",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in {text}");
        }
    }
}
