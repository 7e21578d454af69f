//! A part of a list that is read by itself.

use std::ops::Range;

use bytes::Bytes;
use twox_hash::XxHash64;

use super::input::damaged;
use crate::error::{Error, ErrorKind, Result};

/// No chunk has more bytes: a value that is in every block of the largest segment takes less.
const LARGEST: usize = 64 << 20;

/// How hard chunks are compressed.
const ZSTD_LEVEL: i32 = 3;

/// A run of entries of one list, or a piece of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Chunk {
    /// The value of its first entry; nothing of a piece of rows.
    pub(in super::super) first: Vec<u8>,
    /// Where its bytes lie in the file.
    pub(in super::super) place: Range<u64>,
    /// Bytes that it has, decompressed.
    pub(super) length: u32,
    /// The XXH64 of its bytes in the file.
    pub(super) checksum: u64,
}

impl Chunk {
    /// Whether these, in the file, are the bytes that were written.
    pub(in super::super) fn is_of(&self, packed: &[u8]) -> bool {
        XxHash64::oneshot(0, packed) == self.checksum
    }

    /// Its bytes, from those in the file.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where they are not those that were written.
    pub(in super::super) fn unpack(&self, packed: &[u8]) -> Result<Bytes> {
        let length = self.length as usize;
        if !self.is_of(packed) || length > LARGEST {
            return Err(damaged());
        }
        let bytes = zstd::bulk::decompress(packed, length).map_err(|_| damaged())?;
        if bytes.len() == length { Ok(bytes.into()) } else { Err(damaged()) }
    }
}

/// Compresses bytes of a list.
pub(super) fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(Error::with(ErrorKind::Internal, "a list cannot be compressed"))
}
