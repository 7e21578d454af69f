//! What the beginning of a file tells: its format, and which text it has, whatever its name is and however it is compressed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use orion::hazardous::hash::blake2::blake2b::Hasher;

use crate::{
    error::{Error, ErrorKind, Result},
    import::{LineParser, Parsed, decompress, is_compressed},
    ingest::{ImportFormat, ImportOptions},
    resources::io_error,
};

/// Bytes of a text in which its first record is looked for.
const HEAD_BYTES: usize = 1 << 16;
/// Bytes of the digest that a text is known by.
const DIGEST_BYTES: usize = 16;

/// What the beginning of a file tells.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// A parser that has seen none of its lines.
    pub(super) parser: LineParser,
    pub(super) is_compressed: bool,
    /// The name of the text as a source of batches: a digest of its first record and the headers before it. A log that is
    /// renamed, compressed or copied keeps it, and the next one gets another, as its first record is another.
    pub(super) source: String,
    /// Bytes of the text that the digest is of.
    length: usize,
}

impl Head {
    /// Reads the beginning of a file; `None` as long as it has no whole record.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the format cannot be told, or is none of lines;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub(super) fn read(file: &Arc<File>, options: &ImportOptions) -> Result<Option<Self>> {
        let mut magic = [0; 4];
        let length = file.read_at(&mut magic, 0).map_err(unreadable)?;
        let is_compressed = is_compressed(magic.get(..length).unwrap_or_default());
        let mut text = Vec::new();
        let read = decompress(FileFrom::new(file, 0))?.take(HEAD_BYTES as u64).read_to_end(&mut text);
        let is_whole = match read {
            Ok(length) => is_compressed && length < HEAD_BYTES,
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => false,
            Err(error) => return Err(unreadable(error)),
        };
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let has_line = text.trim_ascii_start().contains(&b'\n') || text.len() == HEAD_BYTES || is_whole;
        let is_told = options.mapping.is_some() || options.format.is_some() || ImportFormat::detect(&text).is_ok();
        if !has_line && !is_told {
            return Ok(None);
        }
        let parser = options.line_parser(&text)?;
        let Some(length) = first_record(&text, parser.clone(), is_whole) else { return Ok(None) };
        let source = name(text.get(..length).unwrap_or_default())?;
        Ok(Some(Self { parser, is_compressed, source, length }))
    }

    /// Whether a file that is not compressed still begins in the same way.
    pub(super) fn is_of(&self, file: &File) -> Result<bool> {
        let mut text = vec![0; self.length];
        match file.read_exact_at(&mut text, 0) {
            Ok(()) => Ok(name(&text)? == self.source),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// Bytes up to the end of the first record; `None` where the text goes on before it has one.
fn first_record(text: &[u8], mut parser: LineParser, is_whole: bool) -> Option<usize> {
    let mut length = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") && !is_whole {
            break;
        }
        length += line.len();
        if parser.parse(line) != Parsed::Blank {
            return Some(length);
        }
    }
    (text.len() == HEAD_BYTES).then_some(text.len())
}

/// The name of a text as a source of batches.
fn name(head: &[u8]) -> Result<String> {
    let digest = Hasher::Blake2b256.digest(head);
    let digest = digest.map_err(Error::with(ErrorKind::Internal, "the beginning of a file cannot be hashed"))?;
    let hexadecimal: Vec<String> =
        digest.as_ref().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("file:{}", hexadecimal.concat()))
}

fn unreadable(error: io::Error) -> Error {
    io_error("the file cannot be read")(error)
}

/// Reads a file from a place on, wherever others read it.
pub(super) struct FileFrom {
    file: Arc<File>,
    position: u64,
}

impl FileFrom {
    pub(super) fn new(file: &Arc<File>, position: u64) -> Self {
        Self { file: Arc::clone(file), position }
    }
}

impl Read for FileFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn head(content: &[u8]) -> Result<Option<Head>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        Head::read(&Arc::new(file), &ImportOptions::default())
    }

    fn source(content: &[u8]) -> Option<String> {
        head(content).unwrap().map(|head| head.source)
    }

    #[test]
    fn a_text_is_known_by_its_first_record_and_the_headers_before_it() {
        let zeek = "#separator \\x09\n#open 2022-11-01\n#fields\tts\tid.orig_h\tid.resp_h\tproto\n";
        let first = format!("{zeek}1.5\t10.0.0.1\t10.0.0.2\tgre\n");
        assert_eq!(source(zeek.as_bytes()), None);
        assert_eq!(source(&first.as_bytes()[..first.len() - 1]), None);
        let name = source(first.as_bytes());
        assert!(name.as_ref().is_some_and(|name| name.len() == 37), "{name:?}");
        assert_eq!(source(format!("{first}2.5\t10.0.0.1\t10.0.0.2\tgre\n").as_bytes()), name);
        assert_ne!(source(first.replace("11-01", "11-02").as_bytes()), name);
        assert_ne!(source(first.replace("1.5", "1.6").as_bytes()), name);
    }

    #[test]
    fn a_compressed_copy_is_the_same_text() {
        let text = "{\"startTime\":1}\n{\"startTime\":2}\n";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let compressed = encoder.finish().unwrap();
        assert_eq!(source(&compressed), source(text.as_bytes()));
        assert!(head(&compressed).unwrap().unwrap().is_compressed);
        // While it is written, there is too little of it.
        assert_eq!(source(&compressed[..12]), None);
    }

    #[test]
    fn what_is_no_text_of_flows_is_refused() {
        for content in [&b"PAR1 and more"[..], b"a,b,c\n1,2,3\n"] {
            let error = head(content).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput, "{error}");
        }
    }
}
