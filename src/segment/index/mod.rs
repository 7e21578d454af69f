//! The index in a segment: bytes before the Parquet footer, which other readers pass over.

mod chunk;
mod entries;
mod format;
mod input;
mod pages;
mod postings;

pub(super) use chunk::Chunk;
pub(super) use format::{Index, decode, encode};
pub(super) use pages::{PageTable, checksum};
pub(super) use postings::{Built, Directory, LISTS, build};
