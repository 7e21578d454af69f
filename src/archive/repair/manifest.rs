//! A damaged manifest, put right where that is proven to be right.

use std::{collections::HashSet, hash::Hasher as _, io::ErrorKind as IoErrorKind, path::PathBuf, sync::Arc};

use twox_hash::XxHash64;

use crate::{
    archive::{
        Finding, FindingKind, Manifest, SegmentEntry,
        exclusive::overtaken,
        files::{DATA, Files, Publication, RETIRED, is_segment},
        quarantine::Quarantine,
    },
    error::{Error, ErrorKind, Result},
    resources::{SharedFile, io_error, undamaged},
    segment::SegmentReader,
};

/// The longest manifest in which a flipped bit is looked for: the time for it grows as the square of the length.
const LONGEST: usize = 128 << 10;

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
    let bytes = files.storage.read(&files.manifest_path(version)).map_err(read)?;
    let mended = match corrected(&bytes, version) {
        Some(manifest) => manifest,
        None => {
            let made = match told_end(&bytes) {
                Some(end) => from_predecessor(files, version, end)?,
                None => None,
            };
            made.ok_or_else(|| beyond_help(files, &name))?
        }
    };
    quarantine.link(&name)?;
    quarantine.sync()?;
    match files.publish(&mended.again())? {
        Publication::Published => {}
        Publication::Taken => return Err(overtaken(files)),
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
/// that they would for any other text is as good as impossible. Without this, one flipped bit is the end of an archive
/// whose manifest before this one is gone, or names segments that are: both are deleted once nobody reads them.
fn corrected(bytes: &[u8], version: u64) -> Option<Manifest> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, sum) = bytes.split_at_checked(end)?;
    let told = format!("\n{:016x}\n", XxHash64::oneshot(0, line));
    let wrong = told.bytes().zip(sum).filter(|(one, other)| one != *other).count();
    if told.len() == sum.len() && wrong <= 1 {
        let text = [line, told.as_bytes()].concat();
        return Manifest::decode(&text, version).ok();
    }
    let digits = std::str::from_utf8(sum).ok()?.strip_prefix('\n')?.strip_suffix('\n')?;
    let written = u64::from_str_radix(digits, 16).ok()?;
    if line.len() > LONGEST {
        return None;
    }
    // What lies before a place is hashed once, and not once for each bit.
    let mut before = XxHash64::with_seed(0);
    for (place, byte) in line.iter().enumerate() {
        let (start, rest) = (line.get(..place)?, line.get(place + 1..)?);
        for bit in 0..8 {
            let flipped = [byte ^ 1 << bit];
            let mut hash = before.clone();
            hash.write(&flipped);
            hash.write(rest);
            if hash.finish() == written {
                return Manifest::decode(&[start, flipped.as_slice(), rest, sum].concat(), version).ok();
            }
        }
        before.write(&[*byte]);
    }
    None
}

/// The ID that follows on the last one given, as far as the damaged text of a manifest still tells it. By itself it proves
/// nothing. But where the IDs of the segments that are there follow on the predecessor's and end just before it, none is
/// missing: for example, of a commit of 11 to 18 and 19 to 22, whose second segment is lost, the first ends at 18, and the
/// text says 23.
fn told_end(bytes: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"next_flow_id\":";
    let at = bytes.windows(KEY.len()).position(|window| window == KEY)?;
    let rest = bytes.get(at + KEY.len()..)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|end| rest.get(*end) == Some(&b','))?;
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// A version with all flows of version `version`: of the one before it, if that is still there with all its segments,
/// and those that were added since, if their IDs follow on it without a gap up to `end`.
fn from_predecessor(files: &Files, version: u64, end: u64) -> Result<Option<Manifest>> {
    let Some(before) = version.checked_sub(1) else { return Ok(None) };
    let path = files.manifest_path(before);
    let path = files.folder(RETIRED).join(path.file_name().unwrap_or_default());
    let bytes = match files.storage.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files.failed(&format!("{} cannot be read", path.display()), error)),
    };
    let Some(before) = undamaged(Manifest::decode(&bytes, before))? else { return Ok(None) };
    for entry in &before.segments {
        match files.segment(entry) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let flaws = undamaged(entry.open(files).and_then(|reader| reader.check()))?;
        if flaws.is_none_or(|flaws| !flaws.is_empty()) {
            return Ok(None);
        }
    }
    let named = before.segments.iter().map(|segment| &segment.path);
    let named: HashSet<&String> = named.chain(before.retired.iter().map(|retired| &retired.path)).collect();
    let failed = |error| files.failed("its segments cannot be put in their place", error);
    let mut added = Vec::new();
    for path in files.storage.list(&files.folder(DATA)).map_err(failed)? {
        let name = path.file_name().map(|name| format!("{DATA}/{}", name.display())).unwrap_or_default();
        if !is_segment(&path) || !name.ends_with(".parquet") || named.contains(&name) {
            continue;
        }
        let Some(entry) = entry_of(files, path, name)? else { return Ok(None) };
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
    if next != end {
        return Ok(None);
    }
    for entry in &before.segments {
        let (place, retired) = files.segment_paths(&entry.path);
        if files.storage.size(&place).map_err(failed)?.is_none() {
            files.storage.rename(&retired, &place).map_err(failed)?;
        }
    }
    files.storage.sync_directory(&files.folder(DATA)).map_err(failed)?;
    Ok(before.followed_by(added, next))
}

/// What a manifest says of a sound segment; `None` of one that is not.
fn entry_of(files: &Files, path: PathBuf, name: String) -> Result<Option<SegmentEntry>> {
    let message = format!("segment {name} cannot be read");
    let file = SharedFile::open(files.descriptors(), vec![path]).map_err(io_error(message))?;
    let Some(reader) = undamaged(SegmentReader::read(Arc::new(file)))? else { return Ok(None) };
    let Some(flaws) = undamaged(reader.check())? else { return Ok(None) };
    if flaws.is_empty() { SegmentEntry::of(&reader, name) } else { Ok(None) }
}
