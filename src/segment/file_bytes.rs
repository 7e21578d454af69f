//! The bytes of a file, for the Parquet crate.

use std::{
    io::{self, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
};

use crate::resources::SharedFile;

/// Bytes that are read in one go.
const BUFFER: usize = 64 << 10;

/// A file that the Parquet crate reads, and that need not stay open.
#[derive(Clone, Debug)]
pub(crate) struct FileBytes(Arc<SharedFile>);

impl FileBytes {
    pub(crate) fn new(file: Arc<SharedFile>) -> Self {
        Self(file)
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for FileBytes {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(BUFFER, From { file: Arc::clone(&self.0), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.size()) {
            return Err(ParquetError::EOF("the file ends before".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A file from some byte on.
#[derive(Debug)]
pub(crate) struct From {
    file: Arc<SharedFile>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.size().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(bytes.len());
        if let Some(bytes) = bytes.get_mut(..length) {
            self.file.read_exact_at(bytes, self.at)?;
        }
        self.at += length as u64;
        Ok(length)
    }
}
