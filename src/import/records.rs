//! Records in an array of JSON, as lines.

use std::io::{self, BufRead, Read};

use super::{Unit, head::BYTE_ORDER_MARK, mapping::Mapping};

/// An input whose records are lines. Where it is an array of JSON, or an object that has one, each element of the array
/// becomes a line:
///
/// ```text
/// {"version": 1, "records": [{"a":        becomes    {"a":   1}
///   1}, {"b": 2}]}                                   {"b": 2}
/// ```
///
/// It holds no more of an element than a buffer.
#[derive(Debug)]
pub(crate) struct Records<R> {
    input: R,
    rule: Rule,
    state: State,
    lines: Vec<u8>,
    consumed: usize,
}

/// Where the records of an input may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// One a line.
    Lines,
    /// One a line, or in an array, or in the array below this key of an object.
    Array(Option<String>),
}

impl Rule {
    /// That of a mapping; without one, lines.
    pub(super) fn of(mapping: Option<&Mapping>) -> Self {
        mapping.and_then(Mapping::array).map_or(Self::Lines, |key| Self::Array(key.map(str::to_owned)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has been read.
    Unread,
    /// Lines are handed on as they are.
    Lines,
    /// Before an array or an object.
    Between,
    /// On a line that is neither.
    Stray,
    /// In an object that may have the array: how deep, and what comes next.
    Object { depth: u32, expected: Expected, has_array: bool },
    /// In the array, between two elements; in an object or not.
    Array { in_object: bool },
    /// In an element.
    Element { depth: u32, text: Text, in_object: bool },
    /// All has been read.
    Ended,
}

/// What comes next in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Any,
    /// More of a text, of which so many bytes are those of the key so far; `None` where they are not.
    Text {
        matched: Option<usize>,
        is_escaped: bool,
    },
    /// The point between a key and its value: the text before it was the key.
    Colon,
    /// The array.
    Value,
}

/// Whether a byte of an element is within a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

impl<R: BufRead> Records<R> {
    /// The records of an input that a mapping describes.
    pub(crate) fn of_mapping(mapping: &Mapping, input: R) -> Self {
        Self::new(input, Rule::of(Some(mapping)))
    }

    pub(super) fn new(input: R, rule: Rule) -> Self {
        Self { input, rule, state: State::Unread, lines: Vec::new(), consumed: 0 }
    }

    /// What the input consists of.
    pub(crate) fn unit(&mut self) -> io::Result<Unit> {
        self.begin()?;
        Ok(if self.state == State::Lines { Unit::Line } else { Unit::Record })
    }

    /// Finds out from the first bytes where the records are.
    fn begin(&mut self) -> io::Result<()> {
        if self.state != State::Unread {
            return Ok(());
        }
        let Rule::Array(key) = &self.rule else {
            self.state = State::Lines;
            return Ok(());
        };
        let head = self.input.fill_buf()?;
        self.state = if has_array(head, key.as_deref()) { State::Between } else { State::Lines };
        Ok(())
    }

    /// Turns some of the input into lines.
    fn advance(&mut self) -> io::Result<()> {
        self.lines.clear();
        self.consumed = 0;
        while self.lines.is_empty() && self.state != State::Ended {
            let bytes = self.input.fill_buf()?;
            let length = bytes.len();
            if length == 0 {
                let is_whole = matches!(self.state, State::Between | State::Stray);
                self.state = State::Ended;
                let cut_off =
                    || io::Error::new(io::ErrorKind::InvalidData, "the array of records has no end: it is cut off");
                return if is_whole { Ok(()) } else { Err(cut_off()) };
            }
            let key = match &self.rule {
                Rule::Array(Some(key)) => key.as_bytes(),
                _ => b"",
            };
            let mut state = self.state;
            for byte in bytes {
                state = step(state, *byte, key, &mut self.lines);
            }
            self.state = state;
            self.input.consume(length);
        }
        Ok(())
    }
}

/// Whether what begins with these bytes is an array, or an object with one below a key.
pub(super) fn has_array(head: &[u8], key: Option<&str>) -> bool {
    first(head, key).is_some()
}

/// What there is of the first element of the array that a text is, or has below a key.
pub(super) fn first<'h>(head: &'h [u8], key: Option<&str>) -> Option<&'h [u8]> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    if head.first() == Some(&b'{') && key.is_none() {
        return None;
    }
    let key = key.unwrap_or_default().as_bytes();
    let mut state = State::Between;
    let mut none = Vec::new();
    for (place, byte) in head.iter().enumerate() {
        state = step(state, *byte, key, &mut none);
        match state {
            State::Array { .. } => return head.get(place + 1..).map(<[u8]>::trim_ascii_start),
            // What comes first decides.
            State::Stray => return None,
            State::Between if place > 0 => return None,
            _ => {}
        }
    }
    None
}

