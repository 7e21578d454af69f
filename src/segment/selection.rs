//! Rows of a segment as a DataFusion scan reads them.

use std::{fmt, ops::Range, sync::Arc};

use datafusion::{
    common::Result as DataFusionResult,
    datasource::{
        listing::PartitionedFile,
        physical_plan::parquet::{ParquetAccessPlan, ParquetFileReaderFactory, RowGroupAccess},
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use parquet::arrow::{
    arrow_reader::{RowSelection, RowSelector},
    async_reader::AsyncFileReader,
};

use super::{BlockCache, ReadCounters, SegmentReader, reader::PageReader};

/// Rows of a segment: ascending ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowRanges(Vec<Range<usize>>);

/// From ranges in any order.
impl FromIterator<Range<usize>> for RowRanges {
    fn from_iter<I: IntoIterator<Item = Range<usize>>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }
}

impl RowRanges {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same rows in parts of at most `rows` rows.
    pub(crate) fn split(&self, rows: usize) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        let mut free = 0;
        for range in self.0.iter().flat_map(|range| pieces(range, rows)) {
            match parts.last_mut().filter(|_| free >= range.len()) {
                Some(part) => part.0.push(range.clone()),
                None => {
                    parts.push(Self(vec![range.clone()]));
                    free = rows;
                }
            }
            free = free.saturating_sub(range.len());
        }
        parts
    }

    /// These rows, and no others, of each row group.
    fn access_plan(&self, segment: &SegmentReader) -> ParquetAccessPlan {
        let mut start = 0;
        let mut ranges = self.0.as_slice();
        let groups = segment.metadata().row_groups().iter().map(|group| {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            let end = start + rows;
            let first = ranges.partition_point(|range| range.end <= start);
            ranges = ranges.get(first..).unwrap_or_default();
            let here = ranges.iter().take_while(|range| range.start < end);
            let here: Vec<_> = here.map(|range| range.start.max(start) - start..range.end.min(end) - start).collect();
            start = end;
            match here.as_slice() {
                [] => RowGroupAccess::Skip,
                [range] if range.len() == rows => RowGroupAccess::Scan,
                ranges => RowGroupAccess::Selection(selection(ranges, rows)),
            }
        });
        ParquetAccessPlan::new(groups.collect())
    }

    /// The segment as a file of a scan that reads just these rows.
    pub(crate) fn file(&self, segment: &SegmentReader) -> PartitionedFile {
        // The factory holds the segment, so the name is never looked up.
        PartitionedFile::new("segment", segment.file_bytes()).with_extension(self.access_plan(segment))
    }
}

/// The range in pieces of at most `rows` rows.
fn pieces(range: &Range<usize>, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.clone().step_by(rows.max(1)).map(move |start| start..start.saturating_add(rows.max(1)).min(end))
}

fn selection(ranges: &[Range<usize>], rows: usize) -> RowSelection {
    let mut selectors = Vec::with_capacity(ranges.len() * 2 + 1);
    let mut at = 0;
    for range in ranges {
        selectors.push(RowSelector::skip(range.start - at));
        selectors.push(RowSelector::select(range.len()));
        at = range.end;
    }
    selectors.push(RowSelector::skip(rows - at));
    selectors.into()
}

/// Hands a scan the segment that the process holds, and its footer: nothing of it is read or decoded again.
pub(crate) struct HeldSegment {
    pub(crate) segment: Arc<SegmentReader>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) counters: Arc<ReadCounters>,
}

impl HeldSegment {
    /// Reads it for the Parquet decoder.
    pub(crate) fn reader(&self) -> Box<dyn AsyncFileReader + Send> {
        Box::new(PageReader {
            segment: Arc::clone(&self.segment),
            cache: Arc::clone(&self.cache),
            counters: Arc::clone(&self.counters),
        })
    }
}

impl fmt::Debug for HeldSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSegment").finish_non_exhaustive()
    }
}

impl ParquetFileReaderFactory for HeldSegment {
    fn create_reader(
        &self,
        _partition: usize,
        _file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        Ok(self.reader())
    }
}
