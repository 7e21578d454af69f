//! The flows of a damaged segment whose bytes are sound.

use std::{collections::BTreeSet, io::ErrorKind as IoErrorKind, sync::Arc};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};

use crate::{
    archive::{
        Extent, Finding, FindingKind, SegmentEntry,
        files::Files,
        verify::{all_of, extent_of, keys, read_pages},
    },
    error::{Error, ErrorKind, Result},
    resources::{io_error, undamaged},
    segment::SegmentReader,
};

/// What is left of a damaged segment.
pub(super) struct Rescued {
    /// Its sound flows, in order; `None` where there are none.
    pub(super) flows: Option<RecordBatch>,
    /// The others.
    pub(super) lost: Vec<Extent>,
}

/// Reads what is sound of a damaged segment.
///
/// # Errors
/// [`ErrorKind::Io`] where its file is there and cannot be opened.
pub(super) fn rescue(files: &Files, entry: &SegmentEntry, findings: &[Finding]) -> Result<Rescued> {
    let nothing = || Rescued { flows: None, lost: vec![all_of(entry)] };
    let message = || format!("segment {} cannot be read", entry.path);
    let file = match files.segment(entry) {
        Ok(file) => file,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(nothing()),
        Err(error) => return Err(io_error(message())(error)),
    };
    let is_footer_sound = findings.iter().all(|finding| finding.kind != FindingKind::Footer);
    let read = || {
        let reader = Arc::new(SegmentReader::salvage(&file, is_footer_sound)?);
        // Another segment under the name of this one has flows that were never here.
        entry.describes(&reader)?;
        sound_pages(entry, &reader)
    };
    // What the system cannot read may be sound.
    let rescued = undamaged(read()).map_err(|error| Error::with(error.kind(), message())(error))?;
    Ok(rescued.unwrap_or_else(nothing))
}

fn sound_pages(entry: &SegmentEntry, reader: &Arc<SegmentReader>) -> Result<Rescued> {
    let lost: BTreeSet<usize> = reader.check()?.into_iter().flat_map(|flaw| flaw.pages).collect();
    let (lost, sound): (Vec<usize>, Vec<usize>) = (0..reader.page_count()).partition(|page| lost.contains(page));
    let flows = if sound.is_empty() { None } else { Some(in_order(read_pages(reader, sound)?)?) };
    if let Some(flows) = &flows {
        let (starts, ids) = keys(flows)?;
        let (oldest, newest) = entry.start_time;
        let (first, last) = entry.flow_id;
        let is_ours = ids.iter().all(|id| (first..=last).contains(id))
            && starts.iter().all(|start| (oldest..=newest).contains(start));
        if !is_ours {
            return Err(Error::damaged("it has flows that are not its own"));
        }
    }
    let runs = lost.chunk_by(|page, next| page + 1 == *next);
    Ok(Rescued { flows, lost: runs.map(|run| extent_of(entry, reader, run)).collect() })
}

/// The flows, newest first.
pub(super) fn in_order(flows: RecordBatch) -> Result<RecordBatch> {
    let (starts, ids) = keys(&flows)?;
    let keys: Vec<(i64, u64)> = starts.into_iter().zip(ids).collect();
    if keys.is_sorted_by(|one, next| one >= next) {
        return Ok(flows);
    }
    let mut rows: Vec<u32> = (0..).take(keys.len()).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(keys.get(*row as usize)));
    let sorted = take_record_batch(&flows, &UInt32Array::from(rows));
    sorted.map_err(Error::with(ErrorKind::Internal, "flows could not be sorted"))
}
