//! Compressed inputs.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::head::WithHead;
use crate::error::{Error, ErrorKind, Result};

const BUFFER_BYTES: usize = 1 << 17;

/// Opens an input that may be compressed with gzip, of one or several members, or zstd, of one or several frames.
/// Its first bytes tell, never its name; everything else is read as it is.
///
/// The first [`BufRead::fill_buf`] gives at least the first line that is not blank, up to 64 KiB of it, so that
/// [`detect`](super::detect) has enough.
///
/// Data that is damaged or cut off shows while reading, as an [`io::ErrorKind::InvalidData`] after what was good of it.
///
/// # Errors
/// [`ErrorKind::Io`] if the input cannot be read.
///
/// ```
/// use std::io::Read;
///
/// let mut text = String::new();
/// flowseek::import::decompress(&b"plain"[..])?.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "plain");
/// # Ok::<(), flowseek::Error>(())
/// ```
pub fn decompress(mut input: impl Read + Send + 'static) -> Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::new();
    let cannot = "the input cannot be read";
    input.by_ref().take(4).read_to_end(&mut head).map_err(Error::with(ErrorKind::Io, cannot))?;
    let codec = Codec::of(&head);
    let input = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(input));
    Ok(match codec {
        None => Box::new(WithHead::new(input)),
        Some(Codec::Gzip) => boxed(Codec::Gzip, MultiGzDecoder::new(input)),
        Some(Codec::Zstd) => {
            let decoder = zstd::Decoder::with_buffer(input);
            boxed(Codec::Zstd, decoder.map_err(Error::with(ErrorKind::Io, cannot))?)
        }
    })
}

fn boxed(codec: Codec, decoder: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(WithHead::new(BufReader::with_capacity(BUFFER_BYTES, Decoded { codec, decoder })))
}

#[derive(Clone, Copy)]
enum Codec {
    Gzip,
    Zstd,
}

impl Codec {
    /// RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2 (a skippable frame may come first).
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A decoder whose complaints about the data are told apart from those about the disk below it.
struct Decoded<D> {
    codec: Codec,
    decoder: D,
}

impl<D: Read> Read for Decoded<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| self.explain(error))
    }
}

impl<D> Decoded<D> {
    fn explain(&self, error: io::Error) -> io::Error {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        let codec = self.codec.name();
        match error.kind() {
            _ if error.raw_os_error().is_some() => error,
            UnexpectedEof => io::Error::new(InvalidData, format!("the {codec} data is cut off ({error})")),
            InvalidData | InvalidInput | Other => {
                io::Error::new(InvalidData, format!("the {codec} data is damaged ({error})"))
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        zstd::encode_all(text.as_bytes(), 1).unwrap()
    }

    fn read(bytes: Vec<u8>) -> (String, io::Result<usize>) {
        let mut text = String::new();
        let result = decompress(Cursor::new(bytes)).unwrap().read_to_string(&mut text);
        (text, result)
    }

    #[test]
    fn plain_gzip_and_zstd_read_the_same() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd("a\nb\n")].concat();
        for bytes in [
            b"a\nb\n".to_vec(),
            gzip("a\nb\n"),
            [gzip("a\n"), gzip("b\n")].concat(),
            zstd("a\nb\n"),
            [zstd("a\n"), zstd("b\n")].concat(),
            skippable,
        ] {
            assert_eq!(read(bytes).0, "a\nb\n");
        }
        for short in ["", "a", "abc"] {
            assert_eq!(read(short.into()).0, short);
        }
    }

    #[test]
    fn the_first_line_is_in_the_first_buffer() {
        let text = "a line\nand another\n";
        for bytes in [text.as_bytes().to_vec(), gzip(text), zstd(text)] {
            assert!(decompress(Cursor::new(bytes)).unwrap().fill_buf().unwrap().starts_with(b"a line\n"));
        }
    }

    #[test]
    fn data_cut_off_anywhere_is_an_error() {
        for (whole, name, magic) in [(gzip("a\nb\n"), "gzip", 2), (zstd("a\nb\n"), "zstd", 4)] {
            for length in magic..whole.len() {
                let error = read(whole[..length].to_vec()).1.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name} {length}");
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }

    #[test]
    fn damaged_data_never_panics() {
        for whole in [gzip("a\nb\n"), zstd("a\nb\n")] {
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1 << bit;
                    let _ = read(damaged);
                }
            }
        }
    }
}
