//! Compressed inputs.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

use super::head::WithHead;
use crate::error::{Error, ErrorKind, Result};

const BUFFER_BYTES: usize = 1 << 17;
/// The most memory that data of xz may ask for, in KiB: what `xz -9` needs, and some more.
const XZ_KIBIBYTES: u32 = 80 << 10;

/// Opens an input that may be compressed with gzip, zstd, bzip2, xz or lz4, in one member or frame or in several.
/// Its first bytes tell, never its name; everything else is read as it is. NUL bytes after a member or frame, with which
/// tapes and block devices fill up, are passed over.
///
/// The first [`BufRead::fill_buf`] gives at least the first line that is not blank, or more of an array of JSON, up to 64 KiB of it,
/// so that [`detect`](super::detect) has enough.
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

/// Whether an input that begins with these bytes is compressed.
pub(crate) fn is_compressed(head: &[u8]) -> bool {
    Codec::of(head).is_some()
}

#[derive(Clone, Copy)]
enum Codec {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Lz4,
}

impl Codec {
    /// RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2 (a skippable frame may come first); the file formats of
    /// bzip2, xz and LZ4.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9'] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X'] => Some(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18] => Some(Self::Lz4),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
        }
    }
}

/// The members of a compressed input, one after the other. Complaints about the data are told apart from those about the
/// disk below it.
struct Decoded<R: BufRead> {
    codec: Codec,
    members: Members<R>,
}

/// Gzip has members, and others have frames or streams, each a compressed file of its own.
enum Members<R: BufRead> {
    /// Before a member, or at the end.
    Between(R),
    Gzip(Box<GzDecoder<R>>),
    Zstd(zstd::Decoder<'static, R>),
    Bzip2(BzDecoder<R>),
    Xz(Box<XzReader<R>>),
    Lz4(Box<FrameDecoder<Whole<R>>>),
    /// After an error there is nothing more to be read.
    Failed,
}

/// A frame of LZ4, which says itself where it ends. Its decoder takes the end of the input for that of the frame.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "it is cut off")),
            length => Ok(length),
        }
    }
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
                Members::Bzip2(decoder) => decoder.read(buffer),
                Members::Xz(decoder) => decoder.read(buffer),
                Members::Lz4(decoder) => decoder.read(buffer),
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
            Codec::Bzip2 => Members::Bzip2(BzDecoder::new(input)),
            Codec::Xz => Members::Xz(Box::new(XzReader::new_mem_limit(input, false, XZ_KIBIBYTES))),
            Codec::Lz4 => Members::Lz4(Box::new(FrameDecoder::new(Whole(input)))),
        };
        Ok(true)
    }

    /// Goes on behind a member that has been read.
    fn end(&mut self) {
        self.members = match std::mem::replace(&mut self.members, Members::Failed) {
            Members::Gzip(decoder) => Members::Between(decoder.into_inner()),
            Members::Zstd(decoder) => Members::Between(decoder.finish()),
            Members::Bzip2(decoder) => Members::Between(decoder.into_inner()),
            Members::Xz(decoder) => Members::Between(decoder.into_inner()),
            Members::Lz4(decoder) => Members::Between(decoder.into_inner().0),
            other => other,
        };
    }

    fn explain(&self, error: io::Error) -> io::Error {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, OutOfMemory, UnexpectedEof, Unsupported};
        let codec = self.codec.name();
        match error.kind() {
            _ if error.raw_os_error().is_some() => error,
            UnexpectedEof => io::Error::new(InvalidData, format!("the {codec} data is cut off ({error})")),
            // The decoder says more than the kind; a system that has no memory does not.
            OutOfMemory if matches!(self.codec, Codec::Xz) && error.get_ref().is_some() => {
                let most = XZ_KIBIBYTES >> 10;
                io::Error::new(InvalidData, format!("the {codec} data asks for more memory than {most} MiB"))
            }
            InvalidData | InvalidInput | Other | Unsupported => {
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

    fn bzip2(text: &str) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(text: &str) -> Vec<u8> {
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn lz4(text: &str) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    type Compress = fn(&str) -> Vec<u8>;

    /// Each codec with the length of the bytes that tell it.
    const CODECS: [(&str, usize, Compress); 5] =
        [("gzip", 2, gzip), ("zstd", 4, zstd), ("bzip2", 4, bzip2), ("xz", 4, xz), ("lz4", 4, lz4)];

    fn read(bytes: Vec<u8>) -> (String, io::Result<usize>) {
        let mut text = String::new();
        let result = decompress(Cursor::new(bytes)).unwrap().read_to_string(&mut text);
        (text, result)
    }

    #[test]
    fn every_codec_reads_the_same_as_plain_text_in_one_member_or_in_several() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd("a\nb\n")].concat();
        assert_eq!(read(skippable).0, "a\nb\n");
        assert_eq!(read(b"a\nb\n".to_vec()).0, "a\nb\n");
        for (name, _, compress) in CODECS {
            let (text, result) = read(compress("a\nb\n"));
            assert_eq!((text.as_str(), result.unwrap()), ("a\nb\n", 4), "{name}");
            let (text, result) = read([compress("a\n"), compress("b\n")].concat());
            assert_eq!((text.as_str(), result.unwrap()), ("a\nb\n", 4), "{name}");
            let long = "flow\n".repeat(100_000);
            assert_eq!(read(compress(&long)).0, long, "{name}");
        }
        for short in ["", "a", "abc"] {
            assert_eq!(read(short.into()).0, short);
        }
    }

    #[test]
    fn xz_data_that_asks_for_much_memory_is_refused() {
        let mut options = lzma_rust2::XzOptions::with_preset(0);
        options.lzma_options.dict_size = 256 << 20;
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(b"a\n").unwrap();
        let error = read(encoder.finish().unwrap()).1.unwrap_err();
        assert_eq!(error.to_string(), "the xz data asks for more memory than 80 MiB");
    }

    #[test]
    fn nul_bytes_after_a_member_are_padding_and_anything_else_is_damage() {
        for (codec, _, compress) in CODECS {
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
        let compressed = CODECS.map(|(_, _, compress)| compress(text));
        for bytes in [text.as_bytes().to_vec()].into_iter().chain(compressed) {
            assert!(decompress(Cursor::new(bytes)).unwrap().fill_buf().unwrap().starts_with(b"a line\n"));
        }
    }

    #[test]
    fn data_cut_off_anywhere_is_an_error() {
        for (name, magic, compress) in CODECS {
            let whole = compress("a\nb\n");
            for length in magic..whole.len() {
                let Err(error) = read(whole[..length].to_vec()).1 else { panic!("{name} {length}") };
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name} {length}");
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }

    #[test]
    fn damaged_data_never_panics() {
        for (_, _, compress) in CODECS {
            let whole = compress("a\nb\n");
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
