//! The formats, and how to tell them apart.

use std::{fmt, io::BufRead, str::FromStr};

use super::{
    azure,
    head::{BYTE_ORDER_MARK, is_mute},
    mapping::{Mapping, built_in},
    object,
    records::{self, Records, Rule},
    vpc,
};
use crate::error::ParseError;

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
    /// Flow logs of Azure: those of virtual networks, version 4, and of network security groups, versions 1 and 2.
    Azure,
    /// Flows of Argus as separated text, such as the `binetflow` files of CTU.
    Binetflow,
    /// Flow logs of Google Cloud VPC, as entries of Cloud Logging.
    Gcp,
    /// The JSON of GoFlow2.
    Goflow2,
    /// The flows of Cilium as Hubble exports them.
    Hubble,
    /// One JSON object a line, with the keys of the endpoint's response.
    Json,
    /// The output `csv` of nfdump, versions 1.6 and 1.7.
    NfdumpCsv,
    /// Network activity of the Open Cybersecurity Schema Framework, class 4001.
    Ocsf,
    /// The JSON of pmacct.
    Pmacct,
    /// The text of SiLK's `rwcut`.
    Rwcut,
    /// Suricata's EVE: the events `flow` and `netflow` of its JSON lines.
    Suricata,
    /// Network flow logs of Tailscale.
    Tailscale,
    /// Flow logs of AWS VPC as text, with or without a header.
    Vpc,
    /// Zeek's `conn.log`: tab-separated text with its header lines, or JSON lines.
    Zeek,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 14] = [
        Self::Azure,
        Self::Binetflow,
        Self::Gcp,
        Self::Goflow2,
        Self::Hubble,
        Self::Json,
        Self::NfdumpCsv,
        Self::Ocsf,
        Self::Pmacct,
        Self::Rwcut,
        Self::Suricata,
        Self::Tailscale,
        Self::Vpc,
        Self::Zeek,
    ];

    /// The name of the format on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::Binetflow => "binetflow",
            Self::Gcp => "gcp",
            Self::Goflow2 => "goflow2",
            Self::Hubble => "hubble",
            Self::Json => "json",
            Self::NfdumpCsv => "nfdump-csv",
            Self::Ocsf => "ocsf",
            Self::Pmacct => "pmacct",
            Self::Rwcut => "rwcut",
            Self::Suricata => "suricata",
            Self::Tailscale => "tailscale",
            Self::Vpc => "vpc",
            Self::Zeek => "zeek",
        }
    }

    /// The mapping that reads its lines, where it has no parser of its own.
    pub(super) fn mapping(self) -> Option<&'static Mapping> {
        built_in::named(self.name())
    }

    /// The mapping that reads its Parquet files.
    pub(crate) fn parquet_mapping(self) -> Option<&'static Mapping> {
        match self {
            Self::Vpc => built_in::named("vpc-parquet"),
            other => other.mapping().filter(|mapping| mapping.reads_parquet()),
        }
    }

    /// The records of an input.
    pub(crate) fn records<R: BufRead>(self, input: R) -> Records<R> {
        Records::new(
            input,
            match self {
                Self::Azure => Rule::Array(Some(azure::RECORDS.to_owned())),
                Self::Json => Rule::Array(None),
                other => Rule::of(other.mapping()),
            },
        )
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
/// The first line that says anything decides, or the first record of an array of JSON, so the first kilobytes are enough, also
/// when they end in the middle of one. Lines that are damaged say nothing: they hold NUL bytes, or bytes that are not UTF-8.
pub fn detect(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut fallback = None;
    let mut rest = head;
    while !rest.is_empty() {
        let here = rest;
        let line = here.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        rest = here.get(line.len()..).unwrap_or_default();
        let line = line.trim_ascii();
        match line.first() {
            None => {}
            Some(b'#') if is_zeek_header(line) => return Some(Format::Zeek),
            // The endpoint answers that where nothing matches.
            Some(b'[') if fallback.is_none() && here.trim_ascii() == b"[]" => return Some(Format::Json),
            Some(b'[') if fallback.is_none() => {
                let is_own = |format: &Format| matches!(format, Format::Json);
                let of_any = |element| of_element(element).or_else(|| detect_object(element).filter(is_own));
                return records::first(here, None).and_then(of_any);
            }
            Some(b'{') => match detect_object(line).or_else(|| of_document(here)) {
                Some(format) => return Some(format),
                None => fallback = Some(Format::Json),
            },
            _ if is_mute(line) => {}
            _ if fallback.is_none() => return str::from_utf8(line).ok().and_then(of_text),
            _ => return fallback,
        }
    }
    fallback
}

/// The format of a line that is no JSON.
fn of_text(line: &str) -> Option<Format> {
    if vpc::is_header(line) || vpc::is_record(line) {
        return Some(Format::Vpc);
    }
    built_in::of_header(line).and_then(|name| name.parse().ok())
}

/// The format of an element of an array.
fn of_element(element: &[u8]) -> Option<Format> {
    let valid = element.utf8_chunks().next()?.valid();
    if azure::is_record(valid) {
        return Some(Format::Azure);
    }
    built_in::of_record(valid)?.parse().ok()
}

/// The format of an object whose records are in an array.
fn of_document(text: &[u8]) -> Option<Format> {
    let format = |key: &str| records::first(text, Some(key)).and_then(of_element);
    let keys = built_in::all().filter_map(|built_in| built_in.mapping().array()?);
    [azure::RECORDS].into_iter().chain(keys).find_map(format)
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
    let own = || if suricata { Some(Format::Suricata) } else { zeek.then_some(Format::Zeek) };
    if json { Some(Format::Json) } else { of_element(line).or_else(own) }
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
            ("[{\"startTime\":1}]", Some(Format::Json)),
            ("PAR1", None),
            ("[\n  {\"start\":\"x\",\n \"virtualTraffic\": [", Some(Format::Tailscale)),
            ("{\n  \"logs\": [\n {\"virtualTraffic\"", Some(Format::Tailscale)),
            ("{\"records\":[{\"time\":1,\"flowLogVersion\":4", Some(Format::Azure)),
            (r#"{"event_type":"purge","ip_src":"10.0.0.1","ip_dst":"10.0.0.2""#, Some(Format::Pmacct)),
            ("StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr\n", Some(Format::Binetflow)),
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
            "\"csv\" is not a format: allowed are azure, binetflow, gcp, goflow2, hubble, json, nfdump-csv, ocsf, pmacct, rwcut, \
             suricata, tailscale, vpc, zeek"
        );
    }
}
