//! Whether an archive is what was written, and if not, what of it is damaged.

mod foreign;
mod ids;
mod report;
mod segment;

use std::{path::Path, time::Duration};

pub use self::report::{Depth, Extent, Finding, FindingKind, Report};
pub(super) use self::{
    foreign::foreign_files,
    ids::IdSet,
    report::Damage,
    segment::{Examiner, all_of, extent_of, keys, read_pages},
};
use super::{Archive, Settings, nothing_at};
use crate::error::{ErrorKind, Result};

/// What there is to know of a version that was looked through.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) report: Report,
    /// The segments of which something was found.
    pub(super) damages: Vec<Damage>,
    /// The IDs of the flows of all other segments, if rows were looked at.
    pub(super) seen: IdSet,
}

/// How long it is waited for a segment to become a part of the archive.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];

impl Archive {
    /// Looks for damage in the newest version of the archive in a directory, and tells `observe` of each segment how
    /// many flows it has, once that was looked through.
    ///
    /// It only reads, takes no lock, and sees the archive as a query does: writers and queries go on meanwhile. It
    /// blocks on the processor and the disk. To the depth of [`Depth::Rows`] it holds the flows of one segment in
    /// memory, at some 200 bytes each, and a bit for every ID that was given.
    ///
    /// It is no method of an open archive, as a damaged one may not open.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no archive; [`ErrorKind::Unsupported`] where a newer version wrote it;
    /// [`ErrorKind::Io`] where the directories cannot be listed; [`ErrorKind::Busy`] where the system cannot read a
    /// segment now. Damage is no error but a finding.
    ///
    /// ```
    /// use flowseek::{Archive, archive::Depth};
    ///
    /// let report = Archive::verify("testdata/archive", Depth::Rows, &mut |_| {})?;
    /// assert!(report.is_sound() && report.segments == 1);
    /// # Ok::<(), flowseek::Error>(())
    /// ```
    pub fn verify(path: impl AsRef<Path>, depth: Depth, observe: &mut dyn FnMut(u64)) -> Result<Report> {
        Self::verify_with(path, Settings::default(), depth, observe)
    }

    /// [`verify`](Self::verify), with settings.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_with(
        path: impl AsRef<Path>,
        settings: Settings,
        depth: Depth,
        observe: &mut dyn FnMut(u64),
    ) -> Result<Report> {
        let path = path.as_ref();
        let files = settings.files(path, &settings.resources());
        let version = files.newest_version()?.ok_or_else(|| nothing_at(path))?;
        let archive = match Self::open_with(path, settings) {
            Ok(archive) => archive,
            Err(error) if error.kind() == ErrorKind::Damaged => {
                return Ok(Report::of_manifest(version, files.manifest_name(version), &error));
            }
            Err(error) => return Err(error),
        };
        archive.examine(depth, observe).map(|examined| examined.report)
    }

    /// Looks for damage in the newest version.
    pub(super) fn examine(&self, depth: Depth, observe: &mut dyn FnMut(u64)) -> Result<Examined> {
        // What is there before all else, and still no part of the archive after it, is on its way to nothing.
        let files = self.files();
        let strangers = foreign_files(files, self.snapshot()?.manifest())?;
        let snapshot = self.snapshot()?;
        let manifest = snapshot.manifest();
        let mut report = Report::new(manifest.version);
        let mut examiner = Examiner::new(files, manifest, depth);
        let mut damages = Vec::new();
        for entry in &manifest.segments {
            let damage = examiner.examine(entry)?;
            report.add(&damage);
            if !damage.findings.is_empty() {
                damages.push(damage);
            }
            observe(entry.rows);
        }
        report.findings.extend(self.left_of(strangers)?);
        Ok(Examined { report, damages, seen: examiner.into_seen() })
    }

    /// Those of some foreign files that stay so. A writer gives a segment its name before it publishes the version with it:
    /// in a small archive all is looked through before it gets to that.
    fn left_of(&self, mut strangers: Vec<Finding>) -> Result<Vec<Finding>> {
        for pause in PAUSES {
            if !strangers.is_empty() {
                std::thread::sleep(pause);
                let now = foreign_files(self.files(), self.snapshot()?.manifest())?;
                strangers.retain(|finding| now.contains(finding));
            }
        }
        Ok(strangers)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{array::UInt32Array, compute::take_record_batch};

    use super::{super::Settings, *};
    use crate::{
        flow::{Flow, FlowId, Timestamp},
        schema::FlowBuilder,
    };

    #[test]
    fn a_segment_that_is_about_to_be_published_is_not_foreign_and_one_that_is_not_is() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let _ = archive.writer().unwrap().commit().unwrap();
        let stray = directory.path().join("data/2022-11-01-0123456789abcdef0123456789abcdef.parquet");
        std::fs::write(&stray, "begun").unwrap();
        let verified = || Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
        assert_eq!(verified().findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Foreign]);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            std::fs::remove_file(stray).unwrap();
        });
        assert!(verified().is_sound());
        writer.join().unwrap();
    }

    #[test]
    fn flows_out_of_order_are_found_and_put_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let mut flows = FlowBuilder::default();
        let start = |second| Timestamp::from_millis(1000 * i64::from(second)).unwrap();
        (0..60).for_each(|second| flows.push(&Flow::starting(start(second))).unwrap());
        // All bytes and the index are right; only two neighbours have changed places.
        let order: UInt32Array = (0..5).chain([6, 5]).chain(7..60).collect::<Vec<u32>>().into();
        let flows = take_record_batch(&flows.finish(FlowId::new(1)).unwrap(), &order).unwrap();
        let mut writer = archive.writer().unwrap();
        writer.write_sorted(&flows).unwrap();
        let _ = writer.commit().unwrap();
        drop(writer);
        let path = &archive.snapshot().unwrap().manifest().segments[0].path.clone();
        let verified = |depth| Archive::verify(directory.path(), depth, &mut |_| {}).unwrap();
        assert!(verified(Depth::Bytes).is_sound());
        let report = verified(Depth::Rows);
        let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
        assert_eq!(
            (finding.kind, finding.path.as_str(), finding.message.as_str()),
            (FindingKind::Disorder, path.as_str(), "row 6 is not in order")
        );
        let repaired = Archive::repair(directory.path(), Settings::default(), &mut |_| {}).unwrap();
        assert_eq!(repaired.lost, []);
        assert!(verified(Depth::Rows).is_sound());
        assert_eq!(archive.snapshot().unwrap().manifest().rows(), 60);
    }
}
