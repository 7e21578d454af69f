//! The beginning of an input, seen before it is read.

use std::io::{self, BufRead, Read};

/// U+FEFF in UTF-8, which some programs put in front of a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How much of the input is read ahead where its first line has no end.
const HEAD_BYTES: usize = 1 << 16;

/// Whether a line says nothing of its input: it is blank, or a damaged one.
pub(super) fn is_mute(line: &[u8]) -> bool {
    line.trim_ascii().is_empty() || line.contains(&0) || std::str::from_utf8(line).is_err()
}

/// An input whose first line that is text is in its buffer from the start. Buffered readers promise no more than one byte.
pub(super) struct WithHead<R> {
    head: Vec<u8>,
    consumed: usize,
    /// What went wrong while reading ahead, kept until what was good has been read.
    error: Option<io::Error>,
    rest: R,
}

impl<R: BufRead> WithHead<R> {
    /// Reads ahead to the end of the first line that is neither blank nor damaged, and no further than a buffer goes: the
    /// next line of a pipe may be long in coming. Where that line only begins an array, more of the array is read.
    ///
    /// A file that was truncated while a program wrote on begins with NUL bytes, perhaps gigabytes of them: one stands for
    /// all.
    pub(super) fn new(mut rest: R) -> Self {
        let mut head = Vec::new();
        let mut error = None;
        while head.len() < HEAD_BYTES && !has_text(&head) {
            match rest.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    let length = bytes.len();
                    let passed = if head == [0] { bytes.iter().take_while(|byte| **byte == 0).count() } else { 0 };
                    head.extend_from_slice(bytes.get(passed..).unwrap_or_default());
                    if head.iter().all(|byte| *byte == 0) {
                        head.truncate(1);
                    }
                    rest.consume(length);
                }
                Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
                Err(other) => {
                    error = Some(other);
                    break;
                }
            }
        }
        Self { head, consumed: 0, error, rest }
    }
}

/// Whether one of the whole lines is text, and says what comes after it.
fn has_text(head: &[u8]) -> bool {
    let Some(end) = head.iter().rposition(|byte| *byte == b'\n') else { return false };
    let mut lines = head.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
    lines.find(|line| !is_mute(line)).is_some_and(|line| !begins_array(line))
}

/// Whether a line begins JSON that goes beyond it, such as an array: what its records are shows further on.
fn begins_array(line: &[u8]) -> bool {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii();
    line.starts_with(b"[") || line == b"{"
}

impl<R: BufRead> BufRead for WithHead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.consumed < self.head.len() {
            return Ok(self.head.get(self.consumed..).unwrap_or_default());
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        if self.consumed < self.head.len() {
            self.consumed += amount;
        } else {
            self.rest.consume(amount);
        }
    }
}

impl<R: BufRead> Read for WithHead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn the_first_line_is_there_however_small_the_reads() {
        let text = "\n \nfirst line\nsecond line\n";
        let mut input = WithHead::new(BufReader::with_capacity(1, text.as_bytes()));
        assert_eq!(input.fill_buf().unwrap(), b"\n \nfirst line\n");
        let mut whole = String::new();
        input.read_to_string(&mut whole).unwrap();
        assert_eq!(whole, text);
    }

    #[test]
    fn a_line_that_begins_an_array_is_not_enough() {
        for text in ["[\n{\"a\":1},\n{\"b\":2}]\n", "\u{feff}{\n\"records\": [\n{}]}\n"] {
            let mut input = WithHead::new(BufReader::with_capacity(1, text.as_bytes()));
            assert_eq!(input.fill_buf().unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn damaged_lines_and_blank_ones_are_not_the_first_line() {
        let text = b"\n\xff\xfe\n\0\0\0{\nfirst\nsecond\n";
        let mut input = WithHead::new(BufReader::with_capacity(1, &text[..]));
        assert!(input.fill_buf().unwrap().ends_with(b"first\n"));
    }

    #[test]
    fn of_the_nul_bytes_at_the_beginning_one_is_kept() {
        for length in [1, 100, HEAD_BYTES, 5_000_000] {
            for capacity in [1 << 10, 1 << 17] {
                let hole = io::repeat(0).take(length as u64);
                let mut input = WithHead::new(BufReader::with_capacity(capacity, hole.chain(&b"x\nfirst\n"[..])));
                let mut whole = Vec::new();
                input.read_to_end(&mut whole).unwrap();
                let text = whole.trim_ascii_start();
                assert!(text.starts_with(b"\0") && text.ends_with(b"\0x\nfirst\n"), "{length} {capacity}");
                assert!(whole.len() <= capacity.max(1 << 10) + 10, "{length} {capacity}: {}", whole.len());
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_read_whole() {
        let mut input = WithHead::new(BufReader::with_capacity(4096, io::repeat(b'x')));
        assert_eq!(input.fill_buf().unwrap().len(), HEAD_BYTES);
    }

    #[test]
    fn an_error_waits_for_what_was_good() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let mut input = WithHead::new(BufReader::new((&b"good"[..]).chain(Failing)));
        let mut good = [0; 4];
        input.read_exact(&mut good).unwrap();
        assert_eq!(&good, b"good");
        assert_eq!(input.fill_buf().unwrap_err().to_string(), "the disk is gone");
    }
}
