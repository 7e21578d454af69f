//! Parts of a filter that few values pass, looked up in the lists of many segments.
//!
//! A search for a rare value finds nothing in most segments. To learn that from lists that are in memory takes less than to
//! ask them for the rows of each block.

use bytes::Bytes;

use super::{
    RowReader, SegmentReader,
    index::{Chunk, List, Listed, Within, lists},
};
use crate::{
    error::Result,
    filter::{Filter, Set, Test},
    flow::Field,
};

/// No more ranges of values are looked up for a part of a filter.
const MOST_RANGES: usize = 8;

/// What is looked up for each part of which a flow must pass all.
#[derive(Debug)]
pub(crate) struct Needles(Vec<Part>);

/// A part of which a flow must pass all.
#[derive(Debug)]
enum Part {
    /// No list tells of it.
    Unlisted,
    /// Lists tell of it, but not by some values.
    Listed,
    /// A flow passes it whose value is in one of these ranges.
    Needles(Vec<Needle>),
}

/// The values of a field that pass a test.
#[derive(Debug)]
struct Needle {
    field: Field,
    ranges: Vec<Range>,
}

/// The least value of a range and the greatest, as lists have them.
type Range = (Vec<u8>, Vec<u8>);

/// The values of a list that are in a range.
enum Values<'s> {
    /// There are none.
    None,
    /// They are in this chunk, of which the bytes are given, if there are any.
    In(&'s Listed, &'s Chunk, Bytes),
    /// More must be read to know them.
    Unread,
}

impl Needles {
    /// Those of a filter.
    pub(crate) fn new(filter: &Filter) -> Self {
        Self(filter.conjuncts().iter().map(Part::new).collect())
    }

