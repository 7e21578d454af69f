//! What the endpoint is doing, as Prometheus metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::shared::Inner;
use crate::{archive::Archive, ingest::LiveStatus};

/// What is so at the moment, looked at when it is asked for.
pub(super) struct Gauges<A>(pub(super) Arc<Inner<A>>);

impl<A> fmt::Debug for Gauges<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl<A: Send + Sync + 'static> Collector for Gauges<A> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = |name, help, number: usize| {
            let gauge = ConstGauge::new(number);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let (queries, exports) = (&self.0.shared.queries, &self.0.shared.exports);
        write("queries_running", "Pages and summaries that are worked on.", queries.taken())?;
        write("queries_limit", "Pages and summaries that may be worked on at a time.", queries.places())?;
        write("queries_waiting", "Requests that wait for their turn.", queries.waiting())?;
        write("exports_running", "Exports that are streamed.", exports.taken())?;
        // Where the archive cannot be read it has no number of flows.
        if let Some(Ok(snapshot)) = self.0.archive.as_ref().map(Archive::snapshot) {
            let manifest = snapshot.manifest();
            let flows = usize::try_from(manifest.rows()).unwrap_or(usize::MAX);
            write("archive_flows", "Flows of the archive.", flows)?;
            write("archive_segments", "Segments of the archive.", manifest.segments.len())?;
        }
        let appending = self.0.appending();
        if appending.is_empty() {
            return Ok(());
        }
        let sum = |number: fn(&LiveStatus) -> u64| appending.iter().map(number).fold(0u64, u64::saturating_add);
        let mut write = |name, help, number: u64| write(name, help, usize::try_from(number).unwrap_or(usize::MAX));
        write("appender_queued_bytes", "Bytes of flows that wait to be taken in.", sum(|status| status.queued_bytes))?;
        write("appender_uncommitted_flows", "Flows that are not durable.", sum(|status| status.uncommitted))?;
        let failing = sum(|status| u64::from(status.commit_failure.is_some()));
        write("appender_failing", "Appenders whose commits fail.", failing)?;
        write(
            "appender_held_back_flows",
            "Flows that are too old and not removed yet.",
            sum(|status| status.held_back),
        )?;
        let oldest = appending.iter().filter_map(|status| status.oldest_uncommitted).max();
        let oldest = oldest.unwrap_or_default().as_secs_f64();
        let (name, help) = ("appender_oldest_seconds", "How long the first flow has waited that is not durable.");
        let gauge = ConstGauge::new(oldest);
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        for (name, help, number) in [
            ("appender_commits", "Commits that have added flows.", sum(|status| status.commits)),
            ("appender_commit_failures", "Commits that have failed.", sum(|status| status.commit_failures)),
            (
                "appender_removed_flows",
                "Flows that were removed, as too old or too many.",
                sum(|status| status.removed),
            ),
        ] {
            let counter = ConstCounter::new(number);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}
