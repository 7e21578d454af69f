//! Files among the segments that are none of the archive's.

use std::collections::HashSet;

use super::{Finding, FindingKind};
use crate::{
    archive::{
        Manifest,
        files::{DATA, Files, UNFINISHED, is_segment},
    },
    error::Result,
};

/// The files in `data` that a version does not have. What a writer has begun, or a crash has left of that, is passed
/// over: no reader looks for its name, and the next writer takes it away.
pub(in super::super) fn foreign_files(files: &Files, manifest: &Manifest) -> Result<Vec<Finding>> {
    let known: HashSet<&str> = manifest.segments.iter().map(|segment| segment.path.as_str()).collect();
    let retired: HashSet<&str> = manifest.retired.iter().map(|retired| retired.path.as_str()).collect();
    let failed = |error| files.failed("the segments cannot be listed", error);
    let mut found = Vec::new();
    for file in files.storage.list(&files.folder(DATA)).map_err(failed)? {
        let path = format!("{DATA}/{}", file.file_name().unwrap_or_default().display());
        let is_ours = is_segment(&file);
        let is_unfinished = is_ours && path.ends_with(&format!(".{UNFINISHED}"));
        if known.contains(path.as_str()) || retired.contains(path.as_str()) || is_unfinished {
            continue;
        }
        let message = if is_ours { "it is a segment of no version of the archive" } else { "it is no segment" };
        found.push(Finding::new(&path, FindingKind::Foreign, message));
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}
