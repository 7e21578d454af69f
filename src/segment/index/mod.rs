//! The index in a segment: bytes before the Parquet footer, which other readers pass over.

mod blocks;
pub(super) mod bloom;
mod build;
mod built;
mod chunk;
mod compare;
mod damaged;
mod entries;
mod format;
mod found;
mod input;
mod list;
mod lookup;
mod pages;
mod positions;
mod postings;
mod rows;
mod values;

pub(super) use blocks::Blocks;
pub(crate) use bloom::{BloomPage, BloomPlace, is_asked};
pub(super) use build::build;
pub(super) use built::{Built, choose};
pub(super) use chunk::Chunk;
pub(super) use damaged::{decode_corrected, decode_pages, decode_with};
pub(super) use format::{Index, MAGIC, decode, encode, prefix};
pub(super) use found::{Found, PlaceRows, Tally};
pub(super) use list::List;
pub(super) use lookup::Within;
pub(super) use pages::{PageTable, checksum};
pub(super) use postings::{Directory, Listed, lists};
pub(super) use rows::{PIECE_BYTES, RowLists};
pub(crate) use values::{ListValue, Valued};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod sample;
