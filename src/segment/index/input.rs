//! Reading the bytes of the index.

use crate::{
    encoding,
    error::{Error, Result},
};

/// The bytes that are still to be read. Where they are too few the index is damaged.
#[derive(Clone)]
pub(super) struct Input<'a>(encoding::Input<'a>);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(encoding::Input::new(bytes))
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.left()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        self.0.take(length).ok_or_else(damaged)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.0.array().ok_or_else(damaged)
    }

    /// A number of 4 bytes, little endian.
    pub(super) fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number in LEB128.
    #[inline]
    pub(super) fn leb128(&mut self) -> Result<usize> {
        // None of an index comes near to 63 bits.
        let number = self.0.leb128().filter(|number| number >> 63 == 0);
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(damaged)
    }
}

pub(super) fn damaged() -> Error {
    Error::damaged("the index is damaged: its bytes are not those that were written")
}

pub(super) fn too_large() -> Error {
    Error::internal("an index is larger than its format allows")
}
