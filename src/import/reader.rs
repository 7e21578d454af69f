//! An input as flows and rejected lines.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead, Read},
};

use super::{Format, LineParser, Mapping, Parsed, Remarks, Unit, records::Records};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Flow,
};

/// The longest line that is read, in bytes: 1 MiB, far more than any flow takes.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// A line, row or record that is no flow. It reads as `line 17: destPort: 70000 is not a port from 0 to 65535`.
///
/// ```
/// use flowseek::import::{Rejected, Unit};
///
/// let rejected = Rejected { unit: Unit::Line, number: 17, reason: "not a JSON object".to_owned() };
/// assert_eq!(rejected.to_string(), "line 17: not a JSON object");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What it is.
    pub unit: Unit,
    /// Its number among all of the input, from 1 on.
    pub number: u64,
    /// What is wrong with it: the key, what was given and what is allowed.
    pub reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.unit, self.number, self.reason)
    }
}

/// What a [`Reader`] gives.
///
/// ```
/// use flowseek::import::{Format, Item, Reader};
///
/// let input = "{\"startTime\":1}\n{}\n";
/// let items = Reader::new(Format::Json, input.as_bytes()).collect::<flowseek::Result<Vec<_>>>()?;
/// assert!(matches!(items.as_slice(), [Item::Flow(_), Item::Rejected(rejected)] if rejected.number == 2));
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is a flow, and a box would cost each an allocation")]
pub enum Item {
    /// A flow.
    Flow(Flow),
    /// A line that is none.
    Rejected(Rejected),
}

/// Reads an input line by line.
///
/// Its items are in the order of the lines. An error is the last item: [`ErrorKind::InvalidInput`] where the input is
/// damaged, as a compressed file that was cut off, and [`ErrorKind::Io`] where it cannot be read. What came before
/// stands; a line that the error cut short is not given.
///
/// ```
/// use flowseek::import::{Format, Item, Reader};
///
/// let mut reader = Reader::new(Format::Zeek, &br#"{"_path":"dns","ts":1.5}
/// {"_path":"conn","ts":1.5,"id.orig_h":"10.0.0.1","id.orig_p":5353,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp"}
/// "#[..]);
/// assert!(matches!(reader.next(), Some(Ok(Item::Flow(_)))));
/// assert!(reader.next().is_none());
/// assert_eq!(reader.skipped(), 1);
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: Records<R>,
    parser: LineParser,
    buffer: Vec<u8>,
    line: u64,
    unit: Unit,
    /// What else the last line holds.
    more: VecDeque<Parsed>,
    skipped: u64,
    ended: bool,
}

enum Line {
    Whole,
    TooLong,
    End,
}

impl<R: BufRead> Reader<R> {
    /// A reader of an input, decompressed, of this format.
    pub fn new(format: Format, input: R) -> Self {
        Self::of(format.records(input), LineParser::new(format))
    }

    /// A reader of an input, decompressed, that a mapping describes: of JSON or separated text.
    pub fn mapped(mapping: &Mapping, input: R) -> Self {
        Self::of(Records::of_mapping(mapping, input), LineParser::mapped(mapping))
    }

    fn of(input: Records<R>, parser: LineParser) -> Self {
        let (buffer, more) = (Vec::new(), VecDeque::new());
        Self { input, parser, buffer, line: 0, unit: Unit::Line, more, skipped: 0, ended: false }
    }

    /// How many lines so far were records of something else than a flow.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What is to be remarked of the lines since this was last asked.
    pub fn take_remarks(&mut self) -> Remarks {
        self.parser.take_remarks()
    }

    fn read_line(&mut self) -> io::Result<Line> {
        self.buffer.clear();
        self.unit = self.input.unit()?;
        let limit = MAX_LINE_BYTES as u64 + 1;
        self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.is_empty() {
            return Ok(Line::End);
        }
        if self.buffer.len() > MAX_LINE_BYTES && !self.buffer.ends_with(b"\n") {
            self.input.skip_until(b'\n')?;
            return Ok(Line::TooLong);
        }
        Ok(Line::Whole)
    }

