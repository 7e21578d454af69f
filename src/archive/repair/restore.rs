//! Flows of segments in quarantine, taken back into the archive.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};

use super::{report::Loss, rescue::in_order};
use crate::{
    archive::{
        files::{Files, QUARANTINE, is_segment},
        id_ranges::IdRanges,
        verify::{IdSet, keys, read_pages},
    },
    error::{Error, ErrorKind, Result},
    flow::{FlowId, Timestamp},
    resources::{SharedFile, io_error, undamaged},
    segment::SegmentReader,
};

/// Which flows may come back.
///
/// An ID that was given, and that no flow has now, is that of a flow that was removed on purpose, unless it was put aside
/// or is lost: for example, of the IDs 1 to 30 in quarantine, with 1 to 10 in the archive, 11 to 20 in a segment whose
/// file is missing, and 21 to 30 put aside, the last twenty come back. Had 11 to 20 been removed by retention, only the
/// last ten would.
pub(super) struct Restorer<'a> {
    files: &'a Files,
    /// The IDs of flows that are there.
    present: IdSet,
    next_flow_id: u64,
    aside: IdRanges,
}

impl<'a> Restorer<'a> {
    pub(super) fn new(files: &'a Files, present: IdSet, next_flow_id: u64, aside: IdRanges) -> Self {
        Self { files, present, next_flow_id, aside }
    }

    /// Takes note of flows that are saved otherwise.
    pub(super) fn keep(&mut self, flows: &RecordBatch) -> Result<()> {
        let (_, ids) = keys(flows)?;
        for id in ids {
            self.present.insert(id);
        }
        Ok(())
    }

    /// The segments in quarantine, by their paths from the archive's directory on, the largest first.
    pub(super) fn candidates(&self) -> Result<Vec<String>> {
        let failed = |error| self.files.failed("the quarantine cannot be read", error);
        let folder = self.files.folder(QUARANTINE);
        if self.files.storage.size(&folder).map_err(failed)?.is_none() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for path in self.files.storage.list(&folder).map_err(failed)? {
            let name = path.file_name().unwrap_or_default().display().to_string();
            // A second file of the same name has a number behind it.
            let stem = name.rsplit_once('.').filter(|(_, number)| number.parse::<u32>().is_ok());
            let stem = stem.map_or(name.as_str(), |(stem, _)| stem);
            if stem.ends_with(".parquet") && is_segment(stem.as_ref()) {
                let bytes = self.files.storage.size(&path).map_err(failed)?;
                found.push((std::cmp::Reverse(bytes), format!("{QUARANTINE}/{name}")));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    /// The flows of a segment in quarantine that come back; `None` where there are none, and where a byte of it is not
    /// what was written. What was lost and comes back is taken out of `lost`.
    pub(super) fn restore(&mut self, path: &str, lost: &mut Vec<Loss>) -> Result<Option<RecordBatch>> {
        let Some(flows) = read_whole(self.files, path)? else { return Ok(None) };
        let (starts, ids) = keys(&flows)?;
        let mut rows = Vec::new();
        for (row, (start, id)) in (0u32..).zip(starts.into_iter().zip(ids)) {
            if self.present.contains(id) {
                continue;
            }
            let was_aside = id >= self.next_flow_id || self.aside.contains(id);
            if was_aside || take_from(lost, id, start) {
                self.present.insert(id);
                self.aside.remove(id);
                rows.push(row);
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let restored = take_record_batch(&flows, &UInt32Array::from(rows));
        restored.map(Some).map_err(Error::with(ErrorKind::Internal, "flows could not be taken back"))
    }

    /// The IDs that are still aside.
    pub(super) fn aside(&self) -> &IdRanges {
        &self.aside
    }
}

/// All flows of a segment whose every byte is proven; `None` of another file.
fn read_whole(files: &Files, path: &str) -> Result<Option<RecordBatch>> {
    let read = || {
        let file = SharedFile::open(files.descriptors(), vec![files.root().join(path)]);
        let file = file.map_err(io_error(format!("segment {path} cannot be read")))?;
        let reader = Arc::new(SegmentReader::read(Arc::new(file))?);
        if !reader.check()?.is_empty() {
            return Err(Error::damaged(format!("segment {path} is not what was written")));
        }
        in_order(read_pages(&reader, 0..reader.page_count())?)
    };
    match read() {
        // It stays where it is.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        read => undamaged(read),
    }
}

/// Takes a flow out of what is lost, if it may be of that.
fn take_from(lost: &mut Vec<Loss>, id: u64, start: i64) -> bool {
    let Some(start) = Timestamp::from_millis(start) else { return false };
    let id = FlowId::new(id);
    let holds = |loss: &Loss| {
        let ((oldest, newest), (first, last)) = (loss.flows.start_time, loss.flows.flow_id);
        (oldest..=newest).contains(&start) && (first..=last).contains(&id)
    };
    let Some(at) = lost.iter().position(holds) else { return false };
    if let Some(loss) = lost.get_mut(at) {
        loss.flows.rows -= 1;
        if loss.flows.rows == 0 {
            lost.remove(at);
        }
    }
    true
}
