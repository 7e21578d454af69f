//! Compressed inputs.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

use super::head::WithHead;
use crate::error::{Error, ErrorKind, Result};

const BUFFER_BYTES: usize = 1 << 17;

/// Opens an input that may be compressed with gzip, of one or several members, or zstd, of one or several frames.
/// Its first bytes tell, never its name; everything else is read as it is. NUL bytes after a member or frame, with which
/// tapes and block devices fill up, are passed over.
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
        Some(codec) => {
            let decoded = Decoded { codec, members: Members::Between(input) };
            Box::new(WithHead::new(BufReader::with_capacity(BUFFER_BYTES, decoded)))
        }
    })
}

/// Whether an input that begins with these four bytes is compressed.
pub(crate) fn is_compressed(head: &[u8]) -> bool {
    Codec::of(head).is_some()
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

/// The members of a compressed input, one after the other. Complaints about the data are told apart from those about the
/// disk below it.
struct Decoded<R: BufRead> {
    codec: Codec,
    members: Members<R>,
}

/// Gzip has members and zstd has frames, each a compressed file of its own.
enum Members<R: BufRead> {
    /// Before a member, or at the end.
    Between(R),
    Gzip(Box<GzDecoder<R>>),
    Zstd(zstd::Decoder<'static, R>),
    /// After an error there is nothing more to be read.
    Failed,
}

impl<R: BufRead> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            let read = match &mut self.members {
                Members::Between(_) => match self.begin() {
                    Ok(true) => continue,
                    Ok(false) => return Ok(0),
                    Err(error) => Err(error),
                },
                Members::Gzip(decoder) => decoder.read(buffer),
                Members::Zstd(decoder) => decoder.read(buffer),
                Members::Failed => return Ok(0),
            };
            match read {
                Ok(0) => self.end(),
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.members = Members::Failed;
                    return Err(self.explain(error));
                }
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Decoded<R> {
    /// Begins the next member; whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        let Members::Between(input) = &mut self.members else { return Ok(true) };
        loop {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let padding = bytes.iter().take_while(|byte| **byte == 0).count();
            if padding == 0 {
                break;
            }
            input.consume(padding);
        }
        let Members::Between(input) = std::mem::replace(&mut self.members, Members::Failed) else { return Ok(true) };
        self.members = match self.codec {
            Codec::Gzip => Members::Gzip(Box::new(GzDecoder::new(input))),
            Codec::Zstd => Members::Zstd(zstd::Decoder::with_buffer(input)?.single_frame()),
        };
        Ok(true)
    }

    /// Goes on behind a member that has been read.
    fn end(&mut self) {
        self.members = match std::mem::replace(&mut self.members, Members::Failed) {
            Members::Gzip(decoder) => Members::Between(decoder.into_inner()),
            Members::Zstd(decoder) => Members::Between(decoder.finish()),
            other => other,
        };
    }

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
    fn nul_bytes_after_a_member_are_padding_and_anything_else_is_damage() {
        for (codec, compress) in [("gzip", gzip as fn(&str) -> Vec<u8>), ("zstd", zstd)] {
            for padding in [1, 3, 512, 1 << 18] {
                let padding = vec![0; padding];
                let (text, result) = read([&compress("a\n")[..], &padding].concat());
                assert_eq!((text.as_str(), result.unwrap()), ("a\n", 2), "{codec}");
                let (text, result) = read([&compress("a\n")[..], &padding, &compress("b\n"), &padding].concat());
                assert_eq!((text.as_str(), result.unwrap()), ("a\nb\n", 4), "{codec}");
                let (text, result) = read([&compress("a\n")[..], &padding, b"rubbish"].concat());
                assert_eq!(text, "a\n", "{codec}");
                assert!(result.unwrap_err().to_string().starts_with(&format!("the {codec} data is")), "{codec}");
            }
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