    fn reject(&self, reason: String) -> Option<Result<Item>> {
        Some(Ok(Item::Rejected(Rejected { unit: self.unit, number: self.line, reason })))
    }

    fn fail(&mut self, error: io::Error) -> Option<Result<Item>> {
        self.ended = true;
        let kind = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::InvalidInput,
            _ => ErrorKind::Io,
        };
        Some(Err(Error::with(kind, format!("the input cannot be read at {} {}", self.unit, self.line))(error)))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Result<Item>> {
        loop {
            if let Some(parsed) = self.more.pop_front() {
                match parsed {
                    Parsed::Flow(flow) => return Some(Ok(Item::Flow(flow))),
                    Parsed::Rejected(reason) => return self.reject(reason),
                    Parsed::Skipped => self.skipped += 1,
                    Parsed::Blank => {}
                    Parsed::Several(parts) => self.more.extend(parts),
                }
                continue;
            }
            if self.ended {
                return None;
            }
            self.line += 1;
            match self.read_line() {
                Ok(Line::Whole) => {}
                Ok(Line::TooLong) => return self.reject(format!("the line is longer than {MAX_LINE_BYTES} bytes")),
                Ok(Line::End) => self.ended = true,
                Err(error) => return self.fail(error),
            }
            let parsed = if self.buffer.ends_with(b"\n") {
                self.parser.parse(&self.buffer)
            } else {
                self.parser.parse_unended(&self.buffer)
            };
            self.more.push_back(parsed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(input: impl Read) -> Vec<String> {
        let show = |item: Result<Item>| match item.unwrap() {
            Item::Flow(flow) => flow.start_time.as_millis().to_string(),
            Item::Rejected(rejected) => rejected.to_string(),
        };
        Reader::new(Format::Json, BufReader::with_capacity(7, input)).map(show).collect()
    }

    #[test]
    fn blank_lines_count_as_lines_and_are_nothing_else() {
        let input = "\u{feff}{\"startTime\":1}\r\n\r\n\n{}\n{\"startTime\":2}";
        let missing = "line 4: startTime: it is missing, and every flow has a start";
        assert_eq!(lines(input.as_bytes()), ["1000", missing, "2000"]);
        assert_eq!(lines(&b""[..]), [""; 0]);
    }

    #[test]
    fn a_line_that_is_not_utf_8_costs_only_itself() {
        let input = b"{\"startTime\":1}\n\xff\xfe\n{\"startTime\":2}\n";
        assert_eq!(lines(&input[..]), ["1000", "line 2: not UTF-8 at byte 1", "2000"]);
    }

    #[test]
    fn an_overlong_line_costs_only_itself_and_is_not_held() {
        let longest = format!("{{\"startTime\":1}}{}\n", " ".repeat(MAX_LINE_BYTES - 15));
        let middle = "x".repeat(5 * MAX_LINE_BYTES);
        let input = format!("{longest}{middle}\n{{\"startTime\":2}}\n{middle}");
        let mut reader = Reader::new(Format::Json, input.as_bytes());
        let items: Vec<Item> = reader.by_ref().map(Result::unwrap).collect();
        let reason = "the line is longer than 1048576 bytes".to_owned();
        assert!(matches!(items[0], Item::Flow(_)) && matches!(items[2], Item::Flow(_)));
        assert_eq!(items[1], Item::Rejected(Rejected { unit: Unit::Line, number: 2, reason: reason.clone() }));
        assert_eq!(items[3], Item::Rejected(Rejected { unit: Unit::Line, number: 4, reason }));
        assert_eq!(items.len(), 4);
        assert!(reader.buffer.capacity() <= 2 * MAX_LINE_BYTES + 2);
    }

    #[test]
    fn a_failing_disk_ends_the_flows_with_an_error() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let input = BufReader::new((&b"{\"startTime\":1}\n{\"start"[..]).chain(Failing));
        let mut reader = Reader::new(Format::Json, input);
        assert!(reader.next().unwrap().is_ok());
        let error = reader.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.to_string(), "the input cannot be read at line 2: the disk is gone");
        assert!(reader.next().is_none());
    }
}
