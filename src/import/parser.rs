//! Lines to flows, one at a time.

use super::{
    Parsed, Remarks, azure, flow_json,
    format::Format,
    head::BYTE_ORDER_MARK,
    mapping::{self, Mapping},
    suricata, vpc, zeek,
};

/// Reads the lines of one format. It holds what the header lines said, and what is to be [remarked](Remarks) of the lines
/// so far.
///
/// Several threads can share the lines of one input: give each chunk of whole lines to a clone, and let the original
/// [`observe`](Self::observe) the chunk before it is cloned for the next one.
///
/// ```
/// use flowseek::import::{Format, LineParser, Parsed};
///
/// let mut parser = LineParser::new(Format::Json);
/// let Parsed::Flow(flow) = parser.parse(br#"{"startTime":1666012671.001,"destPort":"443"}"#) else { panic!() };
/// assert_eq!(flow.dst_port, Some(443));
/// assert_eq!(parser.parse(b""), Parsed::Blank);
/// ```
#[derive(Clone, Debug)]
pub struct LineParser {
    form: Form,
    remarks: Remarks,
}

#[derive(Clone, Debug)]
enum Form {
    Azure,
    Json,
    Mapped(mapping::Parser),
    Suricata,
    Vpc(vpc::Parser),
    Zeek(zeek::Parser),
}

impl LineParser {
    /// A parser that has seen no line yet.
    pub fn new(format: Format) -> Self {
        let form = match format {
            Format::Azure => Form::Azure,
            Format::Suricata => Form::Suricata,
            Format::Vpc => Form::Vpc(vpc::Parser::default()),
            Format::Zeek => Form::Zeek(zeek::Parser::default()),
            other => other.mapping().map_or(Form::Json, |mapping| Form::Mapped(mapping::Parser::new(mapping.clone()))),
        };
        Self { form, remarks: Remarks::default() }
    }

    /// A parser of the lines that a mapping describes: of JSON or separated text. The elements of an array of JSON are lines
    /// for it.
    pub fn mapped(mapping: &Mapping) -> Self {
        Self { form: Form::Mapped(mapping::Parser::new(mapping.clone())), remarks: Remarks::default() }
    }

    /// Reads a line, with or without its end. A byte order mark before it is ignored.
    pub fn parse(&mut self, line: &[u8]) -> Parsed {
        self.read(line, true)
    }

    /// Reads the last line of an input, which lacks its end. Where nothing shows that it is whole, as the last bracket of
    /// an object does, the input may have been cut off within its last field: it is then rejected if that field is one of
    /// a flow, and [remarked](Remarks::is_last_line_unended) if it is not.
    pub fn parse_unended(&mut self, line: &[u8]) -> Parsed {
        self.read(line, false)
    }

    /// What is to be remarked of the lines since this was last asked.
    pub fn take_remarks(&mut self) -> Remarks {
        std::mem::take(&mut self.remarks)
    }

    fn read(&mut self, line: &[u8], ended: bool) -> Parsed {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Parsed::Blank;
        }
        // No JSON has any: of what is refused it is looked up why.
        let has_nul = || holds_nul(line);
        if !matches!(self.form, Form::Json)
            && let Some(reason) = has_nul()
        {
            return Parsed::Rejected(reason);
        }
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => {
                let reason = || format!("not UTF-8 at byte {}", error.valid_up_to() + 1);
                return Parsed::Rejected(has_nul().unwrap_or_else(reason));
            }
        };
        match &mut self.form {
            Form::Azure => azure::parse(text, &mut self.remarks),
            Form::Mapped(parser) => parser.parse(text, ended, &mut self.remarks),
            Form::Json => match flow_json::parse(text, &mut self.remarks.unknown) {
                Ok(flow) => Parsed::Flow(flow),
                Err(reason) => Parsed::Rejected(has_nul().unwrap_or(reason)),
            },
            Form::Suricata => suricata::parse(text, &mut self.remarks),
            Form::Vpc(parser) => parser.parse(text, ended, &mut self.remarks),
            Form::Zeek(parser) => parser.parse(text, ended, &mut self.remarks),
        }
    }

    /// Takes note of the header lines among these lines, which somebody else parses.
    pub fn observe(&mut self, lines: &[u8]) {
        if let Form::Mapped(parser) = &mut self.form {
            if parser.has_headers() {
                for line in lines.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok()) {
                    parser.observe(line.trim_start_matches('\u{feff}').trim_end_matches('\r'));
                }
            }
            return;
        }
        let is_header = match self.form {
            Form::Azure | Form::Json | Form::Mapped(_) | Form::Suricata => return,
            Form::Vpc(_) => |line: &[u8]| {
                !line.first().is_some_and(u8::is_ascii_digit) && str::from_utf8(line).is_ok_and(vpc::is_header)
            },
            Form::Zeek(_) => |line: &[u8]| line.starts_with(b"#"),
        };
        for line in lines.split(|byte| *byte == b'\n') {
            if is_header(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)) {
                self.parse(line);
            }
        }
    }
}

/// Why a line is rejected that holds NUL bytes, where it does: a disk leaves them where a program was writing when the power
/// failed, or a file was cut behind its back.
fn holds_nul(line: &[u8]) -> Option<String> {
    let at = line.iter().position(|byte| *byte == 0)?;
    Some(format!("the line holds NUL bytes, the first at byte {}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_a_byte_order_mark_do_not_matter() {
        let mut parser = LineParser::new(Format::Json);
        let plain = parser.parse(b"{\"startTime\":1}");
        assert!(matches!(plain, Parsed::Flow(_)));
        for line in ["{\"startTime\":1}\n", "{\"startTime\":1}\r\n", "\u{feff}{\"startTime\":1}\r"] {
            assert_eq!(parser.parse(line.as_bytes()), plain, "{line:?}");
        }
        for line in ["", "\n", "\r\n", " \t ", "\u{feff}\r\n"] {
            assert_eq!(parser.parse(line.as_bytes()), Parsed::Blank, "{line:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_rejected_with_their_place() {
        let mut parser = LineParser::new(Format::Json);
        assert_eq!(parser.parse(b"{\"a\":\"\xff\"}"), Parsed::Rejected("not UTF-8 at byte 7".to_owned()));
    }

    #[test]
    fn a_clone_knows_the_headers_that_the_original_observed() {
        let mut parser = LineParser::new(Format::Zeek);
        let line = b"1.5\t10.0.0.1\t10.0.0.2\tgre";
        assert!(matches!(parser.parse(line), Parsed::Rejected(_)));
        parser
            .observe(b"\xef\xbb\xbf#separator \\x09\r\n#fields\tts\tid.orig_h\tid.resp_h\tproto\r\n2.5\t10.0.0.2\r\n");
        assert!(matches!(parser.clone().parse(line), Parsed::Flow(_)));
    }
}
