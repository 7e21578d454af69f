//! One immutable Parquet file, and the index inside it.
//!
//! The rows of a segment are sorted by start time and flow ID, newest first, and cut into blocks, and blocks into at
//! most four pages. Every column has page boundaries at the same rows, so that a block is read without its neighbours,
//! and a flow without most of its block.

mod bounds;
mod cache;
mod candidates;
mod check;
mod columns;
mod cores;
mod decode;
mod decompress;
mod file_bytes;
mod footer;
mod index;
mod join;
mod levels;
mod limits;
mod listed_rows;
mod names;
mod needle;
mod numbers;
mod offsets;
mod page_header;
mod paged_rows;
mod part_rows;
mod places;
mod probe;
mod reader;
mod revision;
mod row_pieces;
mod row_plan;
mod row_set;
mod rows;
mod salvage;
mod selection;
mod shape;
mod small;
mod value_list;
mod writer;
mod zone_map;

pub(crate) use bounds::BlockBounds;
pub(crate) use cache::{PageCache, ReadCounters};
pub(crate) use check::PARQUET_MAGIC;
pub(crate) use columns::{Columns, RowReader};
pub(crate) use columns::{PartColumns, ToldNames, whole_addresses};
pub(crate) use file_bytes::FileBytes;
pub(crate) use index::{BloomPage, BloomPlace, ListValue, is_asked};
pub(crate) use limits::Effort;
pub(crate) use needle::Needles;
pub(crate) use page_header::{PageHeader, page_header};
pub(crate) use paged_rows::PagedRows;
pub(crate) use part_rows::PartRows;
pub(crate) use probe::{Probes, grouped};
pub(crate) use reader::SegmentReader;
pub(crate) use row_set::RowSet;
pub(crate) use row_set::bit_words;
pub(crate) use rows::RowRanges;
pub(crate) use selection::Selection;
pub(crate) use shape::Shape;
pub(crate) use value_list::listed_together;
pub use writer::SegmentOptions;
pub(crate) use writer::{SegmentSummary, write_segment};
pub use zone_map::ZoneMap;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod sample;
#[cfg(test)]
#[cfg(feature = "generate")]
mod verdicts;
