//! Lines: cut into chunks by one thread, read by the others.

use std::{
    io::{self, BufRead, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    ImportOptions,
    chunk::{Chunk, ChunkBuilder, Failure},
};
use crate::import::{LineParser, MAX_LINE_BYTES, Records, Sink, Unit};

/// Bytes of a chunk, at most: the longest line and its end, so that a chunk without the end of a line is part of one
/// that is too long.
pub(super) const CHUNK_BYTES: usize = MAX_LINE_BYTES + 1;

/// What the reading thread gives to the others.
#[derive(Debug)]
pub(super) struct Cut {
    lines: Lines,
    /// What a line is called.
    unit: Unit,
    /// Bytes of the input that were read.
    bytes: u64,
}

#[derive(Debug)]
enum Lines {
    /// Whole lines, and a parser that knows the headers before them.
    Whole(Vec<u8>, Box<LineParser>),
    /// One line that is too long, and not held.
    TooLong,
    /// The next line cannot be read.
    Unreadable(io::Error),
}

/// Cuts an input into chunks of whole lines.
pub(super) struct Cutter {
    input: Records<Box<dyn BufRead + Send>>,
    unit: Unit,
    parser: LineParser,
    /// The beginning of a line.
    rest: Vec<u8>,
    bytes: Arc<AtomicU64>,
    state: State,
}

enum State {
    Reading,
    Failed(io::Error),
    Ended,
}

impl Cutter {
    /// A cutter of an input, decompressed, of which `bytes` tells how much has been read, with a parser that has seen none of its
    /// lines.
    pub(super) fn new(
        mut input: Records<Box<dyn BufRead + Send>>,
        parser: LineParser,
        bytes: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let unit = input.unit()?;
        Ok(Self { input, unit, parser, rest: Vec::new(), bytes, state: State::Reading })
    }

    /// What its lines are called.
    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// The next lines; none of them where the input ends or fails before one is whole.
    fn read(&mut self) -> Lines {
        let mut text = Vec::with_capacity(CHUNK_BYTES);
        text.append(&mut self.rest);
        let room = CHUNK_BYTES.saturating_sub(text.len()) as u64;
        match self.input.by_ref().take(room).read_to_end(&mut text) {
            Ok(_) if text.len() < CHUNK_BYTES => {
                self.state = State::Ended;
                return self.whole(text);
            }
            Ok(_) => {}
            Err(error) => self.state = State::Failed(error),
        }
        match (text.iter().rposition(|byte| *byte == b'\n'), &self.state) {
            (Some(end), _) => {
                self.rest = text.split_off(end + 1);
                self.whole(text)
            }
            (None, State::Failed(_)) => self.whole(Vec::new()),
            (None, _) => match self.input.skip_until(b'\n') {
                Ok(_) => Lines::TooLong,
                Err(error) => {
                    self.state = State::Failed(error);
                    self.whole(Vec::new())
                }
            },
        }
    }

    fn whole(&mut self, text: Vec<u8>) -> Lines {
        let parser = Box::new(self.parser.clone());
        self.parser.observe(&text);
        Lines::Whole(text, parser)
    }
}

impl Iterator for Cutter {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let lines = match std::mem::replace(&mut self.state, State::Reading) {
            State::Reading => self.read(),
            State::Failed(error) => {
                self.state = State::Ended;
                Lines::Unreadable(error)
            }
            State::Ended => {
                self.state = State::Ended;
                return None;
            }
        };
        Some(Cut { lines, unit: self.unit, bytes: self.bytes.load(Ordering::Relaxed) })
    }
}

/// Reads the lines of a chunk.
pub(super) fn parse(cut: Cut, options: &ImportOptions) -> Result<Chunk, Failure> {
    let mut chunk = ChunkBuilder::new(cut.unit, options);
    match cut.lines {
        Lines::Whole(text, mut parser) => read(&text, &mut parser, &mut chunk),
        Lines::TooLong => chunk.rejected(too_long()),
        Lines::Unreadable(error) => return Err(Failure::Unreadable(error)),
    }
    Ok(chunk.finish(cut.bytes)?)
}

/// Reads whole lines; the last one of an input may lack its end.
pub(super) fn read(mut text: &[u8], parser: &mut LineParser, chunk: &mut ChunkBuilder<'_>) {
    while !text.is_empty() {
        let line = text;
        // Faster than the splitting of slices, which looks at one byte after the other. A slice can always be read.
        let Ok(length) = text.skip_until(b'\n') else { break };
        let line = line.get(..length).unwrap_or(line);
        chunk.line(if line.ends_with(b"\n") { parser.parse(line) } else { parser.parse_unended(line) });
    }
    chunk.remarks().merge(parser.take_remarks());
}

/// Why a line is rejected that is longer than lines may be.
pub(super) fn too_long() -> String {
    format!("the line is longer than {MAX_LINE_BYTES} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Format, Rejected};

    fn cut(input: impl Read + Send + 'static) -> Vec<Result<Chunk, Failure>> {
        let input: Box<dyn BufRead + Send> = Box::new(io::BufReader::new(input));
        let input = Format::Json.records(input);
        let cutter = Cutter::new(input, LineParser::new(Format::Json), Arc::default()).unwrap();
        cutter.map(|cut| parse(cut, &ImportOptions::default())).collect()
    }

    fn cut_text(text: String) -> Vec<Chunk> {
        cut(io::Cursor::new(text)).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn chunks_are_whole_lines_whatever_their_length() {
        let line = |length: usize| format!("{{\"startTime\":1}}{}\n", " ".repeat(length - 16));
        let text = [line(700_000), line(700_000), line(CHUNK_BYTES), line(16), line(CHUNK_BYTES)].concat();
        for text in [text.as_str(), text.trim_end_matches('\n')] {
            let chunks = cut_text(text.to_owned());
            assert!(chunks.iter().all(|chunk| chunk.rejected.is_empty()));
            assert_eq!(chunks.iter().map(|chunk| chunk.flows.len()).sum::<usize>(), 5);
            assert_eq!(chunks.iter().map(|chunk| chunk.read).sum::<u64>(), 5);
        }
    }

    #[test]
    fn an_overlong_line_is_one_rejected_line() {
        let good = "{\"startTime\":1}\n";
        let long = "x".repeat(5 * MAX_LINE_BYTES / 2);
        let chunks = cut_text(format!("{good}{long}\n{good}{long}"));
        let lines: Vec<u64> = chunks.iter().map(|chunk| chunk.read).filter(|lines| *lines > 0).collect();
        assert_eq!(lines, [1, 1, 1, 1]);
        let rejected: Vec<&Rejected> = chunks.iter().flat_map(|chunk| &chunk.rejected).collect();
        let expected =
            Rejected { unit: Unit::Line, number: 1, reason: "the line is longer than 1048576 bytes".to_owned() };
        assert_eq!(rejected, [&expected, &expected]);
    }

    #[test]
    fn what_came_before_an_error_is_given_and_what_it_cut_short_is_not() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        for (text, flows) in [("{\"startTime\":1}\n{\"startTime\":2}", 1), ("{\"start", 0)] {
            let mut chunks = cut(io::Cursor::new(text).chain(Failing));
            assert!(matches!(chunks.pop(), Some(Err(Failure::Unreadable(_)))));
            let counts: Vec<_> = chunks.into_iter().map(|chunk| chunk.unwrap().flows.len()).collect();
            assert_eq!(counts, [flows]);
        }
    }
}
