//! The files of nfdump's collectors, `nfcapd.*`. The mapping is in the documentation of [`import`](super).
//!
//! A file is a header and blocks. A block is a header and records, which are compressed by themselves. There are two layouts,
//! and what differs is told by the records: those of nfdump 1.6 have their fields where an extension map says, which lies in an
//! earlier record of the same file ([`mapped`]); those of nfdump 1.7 consist of extensions with a type and a length each
//! ([`extended`]). Either may be in either layout, as nfdump 1.7 copies blocks when it compresses a file of nfdump 1.6 anew.
//!
//! [`Blocks`] reads the blocks one after the other. Each can be decompressed by itself ([`Block::open`]), and read once the
//! [`Definitions`] are known that came before it: extension maps, and the addresses of exporters.
//!
//! All numbers are little-endian, IPv4 addresses are numbers of 32 bits, and IPv6 addresses two of 64, the higher first.

mod blocks;
mod codec;
mod definitions;
mod draft;
mod extended;
mod extension_map;
mod fields;
mod header;
mod mapped;
mod records;

pub(crate) use blocks::{Block, Blocks};
pub(crate) use definitions::Definitions;
pub(crate) use header::is_nfcapd;
