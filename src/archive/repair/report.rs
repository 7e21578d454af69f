//! What a repair has done.

use serde::Serialize;

use crate::archive::{Extent, Finding, Report};

/// Flows that are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Loss {
    /// The segment that had them.
    pub path: String,
    /// Which flows.
    pub flows: Extent,
}

/// Flows of a segment that were written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Rebuilt {
    /// The damaged segment, or the one in `quarantine`.
    pub from: String,
    /// The new one.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
}

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use]
pub struct Repaired {
    /// The version of the archive since.
    pub version: u64,
    /// What was found before.
    pub found: Report,
    /// The segments that were written anew. Their flows keep their IDs.
    pub rebuilt: Vec<Rebuilt>,
    /// Segments in `quarantine` with flows that have been taken back, with their IDs, and the segments that have them
    /// now. The files in quarantine stay there.
    pub restored: Vec<Rebuilt>,
    /// The flows that are gone: exactly these, and no others.
    pub lost: Vec<Loss>,
    /// The files that were put into `quarantine`, by their paths before.
    pub quarantined: Vec<String>,
    /// What was left as it is.
    pub left: Vec<Finding>,
}
