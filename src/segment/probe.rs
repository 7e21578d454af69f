//! What the lists of a segment tell of a filter.

use std::sync::Arc;

use parquet::arrow::async_reader::AsyncFileReader;

use super::{BlockBounds, BlockCache, BoundsTable, ReadCounters, SegmentReader, reader::PageReader};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Bounds, Filter, Test},
    flow::{Field, Span},
};

/// How many flows of each block pass the tests of a filter that the lists of the segment answer.
#[derive(Debug)]
pub struct Probes<'f> {
    tests: Vec<(&'f Test, Vec<u32>)>,
}

impl<'f> Probes<'f> {
    /// Asks the lists of `segment`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where a list is not what was written, [`ErrorKind::Io`] where it cannot be read.
    pub async fn ask(
        filter: &'f Filter,
        segment: &Arc<SegmentReader>,
        cache: &Arc<BlockCache>,
        counters: &Arc<ReadCounters>,
    ) -> Result<Self> {
        let mut wanted = Vec::new();
        filter.tests(&mut wanted);
        let mut tests = Vec::new();
        for test in wanted {
            let Some(chunks) = segment.directory().chunks(test) else { continue };
            let places = chunks.iter().map(|chunk| chunk.place()).collect();
            let mut reader =
                PageReader { segment: Arc::clone(segment), cache: Arc::clone(cache), counters: Arc::clone(counters) };
            let message = || format!("the index of segment {} cannot be read", segment.path().display());
            let lists = reader.get_byte_ranges(places).await;
            let lists = lists.map_err(|error| Error::with(ErrorKind::Io, message())(error))?;
            let mut counts = vec![0; segment.blocks().len()];
            for (chunk, bytes) in chunks.iter().zip(lists) {
                let counted = chunk.count(&bytes, test, &mut counts);
                counted.map_err(|error| Error::with(error.kind(), message())(error))?;
            }
            tests.push((test, counts));
        }
        Ok(Self { tests })
    }

    /// The segment as a whole, as its bounds and lists tell of it.
    pub fn whole<'a>(&'a self, segment: &'a SegmentReader) -> ProbedBlock<'a> {
        ProbedBlock { bounds: segment.whole(), probes: self, block: None }
    }

    /// A block, as the bounds and lists of its segment tell of it.
    pub fn block<'a>(&'a self, blocks: &'a BoundsTable, block: usize) -> ProbedBlock<'a> {
        ProbedBlock { bounds: blocks.block(block), probes: self, block: Some(block) }
    }
}

/// A block, or a segment, as its bounds and lists tell of it.
#[derive(Clone, Copy, Debug)]
pub struct ProbedBlock<'a> {
    bounds: BlockBounds<'a>,
    probes: &'a Probes<'a>,
    block: Option<usize>,
}

impl Bounds for ProbedBlock<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        self.bounds.field(field)
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.bounds.flag_masks()
    }

    fn rows(&self) -> Option<u64> {
        Bounds::rows(&self.bounds)
    }

    fn passing(&self, test: &Test) -> Option<u64> {
        // The tests are those of the one filter that was asked for, so that it is the same test tells its address.
        let (_, counts) = self.probes.tests.iter().find(|(probed, _)| std::ptr::eq(*probed, test))?;
        match self.block {
            Some(block) => counts.get(block).map(|count| u64::from(*count)),
            None => Some(counts.iter().map(|count| u64::from(*count)).sum()),
        }
    }
}
