//! What was found.

use std::fmt;

use serde::Serialize;

use crate::{
    archive::SegmentEntry,
    error::Error,
    flow::{FlowId, Timestamp},
};

/// A segment, and what is wrong with it: nothing, if it is sound.
#[derive(Debug)]
pub(in super::super) struct Damage {
    pub(in super::super) entry: SegmentEntry,
    pub(in super::super) findings: Vec<Finding>,
}

/// How much is looked at.
///
/// ```
/// use flowseek::{Archive, archive::Depth};
///
/// assert_eq!(Depth::default(), Depth::Rows);
/// let report = Archive::verify("testdata/archive", Depth::Bytes, &mut |_| {})?;
/// assert!(report.is_sound());
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Depth {
    /// Every byte, by its checksum. This is about as fast as the disk.
    Bytes,
    /// Besides, every flow: whether they are in order, each ID is there once, and the index of each segment is what its
    /// flows make of it. This finds what was written wrong, and takes as long as a compaction of everything.
    #[default]
    Rows,
}

/// What kind of damage it is.
///
/// ```
/// use flowseek::{Archive, Flow, archive::{Depth, FindingKind}};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // One flow is committed, and its segment is cut short.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// std::fs::write(path.join(&segment), "PAR1")?;
/// let report = Archive::verify(&path, Depth::Bytes, &mut |_| {})?;
/// assert_eq!(report.findings[0].kind, FindingKind::Truncated);
/// assert_eq!(report.findings[0].kind.name(), "truncated");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum FindingKind {
    /// The newest manifest is not what was written: the archive cannot be opened.
    Manifest,
    /// A segment has no file.
    Missing,
    /// A file has fewer bytes than were written.
    Truncated,
    /// A file is another than the manifest says: it has other bytes, flows or times.
    Mismatch,
    /// The Parquet footer of a segment is not what was written.
    Footer,
    /// The index of a segment, or a list of it, is not what was written.
    Index,
    /// Pages of a segment are not what was written.
    Pages,
    /// The bytes are what was written, and yet its index is not that of its flows.
    Contradiction,
    /// The flows of a segment are not in order, newest first.
    Disorder,
    /// A flow ID is there more than once.
    Doubled,
    /// A file in `data` is no part of the archive; other readers of the directory would take it for one.
    Foreign,
    /// A newer version of flowseek wrote it.
    Unsupported,
    /// A file cannot be read at all: the system says why.
    Unreadable,
}

impl FindingKind {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::Mismatch => "mismatch",
            Self::Footer => "footer",
            Self::Index => "index",
            Self::Pages => "pages",
            Self::Contradiction => "contradiction",
            Self::Disorder => "disorder",
            Self::Doubled => "doubled",
            Self::Foreign => "foreign",
            Self::Unsupported => "unsupported",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Some flows: how many, and bounds of their start times and IDs, which are as narrow as is known.
///
/// ```
/// use flowseek::{FlowId, archive::Extent};
///
/// let extent = Extent {
///     rows: 2,
///     start_time: ("2022-11-01T00:00:00Z".parse()?, "2022-11-02T00:00:00Z".parse()?),
///     flow_id: (FlowId::new(7), FlowId::new(8)),
/// };
/// let text = "2 flows from 2022-11-01T00:00:00.000Z to 2022-11-02T00:00:00.000Z with IDs from 7 to 8";
/// assert_eq!(extent.to_string(), text);
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extent {
    /// How many flows.
    pub rows: u64,
    /// None started before the first or after the second.
    pub start_time: (Timestamp, Timestamp),
    /// None has an ID below the first or above the second.
    pub flow_id: (FlowId, FlowId),
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, start_time: (oldest, newest), flow_id: (first, last) } = self;
        write!(f, "{rows} flows from {oldest} to {newest} with IDs from {} to {}", first.get(), last.get())
    }
}

/// A damage.
///
/// ```
/// use flowseek::{Archive, Flow, archive::{Depth, FindingKind}};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // One flow is committed, and its segment is removed.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// std::fs::remove_file(path.join(&segment))?;
/// let report = Archive::verify(&path, Depth::Bytes, &mut |_| {})?;
/// let finding = &report.findings[0];
/// assert_eq!((&finding.path, finding.kind), (&segment, FindingKind::Missing));
/// assert_eq!(finding.affected.map(|flows| flows.rows), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// The file, from the archive's directory on, with `/`.
    pub path: String,
    /// What kind of damage it is.
    pub kind: FindingKind,
    /// What is wrong, in words.
    pub message: String,
    /// The flows that cannot be read because of it; `None` where all can.
    pub affected: Option<Extent>,
}

impl Finding {
    pub(in super::super) fn new(path: &str, kind: FindingKind, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind, message: message.into(), affected: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind, message, affected } = self;
        write!(f, "{}: {path}: {message}", kind.name())?;
        affected.as_ref().map_or(Ok(()), |affected| write!(f, " ({affected})"))
    }
}

/// What was looked through, and what was found.
///
/// ```
/// use flowseek::{Archive, archive::Depth};
///
/// let report = Archive::verify("testdata/archive", Depth::Rows, &mut |_| {})?;
/// assert_eq!((report.version, report.segments, report.damaged), (2, 1, 0));
/// assert!(report.is_sound() && report.findings.is_empty());
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use]
pub struct Report {
    /// The version of the archive.
    pub version: u64,
    /// Segments that were looked through.
    pub segments: u64,
    /// How many of them are damaged.
    pub damaged: u64,
    /// Each damage, segment by segment.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    pub(super) fn of_manifest(version: u64, path: String, error: &Error) -> Self {
        let findings = vec![Finding::new(&path, FindingKind::Manifest, error.to_string())];
        Self { findings, ..Self::new(version) }
    }

    pub(super) fn add(&mut self, damage: &Damage) {
        self.segments += 1;
        self.damaged += u64::from(!damage.findings.is_empty());
        self.findings.extend(damage.findings.iter().cloned());
    }

    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}
