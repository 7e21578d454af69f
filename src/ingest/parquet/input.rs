//! The bytes of a file, by their place.

use std::{fs::File, io, io::Read, os::unix::fs::FileExt, sync::Arc};

use bytes::{Buf, Bytes};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// Bytes that are read at once where it is not said how many are wanted.
const BUFFER_BYTES: usize = 1 << 14;

/// An input that can be read at any place, by several readers at once. A length that damage has made is an error before
/// memory is taken for it.
#[derive(Clone, Debug)]
pub(in crate::ingest) enum Input {
    /// A file, and how many bytes it has.
    File(Arc<File>, u64),
    /// Bytes in memory.
    Bytes(Bytes),
}

impl Input {
    fn check(&self, start: u64, length: u64) -> Result<()> {
        match start.checked_add(length) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(ParquetError::EOF(format!(
                "{length} bytes from byte {start} on are beyond its end: it has {} bytes",
                self.len()
            ))),
        }
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, bytes) => *bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Box<dyn Read>> {
        self.check(start, 0)?;
        Ok(match self {
            Self::File(file, _) => {
                let from = From { file: Arc::clone(file), at: start };
                Box::new(io::BufReader::with_capacity(BUFFER_BYTES, from))
            }
            Self::Bytes(bytes) => Box::new(bytes.slice(usize::try_from(start)?..).reader()),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.check(start, length as u64)?;
        match self {
            Self::File(file, _) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Self::Bytes(bytes) => {
                let start = usize::try_from(start)?;
                Ok(bytes.slice(start..start + length))
            }
        }
    }
}

/// A file from one place on.
struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
