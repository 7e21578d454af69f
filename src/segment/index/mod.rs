//! The index in a segment: bytes before the Parquet footer, which other readers pass over.

mod build;
mod chunk;
mod damaged;
mod entries;
mod format;
mod input;
mod list;
mod pages;
mod postings;
mod values;

pub(super) use build::build;
pub(super) use chunk::Chunk;
pub(super) use damaged::{decode_corrected, decode_pages, decode_with};
pub(super) use format::{Index, MAGIC, decode, encode, prefix};
pub(super) use list::List;
pub(super) use pages::{PageTable, checksum};
pub(super) use postings::{Built, Directory, LISTS};
pub(crate) use values::{ListValue, Valued};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod sample;
