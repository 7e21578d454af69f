//! Text that comes in pieces, as chunks of flows.

use crate::{
    error::Result,
    import::{LineParser, Sink, Unit},
    ingest::{
        ImportOptions,
        chunk::{Chunk, ChunkBuilder},
        lines::{self, CHUNK_BYTES, too_long},
    },
};

/// Reads the lines of a text that comes in pieces.
#[derive(Debug)]
pub(super) struct Feed {
    parser: LineParser,
    /// Lines before the next piece.
    lines: u64,
    /// Whether the next piece goes on with a line that is too long, and was rejected.
    is_within_line: bool,
}

/// What was taken of a piece.
#[derive(Debug)]
pub(super) struct Taken {
    /// Bytes of it, from its beginning. The rest is the beginning of a line, to be handed in again with what follows.
    pub(super) bytes: usize,
    /// The flows in them.
    pub(super) chunk: Chunk,
}

impl Feed {
    /// A feed that begins with the first line.
    pub(super) fn new(parser: LineParser) -> Self {
        Self { parser, lines: 0, is_within_line: false }
    }

    /// Takes note of lines that were read by somebody else.
    pub(super) fn pass_over(&mut self, lines: &[u8]) {
        self.parser.observe(lines);
        self.lines += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// Reads the whole lines of a piece, which has at most [`CHUNK_BYTES`]; at the end of the text also a line that has no
    /// end. A line that is longer than a piece is rejected once, and the rest of it passed over.
    pub(super) fn take(&mut self, piece: &[u8], is_end: bool, options: &ImportOptions) -> Result<Taken> {
        let mut chunk = ChunkBuilder::new(Unit::Line, options);
        let mut begin = 0;
        if self.is_within_line {
            let end = piece.iter().position(|byte| *byte == b'\n');
            self.is_within_line = end.is_none();
            begin = end.map_or(piece.len(), |end| end + 1);
        }
        let rest = piece.get(begin..).unwrap_or_default();
        let length = match rest.iter().rposition(|byte| *byte == b'\n') {
            Some(end) if !is_end => end + 1,
            None if rest.len() >= CHUNK_BYTES => {
                chunk.rejected(too_long());
                self.is_within_line = true;
                rest.len()
            }
            _ if is_end => rest.len(),
            _ => 0,
        };
        if !self.is_within_line {
            lines::read(rest.get(..length).unwrap_or_default(), &mut self.parser, &mut chunk);
        }
        let mut chunk = chunk.finish(0)?;
        chunk.rejected.iter_mut().for_each(|rejected| rejected.number += self.lines);
        self.lines += chunk.read;
        Ok(Taken { bytes: begin + length, chunk })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Format;

    /// What comes of a text that is handed in in pieces of so many bytes: its flows, and what is rejected.
    fn fed(text: &str, size: usize) -> (usize, Vec<String>) {
        let mut feed = Feed::new(LineParser::new(Format::Json));
        let options = ImportOptions::default();
        let (mut flows, mut rejected, mut begin) = (0, Vec::new(), 0);
        let mut end = 0;
        loop {
            end = text.len().min(end + size).min(begin + CHUNK_BYTES);
            let taken = feed.take(&text.as_bytes()[begin..end], end == text.len(), &options).unwrap();
            flows += taken.chunk.flows.len();
            rejected.extend(taken.chunk.rejected.iter().map(ToString::to_string));
            begin += taken.bytes;
            if begin == text.len() {
                return (flows, rejected);
            }
        }
    }

    #[test]
    fn however_a_text_is_cut_its_lines_are_the_same() {
        let text = "{\"startTime\":1}\n\nno\r\n{\"startTime\":2}\n{}\n{\"startTime\":3}";
        let reasons = ["line 3: not a JSON object", "line 5: startTime: it is missing, and every flow has a start"];
        for size in [1, 2, 7, 15, 16, 17, 40, 1000] {
            assert_eq!(fed(text, size), (3, reasons.map(str::to_owned).to_vec()), "{size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_rejected_once() {
        let long = "x".repeat(5 * CHUNK_BYTES / 2);
        let text = format!("{{\"startTime\":1}}\n{long}\n{{\"startTime\":2}}\nno\n{long}");
        for size in [10_000, CHUNK_BYTES / 2, CHUNK_BYTES, 3 * CHUNK_BYTES] {
            let (flows, reasons) = fed(&text, size);
            assert_eq!(flows, 2, "{size}");
            let lines: Vec<&str> = reasons.iter().map(|reason| reason.split(':').next().unwrap()).collect();
            assert_eq!(lines, ["line 2", "line 4", "line 5"], "{size}");
        }
    }
}
