//! The beginning of an input, seen before it is read.

use std::io::{self, BufRead, Read};

/// How much of the input is read ahead where its first line has no end.
const HEAD_BYTES: usize = 1 << 16;

/// An input whose first line is in its buffer from the start. Buffered readers promise no more than one byte.
pub(super) struct WithHead<R> {
    head: Vec<u8>,
    consumed: usize,
    /// What went wrong while reading ahead, kept until what was good has been read.
    error: Option<io::Error>,
    rest: R,
}

impl<R: BufRead> WithHead<R> {
    /// Reads ahead to the end of the first line that is not blank, and no further than a buffer goes: the next line
    /// of a pipe may be long in coming.
    pub(super) fn new(mut rest: R) -> Self {
        let mut head = Vec::new();
        let mut error = None;
        while head.len() < HEAD_BYTES && !head.trim_ascii_start().contains(&b'\n') {
            match rest.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    let length = bytes.len();
                    head.extend_from_slice(bytes);
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
