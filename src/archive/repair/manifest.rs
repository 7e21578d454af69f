//! A damaged manifest, put right where that is proven to be right.

use std::{collections::HashSet, fs, path::Path};

use twox_hash::XxHash64;

use super::Quarantine;
use crate::{
    archive::{
        Finding, FindingKind, Manifest, SegmentEntry,
        files::{DATA, Files, RETIRED},
        retire::{is_segment, list},
    },
    error::{Error, ErrorKind, Result},
    segment::SegmentReader,
};

/// The longest manifest in which a flipped bit is looked for: the time for it grows as the square of the length.
const LONGEST: usize = 64 << 10;

/// Sees to it that the newest manifest, of version `version`, can be read: publishes the next version where it cannot.
/// What was wrong with it, if anything.
pub(super) fn mend(files: &Files, version: u64, quarantine: &mut Quarantine<'_>) -> Result<Option<Finding>> {
    let error = match files.manifest(version) {
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Damaged => error,
        Err(error) => return Err(error),
    };
    let name = files.manifest_name(version);
    let read = |error| files.failed(&format!("{name} cannot be read"), error);
    let bytes = fs::read(files.manifest_path(version)).map_err(read)?;
    let mended = match corrected(&bytes, version) {
        Some(manifest) => manifest,
        None => from_predecessor(files, version)?.ok_or_else(|| beyond_help(files, &name))?,
    };
    quarantine.link(&name)?;
    quarantine.sync()?;
    if !files.publish(&mended.again())? {
        return Err(Error::new(ErrorKind::Locked, "another process has written to the archive in spite of the lock"));
    }
    Ok(Some(Finding::new(&name, FindingKind::Manifest, error.to_string())))
}

fn beyond_help(files: &Files, name: &str) -> Error {
    let root = files.root().display();
    Error::damaged(format!(
        "archive {root}: {name} is damaged, and nothing proves which segments it named; put back a copy of it from a \
         backup, or import {root}/{DATA}/*.parquet into a new archive"
    ))
}

/// The manifest with the one bit put right, or the one letter of its checksum, after which line and checksum agree:
/// that they would for any other text is as good as impossible.
fn corrected(bytes: &[u8], version: u64) -> Option<Manifest> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, sum) = bytes.split_at_checked(end)?;
    let told = format!("\n{:016x}\n", XxHash64::oneshot(0, line));
    let wrong = told.bytes().zip(sum).filter(|(one, other)| one != *other).count();
    if told.len() == sum.len() && wrong <= 1 {
        let text = [line, told.as_bytes()].concat();
        return Manifest::decode(std::str::from_utf8(&text).ok()?, version).ok();
    }
    let digits = std::str::from_utf8(sum).ok()?.strip_prefix('\n')?.strip_suffix('\n')?;
    let written = u64::from_str_radix(digits, 16).ok()?;
    if line.len() > LONGEST {
        return None;
    }
    let mut text = line.to_vec();
    for place in 0..text.len() {
        for bit in 0..8 {
            *text.get_mut(place)? ^= 1 << bit;
            if XxHash64::oneshot(0, &text) == written {
                text.extend_from_slice(sum);
                return Manifest::decode(std::str::from_utf8(&text).ok()?, version).ok();
            }
            *text.get_mut(place)? ^= 1 << bit;
        }
    }
    None
}

/// A version with all flows of version `version`: of the one before it, if that is still there with all its segments,
/// and those that were added since, if their IDs follow on it without a gap.
fn from_predecessor(files: &Files, version: u64) -> Result<Option<Manifest>> {
    let Some(before) = version.checked_sub(1) else { return Ok(None) };
    let name = files.manifest_path(before);
    let text = name.file_name().and_then(|name| fs::read_to_string(files.folder(RETIRED).join(name)).ok());
    let Some(before) = text.and_then(|text| Manifest::decode(&text, before).ok()) else { return Ok(None) };
    let is_whole = |entry: &SegmentEntry| {
        let path = files.segment_file(entry);
        path.is_some_and(|path| entry.open(&path).and_then(|reader| reader.check()).is_ok_and(|flaws| flaws.is_empty()))
    };
    if !before.segments.iter().all(is_whole) {
        return Ok(None);
    }
    let named = before.segments.iter().map(|segment| &segment.path);
    let named: HashSet<&String> = named.chain(before.retired.iter().map(|retired| &retired.path)).collect();
    let failed = |error| files.failed("its segments cannot be put in their place", error);
    let mut added = Vec::new();
    for path in list(&files.folder(DATA)).map_err(failed)? {
        let name = path.file_name().map(|name| format!("{DATA}/{}", name.display())).unwrap_or_default();
        if !is_segment(&path) || !name.ends_with(".parquet") || named.contains(&name) {
            continue;
        }
        let Some(entry) = entry_of(&path, name) else { return Ok(None) };
        // What has older flows has come of a compaction of segments that are all there.
        if entry.flow_id.0 >= before.next_flow_id {
            added.push(entry);
        }
    }
    added.sort_unstable_by_key(|entry| entry.flow_id);
    let Some(next) = added.iter().try_fold(before.next_flow_id, |next, entry| {
        let (first, last) = entry.flow_id;
        (first == next && last - first + 1 == entry.rows).then_some(last + 1)
    }) else {
        return Ok(None);
    };
    for entry in &before.segments {
        let (place, retired) = files.segment_paths(&entry.path);
        if !place.exists() {
            files.storage.rename(&retired, &place).map_err(failed)?;
        }
    }
    files.storage.sync_directory(&files.folder(DATA)).map_err(failed)?;
    Ok(before.followed_by(added, next))
}

/// What a manifest says of a sound segment.
fn entry_of(path: &Path, name: String) -> Option<SegmentEntry> {
    let reader = SegmentReader::open(path).ok()?;
    let entry = SegmentEntry::of(&reader, name)?;
    reader.check().is_ok_and(|flaws| flaws.is_empty()).then_some(entry)
}
