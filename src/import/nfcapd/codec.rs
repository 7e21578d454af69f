//! How the blocks of a file are compressed.

use std::io::Read;

use bzip2::read::BzDecoder;

/// The most bytes of a block, compressed or not: as many as nfdump itself has room for.
pub(super) const MAX_BLOCK_BYTES: usize = 5 << 20;

/// A compression of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Lzo,
    Bzip2,
    Lz4,
    Zstd,
}

impl Codec {
    /// Decompresses a block, to at most [`MAX_BLOCK_BYTES`]; or says what is wrong with it.
    pub(super) fn decompress(self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Self::None => Ok(bytes),
            Self::Lzo => fill(|room| lzokay::decompress::decompress(&bytes, room)),
            Self::Bzip2 => bunzip2(&bytes),
            Self::Lz4 => fill(|room| lz4_flex::block::decompress_into(&bytes, room)),
            Self::Zstd => fill(|room| zstd::bulk::decompress_to_buffer(&bytes, room)),
        }
        .map_err(|problem| format!("the {} data is damaged ({problem})", self.name()))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Lzo => "LZO",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "LZ4",
            Self::Zstd => "zstd",
        }
    }
}

/// What is written into a room of the most bytes that there can be.
fn fill<E: std::fmt::Display>(decompress: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Vec<u8>, String> {
    // Zeroed pages take no memory before they are written to.
    let mut room = vec![0; MAX_BLOCK_BYTES];
    let length = decompress(&mut room).map_err(|error| error.to_string())?;
    room.truncate(length);
    Ok(room)
}

fn bunzip2(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut decompressed = Vec::new();
    let most = MAX_BLOCK_BYTES as u64;
    let length = BzDecoder::new(bytes).take(most + 1).read_to_end(&mut decompressed);
    match length {
        Ok(length) if length > MAX_BLOCK_BYTES => Err(format!("it is more than {MAX_BLOCK_BYTES} bytes")),
        Ok(_) => Ok(decompressed),
        Err(error) => Err(error.to_string()),
    }
}
