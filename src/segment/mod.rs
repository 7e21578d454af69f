//! One immutable Parquet file, and the index inside it.
//!
//! The rows of a segment are sorted by start time and flow ID, newest first, and cut into blocks. Every column has
//! page boundaries at the block boundaries, so that a block is read without its neighbours, and more of them within,
//! so that one flow is read without its block.

mod bounds;
mod index;
mod probe;
mod reader;
mod selection;
mod writer;

pub use bounds::{BlockBounds, BoundsTable};
pub use probe::{ProbedBlock, Probes};
pub use reader::{BlockCache, ReadCounters, SegmentReader};
pub(crate) use selection::HeldSegment;
pub use selection::RowRanges;
pub use writer::{SegmentOptions, SegmentSummary, write_segment};
