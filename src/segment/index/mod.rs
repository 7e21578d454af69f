//! The index in a segment: bytes before the Parquet footer, which other readers pass over.

mod format;
mod input;
mod postings;

pub(super) use format::{Index, decode, encode};
pub(super) use postings::{Built, Directory, LISTED, build};
