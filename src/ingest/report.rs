//! What an import is asked for, and what it tells.

use std::sync::Arc;

use serde::Serialize;

use super::{ImportFormat, nodes::NodeMap};
use crate::{
    error::Result,
    flow::Flow,
    import::{LineParser, Mapping, Rejected, Remarks},
    setters::setters,
};

/// How an input is imported.
///
/// ```
/// use flowseek::ingest::{ImportOptions, Strictness};
///
/// let options = ImportOptions::default().format("zeek".parse::<flowseek::ingest::ImportFormat>()?).strictness(Strictness::Strict);
/// assert_eq!((options.format.map(|format| format.name()), options.strictness), (Some("zeek"), Strictness::Strict));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The format; `None` to tell it from the first bytes.
    pub format: Option<ImportFormat>,
    /// The mapping that describes the format, in place of one that is known.
    pub mapping: Option<Mapping>,
    /// What a bad line does.
    pub strictness: Strictness,
    /// The ID of the node that has logged the flows whose records name none.
    pub node_id: Option<String>,
    /// The names of the nodes of both ends, by their addresses, where the records name none.
    pub nodes: Option<Arc<NodeMap>>,
}

impl ImportOptions {
    /// What reads the lines of an input that begins with these bytes, decompressed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the format cannot be told, or is none of lines.
    pub(super) fn line_parser(&self, head: &[u8]) -> Result<LineParser> {
        if let Some(mapping) = self.mapping.as_ref().filter(|mapping| mapping.reads_lines()) {
            return Ok(LineParser::mapped(mapping));
        }
        let format = self.format.map_or_else(|| ImportFormat::detect(head), Ok)?;
        Ok(LineParser::new(format.of_lines()?))
    }

    /// Says of a flow what its record does not.
    pub(super) fn complete(&self, flow: &mut Flow) {
        if flow.node_id.is_none() {
            flow.node_id.clone_from(&self.node_id);
        }
        if let Some(nodes) = &self.nodes {
            nodes.complete(flow);
        }
    }
}

setters! {
    ImportOptions { strictness: Strictness }
    optional { format: ImportFormat, mapping: Mapping, node_id: String, nodes: Arc<NodeMap> }
}

/// What a line that is no flow does to an import.
///
/// ```
/// use flowseek::{Archive, ErrorKind, ingest::{ImportOptions, Strictness}};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// let input = &b"{\"startTime\":1666012671}\n{\"startTime\":\"yesterday\"}\n"[..];
/// let lenient = appender.import(input, ImportOptions::default(), &mut |_| {})?;
/// assert_eq!((lenient.imported, lenient.rejected), (1, 1));
/// let strict = ImportOptions::default().strictness(Strictness::Strict);
/// let error = appender.import(input, strict, &mut |_| {}).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strictness {
    /// It is rejected, and costs nothing but itself.
    #[default]
    Lenient,
    /// It ends the import with an error.
    Strict,
}

/// What happens while an input is imported.
///
/// ```
/// use flowseek::{Archive, ingest::{ImportEvent, ImportOptions}};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// let input = &b"{\"startTime\":1666012671}\n{\"startTime\":1666012671,\"destPort\":70000}\n"[..];
/// let mut rejected = Vec::new();
/// let mut observe = |event: ImportEvent| {
///     if let ImportEvent::Rejected(line) = event {
///         rejected.push(line.to_string());
///     }
/// };
/// appender.import(input, ImportOptions::default(), &mut observe)?;
/// assert_eq!(rejected, ["line 2: destPort: 70000 is not a port from 0 to 65535"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportEvent {
    /// A line, a row or a record is no flow. Its number counts from 1.
    Rejected(Rejected),
    /// About every megabyte, and with the last flow.
    Progress {
        /// Bytes of the input that have been read, as it is handed in: compressed, if it is.
        bytes: u64,
        /// Flows that have been appended.
        flows: u64,
    },
}

/// What became of the lines, rows or records of an input.
///
/// ```
/// use flowseek::{Archive, ingest::ImportOptions};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// let input = &b"{\"startTime\":1666012671,\"sourceIp\":\"10.0.0.1\"}\n"[..];
/// let report = appender.import(input, ImportOptions::default(), &mut |_| {})?;
/// assert_eq!((report.imported, report.rejected, report.skipped), (1, 0, 0));
/// assert_eq!(report.remarks.unknown_keys()[0].meant, Some("sourceIP"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Flows that were appended.
    pub imported: u64,
    /// Lines, rows or records that are no flow though they should be one.
    pub rejected: u64,
    /// Records of something else than a flow, such as the lines of another log in a mixed stream.
    pub skipped: u64,
    /// What is said once of the input: keys and columns that no flow has, the logs that were skipped, a missing end.
    pub remarks: Remarks,
}
