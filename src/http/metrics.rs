//! What the endpoint has done so far, as Prometheus metrics.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::query::Explain;

/// The statuses that are counted apart.
const STATUSES: [(u16, &str); 9] = [
    (200, "200"),
    (401, "401"),
    (403, "403"),
    (405, "405"),
    (414, "414"),
    (422, "422"),
    (CLIENT_GONE, "499"),
    (500, "500"),
    (503, "503"),
];
/// What the others are counted under.
const OTHER: &str = "other";
/// The upper bounds of the histogram of times, in seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The status under which a request is counted whose client went away before it was answered.
const CLIENT_GONE: u16 = 499;

/// The labels of what is counted: of requests a status, and of those whose grant has a label, that.
type Labels = Vec<(&'static str, String)>;
/// The name of the label of a grant.
const GRANT: &str = "grant";

/// Counters that only rise.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: Family<Labels, Counter>,
    times: Histogram,
    pages: Family<Labels, Counter>,
    pages_cut_short: Family<Labels, Counter>,
    summaries: Family<Labels, Counter>,
    summaries_cut_short: Family<Labels, Counter>,
    blocks_read: Family<Labels, Counter>,
    rows_scanned: Family<Labels, Counter>,
    rows_returned: Family<Labels, Counter>,
    bytes_read: Family<Labels, Counter>,
    bytes_cached: Family<Labels, Counter>,
    exports_broken_off: Family<Labels, Counter>,
}

impl Metrics {
    /// All zero.
    pub(super) fn new() -> Self {
        let requests = Family::<Labels, Counter>::default();
        // A rate of what has never happened is 0, and not absent.
        for (_, status) in STATUSES.into_iter().chain([(0, OTHER)]) {
            drop(requests.get_or_create(&of_status(status, "")));
        }
        Self {
            requests,
            times: Histogram::new(BUCKETS),
            pages: zero(),
            pages_cut_short: zero(),
            summaries: zero(),
            summaries_cut_short: zero(),
            blocks_read: zero(),
            rows_scanned: zero(),
            rows_returned: zero(),
            bytes_read: zero(),
            bytes_cached: zero(),
            exports_broken_off: zero(),
        }
    }

    /// A request was answered with a status, this long after it came.
    pub(super) fn answered(&self, status: StatusCode, time: Duration, label: &str) {
        self.count(status.as_u16(), label);
        self.times.observe(time.as_secs_f64());
    }

    /// Rows that were read for pages, and flows that were answered.
    #[cfg(test)]
    pub(super) fn rows(&self) -> (u64, u64) {
        let sum = |family: &Family<Labels, Counter>| family.get_or_create(&labels("")).get();
        (sum(&self.rows_scanned), sum(&self.rows_returned))
    }

    /// A client did not wait for its answer.
    pub(super) fn left(&self, label: &str) {
        self.count(CLIENT_GONE, label);
    }

    fn count(&self, status: u16, label: &str) {
        let known = STATUSES.iter().find(|(known, _)| *known == status);
        self.requests.get_or_create(&of_status(known.map_or(OTHER, |(_, name)| name), label)).inc();
    }

    /// A page was answered, at this cost.
    pub(super) fn paid(&self, explain: &Explain, label: &str) {
        let labels = labels(label);
        self.pages.get_or_create(&labels).inc();
        self.pages_cut_short.get_or_create(&labels).inc_by(u64::from(explain.budget_spent));
        self.cost(explain, &labels);
    }

    /// A summary was answered, at this cost.
    pub(super) fn summarized(&self, explain: &Explain, label: &str) {
        let labels = labels(label);
        self.summaries.get_or_create(&labels).inc();
        self.summaries_cut_short.get_or_create(&labels).inc_by(u64::from(explain.budget_spent));
        self.cost(explain, &labels);
    }

    fn cost(&self, explain: &Explain, labels: &Labels) {
        self.blocks_read.get_or_create(labels).inc_by(explain.blocks_read);
        self.rows_scanned.get_or_create(labels).inc_by(explain.rows_scanned);
        self.rows_returned.get_or_create(labels).inc_by(explain.rows_returned);
        self.bytes_read.get_or_create(labels).inc_by(explain.bytes_read);
        self.bytes_cached.get_or_create(labels).inc_by(explain.bytes_cached);
    }

    /// An export ended before its last match.
    pub(super) fn broken_off(&self, label: &str) {
        self.exports_broken_off.get_or_create(&labels(label)).inc();
    }

    /// Has a registry write the counters. It ends each help text with a full stop, and each name of a counter with `_total`.
    pub(super) fn register(&self, registry: &mut Registry) {
        let requests = "Requests by the status of their answer; 499: the client went away";
        registry.register("requests", requests, self.requests.clone());
        let times = "How long requests waited for the head of their answer";
        registry.register("request_duration_seconds", times, self.times.clone());
        for (name, help, counter) in [
            ("pages", "Pages that were searched for", &self.pages),
            ("pages_cut_short", "Pages that used up their budget", &self.pages_cut_short),
            ("summaries", "Summaries that were made", &self.summaries),
            ("summaries_cut_short", "Summaries that used up their budget", &self.summaries_cut_short),
            ("blocks_read", "Blocks that were read", &self.blocks_read),
            ("rows_scanned", "Rows of the blocks that were read", &self.rows_scanned),
            ("rows_returned", "Flows that were answered", &self.rows_returned),
            ("bytes_read", "Bytes that were read from files", &self.bytes_read),
            ("bytes_cached", "Bytes that the cache held", &self.bytes_cached),
            ("exports_broken_off", "Exports that ended before their last match", &self.exports_broken_off),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}

/// The labels of what is counted under a grant of this label, which may have none.
fn labels(label: &str) -> Labels {
    if label.is_empty() { Vec::new() } else { vec![(GRANT, label.to_owned())] }
}

fn of_status(status: &str, label: &str) -> Labels {
    [("status", status.to_owned())].into_iter().chain(labels(label)).collect()
}

/// Counters, of which that without a label is 0.
fn zero() -> Family<Labels, Counter> {
    let counters = Family::<Labels, Counter>::default();
    drop(counters.get_or_create(&labels("")));
    counters
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;

    use super::*;

    #[test]
    fn buckets_add_up_and_end_at_infinity() {
        let metrics = Metrics::new();
        for millis in [1, 3, 3, 60_000] {
            metrics.answered(StatusCode::OK, Duration::from_millis(millis), "");
        }
        metrics.answered(StatusCode::IM_A_TEAPOT, Duration::ZERO, "");
        metrics.left("");
        let mut registry = Registry::with_prefix("flowseek");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# HELP flowseek_requests_total Requests by the status of their answer; 499: the client went away.",
            "# TYPE flowseek_requests_total counter",
            "flowseek_requests_total{status=\"200\"} 4",
            "flowseek_requests_total{status=\"401\"} 0",
            "flowseek_requests_total{status=\"499\"} 1",
            "flowseek_requests_total{status=\"other\"} 1",
            "# TYPE flowseek_request_duration_seconds histogram",
            "flowseek_request_duration_seconds_bucket{le=\"0.0005\"} 1",
            "flowseek_request_duration_seconds_bucket{le=\"0.001\"} 2",
            "flowseek_request_duration_seconds_bucket{le=\"0.005\"} 4",
            "flowseek_request_duration_seconds_bucket{le=\"10\"} 4",
            "flowseek_request_duration_seconds_bucket{le=\"+Inf\"} 5",
            "flowseek_request_duration_seconds_sum 60.007",
            "flowseek_request_duration_seconds_count 5",
            "flowseek_pages_total 0",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in {text}");
        }
    }
}
