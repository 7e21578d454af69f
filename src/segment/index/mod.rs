//! The index in a segment: bytes before the Parquet footer, which other readers pass over.

mod format;

pub(super) use format::{decode, encode};
