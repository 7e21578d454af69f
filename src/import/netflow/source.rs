//! What the forms of captures have in common.

use std::io::{self, BufRead, Read};

/// The longest packet, in bytes: what libpcap allows as well.
pub(super) const MAX_PACKET_BYTES: usize = 262_144;

/// The byte order of the numbers of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self == Self::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// An input whose end may come where there should be more.
pub(super) struct Source(Box<dyn BufRead + Send>);

impl Source {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self(input)
    }

    /// Reads as many bytes as there are places, or fewer at the end.
    pub(super) fn fill(&mut self, places: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = places.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.0.read(room) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        if self.fill(&mut bytes)? == N { Ok(bytes) } else { Err(cut_off()) }
    }

    /// Reads `length` bytes into `buffer`, in place of what it held.
    pub(super) fn read(&mut self, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(length, 0);
        if self.fill(buffer)? == length { Ok(()) } else { Err(cut_off()) }
    }

    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.0.by_ref().take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(cut_off()) }
    }
}

/// Refuses a packet that no program captures.
pub(super) fn check_length(length: u32) -> io::Result<()> {
    if length as usize <= MAX_PACKET_BYTES {
        return Ok(());
    }
    Err(damaged(format!("it says that it has {length} bytes, and the most is {MAX_PACKET_BYTES}")))
}

pub(super) fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The input ends where there should be more.
pub(super) fn cut_off() -> io::Error {
    damaged("the input ends in the middle of it".to_owned())
}
