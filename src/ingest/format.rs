//! The formats of an import: those of lines, captures of NetFlow, nfdump's files, and Parquet.

use std::{fmt, str::FromStr};

use crate::{
    error::{Error, ErrorKind, ParseError, Result},
    import::{Format, detect, netflow::is_capture, nfcapd::is_nfcapd},
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
    /// A format of lines, plain or compressed. Some of them come as Parquet too.
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
    pub const ALL: [Self; 17] = [
        Self::Lines(Format::Azure),
        Self::Lines(Format::Binetflow),
        Self::Lines(Format::Gcp),
        Self::Lines(Format::Goflow2),
        Self::Lines(Format::Hubble),
        Self::Lines(Format::Json),
        Self::Lines(Format::NfdumpCsv),
        Self::Lines(Format::Ocsf),
        Self::Lines(Format::Pmacct),
        Self::Lines(Format::Rwcut),
        Self::Lines(Format::Suricata),
        Self::Lines(Format::Tailscale),
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
        let error = "\"csv\" is not a format: allowed are azure, binetflow, gcp, goflow2, hubble, json, nfdump-csv, ocsf, pmacct, \
                     rwcut, suricata, tailscale, vpc, zeek, netflow, nfcapd, parquet";
        assert_eq!("csv".parse::<ImportFormat>().unwrap_err().to_string(), error);
    }

    #[test]
    fn every_format_of_lines_is_an_import_format() {
        let (lines, others) = ImportFormat::ALL.split_at(Format::ALL.len());
        assert_eq!(lines, Format::ALL.map(ImportFormat::Lines));
        assert_eq!(others, [ImportFormat::NetFlow, ImportFormat::Nfcapd, ImportFormat::Parquet]);
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
        assert!(error.to_string().starts_with("the input is in none of the formats azure, "), "{error}");
    }
}
