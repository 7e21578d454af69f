//! Reading the bytes of the index.

use crate::error::{Error, Result};

/// The bytes that are still to be read.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A number of 4 bytes, little endian.
    pub(super) fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of seven bits a byte, the lowest first, with the high bit where there are more (LEB128).
    pub(super) fn leb128(&mut self) -> Result<usize> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).map_err(|_| damaged());
            }
        }
        Err(damaged())
    }
}

pub(super) fn damaged() -> Error {
    Error::damaged("the index is damaged: its bytes are not those that were written")
}

pub(super) fn too_large() -> Error {
    Error::internal("an index is larger than its format allows")
}