    /// The place of the first part that no flow of a segment passes, as far as lists tell that are in memory. `None` where
    /// flows may pass all parts, or more must be read to know the first that none passes.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where a list is not what was written.
    pub(crate) fn missing(&self, segment: &SegmentReader, reader: &RowReader) -> Result<Option<usize>> {
        for (place, part) in self.0.iter().enumerate() {
            let is_held = match part {
                Part::Unlisted => Some(true),
                Part::Listed => None,
                Part::Needles(needles) => any_held(needles, segment, reader)?,
            };
            match is_held {
                Some(true) => {}
                Some(false) => return Ok(Some(place)),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// How many flows of a segment match, where the filter is one test and lists tell that are in memory.
    ///
    /// # Errors
    /// As [`missing`](Self::missing).
    pub(crate) fn total(&self, segment: &SegmentReader, reader: &RowReader) -> Result<Option<u64>> {
        let [Part::Needles(needles)] = self.0.as_slice() else { return Ok(None) };
        let [Needle { field, ranges }] = needles.as_slice() else { return Ok(None) };
        let mut sum = 0u64;
        for range in ranges {
            match values(*field, range, segment, reader) {
                Values::None => {}
                Values::In(listed, chunk, bytes) => {
                    let total = listed.total(chunk, &bytes, &range.0, &range.1);
                    sum = sum.saturating_add(total.map_err(|error| segment.named(error))?);
                }
                Values::Unread => return Ok(None),
            }
        }
        Ok(Some(sum))
    }
}

impl Part {
    fn new(part: &Filter) -> Self {
        let tests = match part {
            Filter::Or(parts) => parts.as_slice(),
            part => std::slice::from_ref(part),
        };
        let is_listed =
            |test: &Test| lists().iter().any(|fields| test.field().is_some_and(|field| fields.contains(&field)));
        match tests.iter().map(Needle::new).collect::<Option<Vec<_>>>() {
            Some(needles) if !needles.is_empty() => Self::Needles(needles),
            _ if part.tests().any(is_listed) => Self::Listed,
            _ => Self::Unlisted,
        }
    }
}

impl Needle {
    /// That of a test that few values pass, where a list has the values of its field alone.
    fn new(part: &Filter) -> Option<Self> {
        let Filter::Test(test) = part else { return None };
        let is_narrow = match test.set() {
            Set::Numbers(ranges) => ranges.as_slice().len() <= MOST_RANGES,
            Set::Texts { texts, listed } => *listed && texts.len() <= MOST_RANGES,
            Set::Flags { .. } | Set::Patterns { .. } => false,
        };
        let field = test.field()?;
        let list = lists().iter().find(|fields| **fields == [field])?;
        (is_narrow && !test.passes_absent()).then(|| Self { field, ranges: List::of(list).ranges(part) })
    }
}

/// Whether any flow has a value of some needles; `None` where more must be read to know it.
fn any_held(needles: &[Needle], segment: &SegmentReader, reader: &RowReader) -> Result<Option<bool>> {
    for Needle { field, ranges } in needles {
        for range in ranges {
            match values(*field, range, segment, reader) {
                Values::None => {}
                Values::In(listed, chunk, bytes) => {
                    let holds = listed.holds(chunk, &bytes, &range.0, &range.1);
                    if holds.map_err(|error| segment.named(error))? {
                        return Ok(Some(true));
                    }
                }
                Values::Unread => return Ok(None),
            }
        }
    }
    Ok(Some(false))
}

/// The values of a field that are in a range.
fn values<'s>(field: Field, (low, high): &Range, segment: &'s SegmentReader, reader: &RowReader) -> Values<'s> {
    let mut lists = segment.directory().lists().iter();
    let Some(listed) = lists.find(|listed| listed.fields() == [field]) else { return Values::Unread };
    match listed.within(low, high) {
        Within::Nothing => Values::None,
        Within::Several => Values::Unread,
        Within::Chunk(chunk) => match reader.cache().held_list(segment, chunk, reader.counters()) {
            Some(bytes) => Values::In(listed, chunk, bytes),
            None => Values::Unread,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use super::*;
    use crate::{
        filter,
        flow::{Flow, FlowId, Protocol, Timestamp},
        schema::FlowBuilder,
        segment::{Effort, PageCache, Probes, ReadCounters, SegmentOptions, write_segment},
    };

    #[test]
    fn a_part_that_no_flow_passes_is_known_once_its_list_was_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment.parquet");
        let mut flows = FlowBuilder::default();
        for n in 0..300u16 {
            let node = Some(format!("node-{}", n % 7));
            let start = Flow::starting(Timestamp::from_millis(n.into()).unwrap());
            flows.push(&Flow { dst_port: Some(n * 2), src_node: node, protocol: Protocol::new(6), ..start }).unwrap();
        }
        let options = SegmentOptions { block_rows: 16, row_group_blocks: 1 };
        let flows = flows.finish(FlowId::new(1)).unwrap();
        let _ = write_segment(&flows, File::create(&path).unwrap(), options).unwrap();
        let segment = Arc::new(SegmentReader::open(&path).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let port = |port: u16| filter::dst_port().eq(port);
        let node = |node: &str| filter::src_node().eq(node);
        for (filter, missing, total) in [
            (port(20), None, Some(1)),
            (port(21), Some(0), Some(0)),
            (port(599), Some(0), Some(0)),
            (filter::dst_port().any_of([3, 4, 5, 6]), None, Some(2)),
            (filter::dst_port().within(30..=30), None, Some(1)),
            (filter::dst_port().none_of([20]), None, Some(299)),
            (node("node-3"), None, Some(43)),
            (node("node-30"), Some(0), Some(0)),
            (node("node-3").and(port(21)), Some(1), None),
            (node("node-30").and(port(21)), Some(0), None),
            (port(21).or(node("node-30")), Some(0), None),
            (port(21).or(node("node-3")), None, None),
            (filter::src_bytes().within(7..).and(port(21)), Some(1), None),
            // Whether a flow passes the first part is known only by the rows of its list.
            (filter::protocol().eq(Protocol::new(6)).and(port(21)), None, None),
        ] {
            let cache = Arc::new(PageCache::new(1 << 20));
            let reader = RowReader::new(cache, Arc::new(ReadCounters::default()));
            let needles = Needles::new(&filter);
            let looked = |reader: &RowReader| {
                (needles.missing(&segment, reader).unwrap(), needles.total(&segment, reader).unwrap())
            };
            assert_eq!(looked(&reader), (None, None), "{filter}");
            let filter = Arc::new(filter);
            runtime.block_on(Probes::ask(&filter, &segment, &reader, Effort::Count)).unwrap();
            assert_eq!(looked(&reader), (missing, total), "{filter}");
        }
    }
}
