//! Bytes of a file to pages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, buf::Reader};
use parquet::{
    basic::Compression,
    column::page::{Page, PageReader as _},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::ColumnChunkMetaData,
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
    schema::types::ColumnDescPtr,
};

/// Parses and decompresses pages one by one, whichever column they are of, with the contexts of one codec.
///
/// The Parquet crate does that only for a column chunk from its beginning. So it is given a chunk without end, whose
/// bytes are at any moment just those of the next page.
#[derive(Default)]
pub(super) struct Decompressor {
    codecs: Vec<Codec>,
}

struct Codec {
    compression: Compression,
    reader: SerializedPageReader<NextPage>,
    next: Arc<NextPage>,
    at: u64,
}

/// Longer than any chunk is.
const ENDLESS: i64 = i64::MAX / 2;

impl Decompressor {
    /// The page in `bytes`, which is of `chunk`.
    pub(super) fn decompress(&mut self, bytes: Bytes, chunk: &ColumnChunkMetaData) -> ParquetResult<Page> {
        let known = self.codecs.iter().position(|codec| codec.compression == chunk.compression());
        // A codec that fails stays out: where it stands in its bytes is then unknown.
        let mut codec = match known {
            Some(place) => self.codecs.swap_remove(place),
            None => Codec::new(chunk.compression(), chunk.column_descr_ptr())?,
        };
        let page = codec.decompress(bytes)?;
        self.codecs.push(codec);
        Ok(page)
    }
}

impl Codec {
    fn new(compression: Compression, column: ColumnDescPtr) -> ParquetResult<Self> {
        let endless = ColumnChunkMetaData::builder(column)
            .set_compression(compression)
            .set_total_compressed_size(ENDLESS)
            .set_data_page_offset(0)
            .build()?;
        let next = Arc::new(NextPage::default());
        let reader = SerializedPageReader::new(Arc::clone(&next), &endless, 0, None)?;
        Ok(Self { compression, reader, next, at: 0 })
    }

    fn decompress(&mut self, bytes: Bytes) -> ParquetResult<Page> {
        let length = bytes.len() as u64;
        *self.next.lock() = (self.at, bytes);
        let page = self.reader.get_next_page()?;
        self.at += length;
        page.ok_or_else(|| ParquetError::EOF("a page ends early".to_owned()))
    }
}

/// The bytes of the next page, and where they begin.
#[derive(Default)]
struct NextPage(Mutex<(u64, Bytes)>);

impl NextPage {
    fn lock(&self) -> MutexGuard<'_, (u64, Bytes)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let (begin, bytes) = &*self.lock();
        let skip = start.checked_sub(*begin).and_then(|skip| usize::try_from(skip).ok());
        let skip = skip.filter(|skip| *skip <= bytes.len());
        skip.map(|skip| bytes.slice(skip..)).ok_or_else(|| ParquetError::EOF("a page is cut off".to_owned()))
    }
}

impl Length for NextPage {
    fn len(&self) -> u64 {
        ENDLESS as u64
    }
}

impl ChunkReader for NextPage {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.from(start)?;
        if rest.len() == length {
            return Ok(rest);
        }
        Err(ParquetError::EOF(format!("a page has {} bytes where its header says {length}", rest.len())))
    }
}
