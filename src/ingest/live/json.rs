//! JSON as flows.

use std::fmt;

use serde::Serialize;

use super::{
    receipt::Receipt,
    rows::{Rows, RowsBuilder},
};
use crate::{
    error::{Error, Result},
    import::{Remarks, read_json},
    setters::setters,
};

/// What is said of all flows of a body of JSON, whatever their records say.
///
/// ```
/// use flowseek::ingest::Defaults;
///
/// // By the credentials that it was sent with.
/// let defaults = Defaults::default().node_id("node-7".to_owned());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defaults {
    /// The ID of the node that logged them. Where it is `None` it is the one in each record.
    pub node_id: Option<String>,
}

setters! {
    Defaults {}
    optional { node_id: String }
}

/// A record that is no flow. It reads as `record 17: destPort: 70000 is not a port from 0 to 65535`.
///
/// ```
/// use flowseek::ingest::RejectedRecord;
///
/// let rejected = RejectedRecord { number: 17, reason: "not a JSON object".to_owned() };
/// assert_eq!(rejected.to_string(), "record 17: not a JSON object");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRecord {
    /// The number of the element or the line, from 1 on; blank lines count.
    pub number: u64,
    /// What is wrong with it: the key, what was given and what is allowed.
    pub reason: String,
}

impl fmt::Display for RejectedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.number, self.reason)
    }
}

/// What has come of a body of JSON.
///
/// ```
/// use flowseek::{Archive, LiveOptions, ingest::Defaults};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default())?;
/// let body = br#"[{"startTime":1666012671,"sourceIp":"10.0.0.1"}, {"endTime":1666012671}]"#;
/// let appended = appender.append_json(body, &Defaults::default()).await?;
/// assert_eq!(appended.receipt.flows(), 1);
/// assert_eq!(appended.rejected[0].to_string(), "record 2: startTime: it is missing, and every flow has a start");
/// assert_eq!(appended.remarks.unknown_keys()[0].meant, Some("sourceIP"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppendedJson {
    /// That of the flows.
    pub receipt: Receipt,
    /// The records that are none. None of them was appended.
    pub rejected: Vec<RejectedRecord>,
    /// What is to be remarked of all.
    pub remarks: Remarks,
}

/// A body of JSON, read.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) rows: Rows,
    pub(super) rejected: Vec<RejectedRecord>,
    pub(super) remarks: Remarks,
}

impl Body {
    /// Reads a body.
    ///
    /// # Errors
    /// As of [`read_json`].
    pub(super) fn read(body: &[u8], defaults: &Defaults) -> Result<Self> {
        let (mut rows, mut rejected) = (RowsBuilder::default(), Vec::new());
        // One text serves all flows.
        let mut node = defaults.node_id.clone();
        let remarks = read_json(body, |number, record| {
            let appended = record.and_then(|mut flow| {
                if node.is_some() {
                    flow.node_id = node.take();
                }
                let pushed = rows.push(&flow).map_err(|error: Error| error.to_string());
                if defaults.node_id.is_some() {
                    node = flow.node_id;
                }
                pushed
            });
            rejected.extend(appended.err().map(|reason| RejectedRecord { number, reason }));
        })?;
        Ok(Self { rows: rows.finish()?, rejected, remarks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{FlowBuilder, Flows};

    #[test]
    fn every_flow_has_the_given_node_and_its_own_where_none_is_given() {
        let body = br#"{"startTime":1,"nodeId":"forged"}
{"startTime":2}
{"startTime":3,"destPort":"x"}
{"startTime":4,"sourceNode":"a"}"#;
        for (node, expected) in [(Some("n"), [Some("n"), Some("n"), Some("n")]), (None, [Some("forged"), None, None])] {
            let read = Body::read(body, &Defaults::default().node_id(node.map(str::to_owned))).unwrap();
            assert_eq!(read.rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), [3]);
            let mut flows = FlowBuilder::default();
            read.rows.parts.iter().for_each(|part| flows.append(part).unwrap());
            let batch = flows.finish(crate::flow::FlowId::new(1)).unwrap();
            let mut flows: Vec<_> = Flows::new(&batch).unwrap().iter().map(|stored| stored.flow).collect();
            flows.sort_by_key(|flow| flow.start_time);
            assert_eq!(flows.iter().map(|flow| flow.node_id.as_deref()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_flow_that_cannot_be_stored_is_rejected_by_its_number() {
        let long = "n".repeat(300);
        let body = format!(r#"[{{"startTime":1}},{{"startTime":1,"nodeId":"{long}"}},{{"startTime":2}}]"#);
        let read = Body::read(body.as_bytes(), &Defaults::default()).unwrap();
        assert_eq!((read.rows.count, read.rejected.len(), read.rejected[0].number), (2, 1, 2));
        let all = Body::read(b"[{\"startTime\":1}]", &Defaults::default().node_id(long)).unwrap();
        assert_eq!((all.rows.count, all.rejected.len()), (0, 1));
    }
}