/// The state after a byte; `lines` takes what it adds to them.
fn step(state: State, byte: u8, key: &[u8], lines: &mut Vec<u8>) -> State {
    match state {
        State::Between => match byte {
            b'[' => State::Array { in_object: false },
            b'{' => State::Object { depth: 1, expected: Expected::Any, has_array: false },
            _ if byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(&byte) => state,
            _ => {
                lines.push(byte);
                State::Stray
            }
        },
        State::Stray => {
            lines.push(byte);
            if byte == b'\n' { State::Between } else { state }
        }
        State::Object { depth, expected, has_array } => object(depth, expected, has_array, byte, key, lines),
        State::Array { in_object } => match byte {
            b']' if in_object => State::Object { depth: 1, expected: Expected::Any, has_array: true },
            b']' => State::Between,
            b',' => state,
            _ if byte.is_ascii_whitespace() => state,
            _ => element(0, Text::Outside, in_object, byte, lines),
        },
        State::Element { depth, text, in_object } => element(depth, text, in_object, byte, lines),
        State::Unread | State::Lines | State::Ended => state,
    }
}

/// A byte of an object outside its array.
fn object(depth: u32, expected: Expected, has_array: bool, byte: u8, key: &[u8], lines: &mut Vec<u8>) -> State {
    let to = |depth, expected| State::Object { depth, expected, has_array };
    match (expected, byte) {
        (Expected::Text { is_escaped: true, .. }, _) => to(depth, Expected::Text { matched: None, is_escaped: false }),
        (Expected::Text { .. }, b'\\') => to(depth, Expected::Text { matched: None, is_escaped: true }),
        (Expected::Text { matched, .. }, b'"') => {
            let is_key = depth == 1 && matched == Some(key.len());
            to(depth, if is_key { Expected::Colon } else { Expected::Any })
        }
        (Expected::Text { matched, .. }, _) => {
            let matched = matched.filter(|matched| key.get(*matched) == Some(&byte)).map(|matched| matched + 1);
            to(depth, Expected::Text { matched, is_escaped: false })
        }
        (Expected::Colon, b':') => to(depth, Expected::Value),
        (Expected::Value, b'[') => State::Array { in_object: true },
        (_, b'"') => to(depth, Expected::Text { matched: Some(0), is_escaped: false }),
        (_, b'{' | b'[') => to(depth.saturating_add(1), Expected::Any),
        (_, b'}' | b']') if depth > 1 => to(depth - 1, Expected::Any),
        (_, b'}' | b']') => {
            if !has_array {
                // The record that there is none is no flow, and is said to be none.
                lines.extend_from_slice(b"{}\n");
            }
            State::Between
        }
        _ if byte.is_ascii_whitespace() => to(depth, expected),
        _ => to(depth, Expected::Any),
    }
}

