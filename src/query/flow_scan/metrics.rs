//! What a scan has cost, as the metrics of its plan node.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use crate::{
    query::{Dropped, Explain},
    segment::ReadCounters,
};

/// Counts in the metrics of a node, under the names that [`Explain`] has.
#[derive(Debug)]
pub(super) struct ScanMetrics {
    pub(super) set: ExecutionPlanMetricsSet,
    partition: usize,
    counts: [Count; 10],
    narrowed: [Count; 2],
    dropped: BTreeMap<String, [Count; 2]>,
}

const NAMES: [&str; 10] = [
    "segments_never",
    "segments_done",
    "segments_opened",
    "blocks",
    "blocks_never",
    "blocks_done",
    "blocks_read",
    "rows_scanned",
    "bytes_read",
    "bytes_cached",
];

impl ScanMetrics {
    pub(super) fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counts = NAMES.map(|name| MetricBuilder::new(set).counter(name, partition));
        let narrowed =
            ["segments_narrowed", "blocks_narrowed"].map(|name| MetricBuilder::new(set).counter(name, partition));
        Self { set: set.clone(), partition, counts, narrowed, dropped: BTreeMap::new() }
    }

    /// Adds segments and blocks that were passed over because of filters of the nodes above.
    pub(super) fn narrow(&self, segments: usize, blocks: usize) {
        let [of_segments, of_blocks] = &self.narrowed;
        of_segments.add(segments);
        of_blocks.add(blocks);
    }

    /// Adds what a part of the work has cost.
    pub(super) fn add(&mut self, explain: &Explain) {
        let added = [
            explain.segments_never,
            explain.segments_done,
            explain.segments_opened,
            explain.blocks,
            explain.blocks_never,
            explain.blocks_done,
            explain.blocks_read,
            explain.rows_scanned,
            explain.bytes_read,
            explain.bytes_cached,
        ];
        for (count, added) in self.counts.iter().zip(added) {
            count.add(usize::try_from(added).unwrap_or(usize::MAX));
        }
        for Dropped { predicate, segments, blocks } in &explain.dropped {
            let (set, partition) = (&self.set, self.partition);
            let counts = self.dropped.entry(predicate.clone()).or_insert_with(|| {
                ["segments_dropped", "blocks_dropped"].map(|name| {
                    MetricBuilder::new(set).with_new_label("predicate", predicate.clone()).counter(name, partition)
                })
            });
            for (count, added) in counts.iter().zip([segments, blocks]) {
                count.add(usize::try_from(*added).unwrap_or(usize::MAX));
            }
        }
    }
}

/// What was read since it was asked last: bytes from files, and bytes that the cache held.
pub(super) fn taken(counters: &ReadCounters) -> (u64, u64) {
    let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
    (take(&counters.read), take(&counters.cached))
}
