//! The formats of an import: those of lines, captures of NetFlow, nfdump's files, and Parquet.

use std::{fmt, str::FromStr};

use crate::{
    error::{Error, ErrorKind, ParseError, Result},
    import::{Format, Unit, detect, netflow::is_capture, nfcapd::is_nfcapd},
    segment::PARQUET_MAGIC,
};

/// A format that an import reads.
///
/// ```
/// use flowseek::{import::Format, ingest::ImportFormat};
///
/// assert_eq!("zeek".parse(), Ok(ImportFormat::Lines(Format::Zeek)));
/// assert_eq!(ImportFormat::Parquet.to_string(), "parquet");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportFormat {
    /// A format of lines, plain or compressed.
    Lines(Format),
    /// NetFlow v5, v9 and IPFIX, as captured on their way to a collector: pcap or pcapng, plain or compressed.
    NetFlow,
    /// The files of nfdump 1.6 and 1.7, plain or compressed.
    Nfcapd,
    /// Parquet.
    Parquet,
}

impl ImportFormat {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Lines(Format::Json),
        Self::Lines(Format::Suricata),
        Self::Lines(Format::Vpc),
        Self::Lines(Format::Zeek),
        Self::NetFlow,
        Self::Nfcapd,
        Self::Parquet,
    ];

    /// The name of the format on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lines(format) => format.name(),
            Self::NetFlow => "netflow",
            Self::Nfcapd => "nfcapd",
            Self::Parquet => "parquet",
        }
    }

    /// The format, where it is one of lines.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is not.
    pub(super) fn of_lines(self) -> Result<Format> {
        match self {
            Self::Lines(format) => Ok(format),
            Self::NetFlow | Self::Nfcapd | Self::Parquet => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the format {self} is not one of lines and cannot be followed: import it once it is whole"),
            )),
        }
    }

    /// What a file of the format consists of.
    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Lines(_) => Unit::Line,
            Self::NetFlow | Self::Nfcapd => Unit::Record,
            Self::Parquet => Unit::Row,
        }
    }

    /// The format of an input that begins with these bytes, decompressed. What is blank has no flows in any format.
    pub(super) fn detect(head: &[u8]) -> Result<Self> {
        if head.starts_with(PARQUET_MAGIC) {
            return Ok(Self::Parquet);
        }
        // The first bytes of a pcapng capture are white space.
        if is_capture(head) {
            return Ok(Self::NetFlow);
        }
        if is_nfcapd(head) {
            return Ok(Self::Nfcapd);
        }
        let lines = if head.trim_ascii().is_empty() { Some(Format::Json) } else { detect(head) };
        lines.map(Self::Lines).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("the input is in none of the formats {}", names()))
        })
    }
}

impl fmt::Display for ImportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ImportFormat {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| ParseError::new(format!("{name:?} is not a format: allowed are {}", names())))
    }
}

fn names() -> String {
    ImportFormat::ALL.map(ImportFormat::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for format in ImportFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "\"csv\" is not a format: allowed are json, suricata, vpc, zeek, netflow, nfcapd, parquet";
        assert_eq!("csv".parse::<ImportFormat>().unwrap_err().to_string(), error);
    }

    #[test]
    fn the_head_tells_the_format() {
        for (head, name) in [
            ("PAR1\x15", "parquet"),
            ("\n\r\r\n\0", "netflow"),
            ("{\"ts\":1}", "zeek"),
            ("{\"startTime\":1}", "json"),
            (" \n", "json"),
        ] {
            assert_eq!(ImportFormat::detect(head.as_bytes()).unwrap().name(), name);
        }
        for head in [b"\x0c\xa5\x02\0", b"\x0c\xa5\x07\0", b"\xa5\x0c\0\x01"] {
            assert_eq!(ImportFormat::detect(head).unwrap(), ImportFormat::Nfcapd);
        }
        let error = ImportFormat::detect(b"a,b,c").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "the input is in none of the formats json, suricata, vpc, zeek, netflow, nfcapd, parquet"
        );
    }
}