/// A byte of an element. One that is no object or array ends before the comma or bracket behind it.
fn element(depth: u32, text: Text, in_object: bool, byte: u8, lines: &mut Vec<u8>) -> State {
    let (depth, text) = match (text, byte) {
        (Text::Escaped, _) => (depth, Text::Inside),
        (Text::Inside, b'\\') => (depth, Text::Escaped),
        (Text::Inside, b'"') => (depth, Text::Outside),
        (Text::Inside, _) => (depth, Text::Inside),
        (Text::Outside, b'"') => (depth, Text::Inside),
        (Text::Outside, b'{' | b'[') => (depth.saturating_add(1), Text::Outside),
        (Text::Outside, b',' | b']') if depth == 0 => {
            lines.push(b'\n');
            return step(State::Array { in_object }, byte, b"", lines);
        }
        (Text::Outside, b'}' | b']') => (depth.saturating_sub(1), Text::Outside),
        (Text::Outside, _) => (depth, Text::Outside),
    };
    // The end of a line within an element is white space.
    lines.push(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
    State::Element { depth, text, in_object }
}

impl<R: BufRead> BufRead for Records<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.begin()?;
        if self.state == State::Lines {
            return self.input.fill_buf();
        }
        if self.consumed == self.lines.len() {
            self.advance()?;
        }
        Ok(self.lines.get(self.consumed..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if self.state == State::Lines {
            self.input.consume(amount);
        } else {
            self.consumed = (self.consumed + amount).min(self.lines.len());
        }
    }
}

impl<R: BufRead> Read for Records<R> {
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

    fn lines(text: &str, key: Option<&str>) -> (String, io::Result<usize>) {
        let mut whole = None;
        // However small the parts are, the lines are the same, once the first tells what the input is.
        for capacity in [1 << 16, 1] {
            let head = io::Cursor::new(text.as_bytes());
            let mut records =
                Records::new(BufReader::with_capacity(capacity, head), Rule::Array(key.map(str::to_owned)));
            if has_array(text.as_bytes(), key) {
                records.state = State::Between;
            }
            let mut lines = String::new();
            let read = records.read_to_string(&mut lines);
            if let Some((before, _)) = &whole {
                assert_eq!(*before, lines, "{text}");
            }
            whole = Some((lines, read));
        }
        whole.unwrap()
    }

    #[test]
    fn elements_become_lines_and_lines_stay_what_they_are() {
        for (text, key, expected) in [
            ("{\"a\":1}\n{\"b\":2}\n", None, "{\"a\":1}\n{\"b\":2}\n"),
            ("{\"a\":1}\n{\"b\":2}\n", Some("records"), "{\"a\":1}\n{\"b\":2}\n"),
            ("[{\"a\":\n1},\r\n {\"b\":[2,{}]}]\n", None, "{\"a\": 1}\n{\"b\":[2,{}]}\n"),
            ("[]", None, ""),
            ("[1, \"a,]\\\"\", null]", None, "1\n\"a,]\\\"\"\nnull\n"),
            ("[{\"a\":\"}]\\\\\"}][{\"b\":2}]", None, "{\"a\":\"}]\\\\\"}\n{\"b\":2}\n"),
            (
                "{\"x\":{\"records\":[7]},\"y\":\"records\",\"records\":[{\"a\":1}],\"z\":[1]}",
                Some("records"),
                "{\"a\":1}\n",
            ),
            ("{\n \"records\" : [ {\"a\":1} ] }{\"records\":[{\"b\":2}]}", Some("records"), "{\"a\":1} \n{\"b\":2}\n"),
            ("{\"records\":[{\"a\":1}]}\n{\"other\":[1]}\n", Some("records"), "{\"a\":1}\n{}\n"),
            ("[{\"a\":1}]\nstray\n[2]", None, "{\"a\":1}\nstray\n2\n"),
        ] {
            let (lines, read) = lines(text, key);
            assert_eq!(
                lines.lines().map(str::trim_end).collect::<Vec<_>>(),
                expected.lines().map(str::trim_end).collect::<Vec<_>>(),
                "{text}"
            );
            assert!(read.is_ok(), "{text}");
        }
    }

    #[test]
    fn an_array_that_is_cut_off_gives_its_elements_and_then_an_error() {
        let whole = "{\"records\":[{\"a\":1},{\"b\":2}]}";
        for length in "{\"records\":[".len()..whole.len() {
            let (lines, read) = lines(&whole[..length], Some("records"));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData, "{length}");
            assert!(length < 20 || lines.starts_with("{\"a\":1}\n"), "{length}: {lines}");
        }
    }
}
