//! The formats, and how to tell them apart.

use std::{fmt, str::FromStr};

use super::{head::is_mute, object, vpc};
use crate::error::ParseError;

/// U+FEFF in UTF-8, which some programs put in front of a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A format that flows come in.
///
/// ```
/// use flowseek::import::{Format, detect};
///
/// assert_eq!("zeek".parse(), Ok(Format::Zeek));
/// assert_eq!(detect(b"#separator \\x09\n"), Some(Format::Zeek));
/// assert_eq!(detect(br#"{"startTime":1666012671}"#), Some(Format::Json));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object a line, with the keys of the endpoint's response.
    Json,
    /// Suricata's EVE: the events `flow` and `netflow` of its JSON lines.
    Suricata,
    /// Flow logs of AWS VPC as text, with or without a header.
    Vpc,
    /// Zeek's `conn.log`: tab-separated text with its header lines, or JSON lines.
    Zeek,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Suricata, Self::Vpc, Self::Zeek];

    /// The name of the format on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Suricata => "suricata",
            Self::Vpc => "vpc",
            Self::Zeek => "zeek",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        known.ok_or_else(|| ParseError::new(format!("{name:?} is not a format: allowed are {names}")))
    }
}

/// The format of an input that begins with these bytes, decompressed; `None` where it is none of them.
///
/// The first line that says anything decides, so the first kilobytes are enough, also when they end in the middle of
/// a line. Lines that are damaged say nothing: they hold NUL bytes, or bytes that are not UTF-8.
pub fn detect(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut fallback = None;
    for line in head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        match line.first() {
            Some(b'#') if is_zeek_header(line) => return Some(Format::Zeek),
            Some(b'{') => match detect_object(line) {
                Some(format) => return Some(format),
                None => fallback = Some(Format::Json),
            },
            _ if is_mute(line) => {}
            _ if fallback.is_none() && str::from_utf8(line).is_ok_and(is_vpc) => return Some(Format::Vpc),
            _ => return fallback,
        }
    }
    fallback
}

fn is_vpc(line: &str) -> bool {
    vpc::is_header(line) || vpc::is_record(line)
}

fn is_zeek_header(line: &[u8]) -> bool {
    [&b"#separator"[..], b"#fields", b"#path"].iter().any(|header| line.starts_with(header))
}

/// The format whose keys an object has, as far as it can be read.
fn detect_object(line: &[u8]) -> Option<Format> {
    let valid = line.utf8_chunks().next()?.valid();
    let (mut json, mut suricata, mut zeek) = (false, false, false);
    // Of a line that is cut off, what there is of it counts.
    let _: Result<(), String> = object::read(valid, |key, _| {
        json |= key == "startTime";
        suricata |= key == "event_type";
        zeek |= ["ts", "_path", "@path", "@stream", "id.orig_h", "id_orig_h"].contains(&key.as_ref());
        Ok(())
    });
    match (json, suricata, zeek) {
        (true, _, _) => Some(Format::Json),
        (_, true, _) => Some(Format::Suricata),
        (_, _, zeek) => zeek.then_some(Format::Zeek),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_tells_the_format() {
        for (head, format) in [
            ("#separator \\x09\n#path\tconn\n", Some(Format::Zeek)),
            ("\u{feff}#fields\tts", Some(Format::Zeek)),
            (r#"{"ts":1.5,"uid":"C1","id.orig_h":"10.0"#, Some(Format::Zeek)),
            (r#"{"@stream":"dns","a":1}"#, Some(Format::Zeek)),
            ("\r\n \n{\"_path\":\"conn\"}", Some(Format::Zeek)),
            (r#"{"ts":1,"startTime":1}"#, Some(Format::Json)),
            (r#"{"destPort":443}"#, Some(Format::Json)),
            ("{\"destPo", Some(Format::Json)),
            ("{broken}\n{\"ts\":1}\n", Some(Format::Zeek)),
            ("", None),
            ("# a comment\n", None),
            ("\0\0\0\n{\"ts\":1}\n", Some(Format::Zeek)),
            ("\0\0\0{\"ts\":1}\n#fields\tts\n", Some(Format::Zeek)),
            ("\0\0\0", None),
            ("ts,uid\n1,2\n", None),
            ("[{\"startTime\":1}]", None),
            ("PAR1", None),
            (r#"{"timestamp":"2011-08-12T14:52:57.716360+0200","event_type":"dns"}"#, Some(Format::Suricata)),
            ("version account-id interface-id srcaddr dstaddr\n", Some(Format::Vpc)),
            ("3 vpc-1 start pkt-srcaddr\n", Some(Format::Vpc)),
            ("2 123456789012 eni-0a1 10.0.0.1 10.0.0.2 1 2 6 1 1 1 2 ACCEPT OK\n", Some(Format::Vpc)),
            ("2 123456789012 host-1 10.0.0.1\n", None),
        ] {
            assert_eq!(detect(head.as_bytes()), format, "{head}");
        }
        assert_eq!(detect(b"{\"a\":1,\"b\":\"\xff"), Some(Format::Json));
        assert_eq!(detect(b"\xff\xfe\n\xff{\n{\"ts\":1}"), Some(Format::Zeek));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(
            "csv".parse::<Format>().unwrap_err().to_string(),
            "\"csv\" is not a format: allowed are json, suricata, vpc, zeek"
        );
    }
}
