//! An archive of small segments over a file system with faults, and what is found in it.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use arrow::{array::AsArray, datatypes::UInt64Type};
use flowseek::{
    Archive, Filter, Flow, Order, Settings, Snapshot, StoredFlow, archive::SegmentOptions, flow::Timestamp,
    query::Start,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    faults::Faulty,
    folder::Folder,
    support::{assert_sound, block_on},
};

pub struct Place {
    directory: Folder,
    pub path: PathBuf,
    pub storage: Faulty,
}

impl Place {
    pub fn new() -> Self {
        let directory = Folder::new();
        Self { path: directory.path().join("deep/flows"), directory, storage: Faulty::new() }
    }

    /// The test damages the archive on purpose: it is not verified at the end.
    pub fn expect_damage(&self) {
        self.directory.expect_damage();
    }

    /// A copy of what is there, which no reader has.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for folder in ["data", "manifests", "retired"] {
            fs::create_dir_all(copy.path.join(folder)).unwrap();
            for name in self.names(folder) {
                fs::copy(self.path.join(folder).join(&name), copy.path.join(folder).join(&name)).unwrap();
            }
        }
        copy
    }

    pub fn settings(&self, segment_rows: usize) -> Settings {
        Settings::default()
            .segment(SegmentOptions::default().block_rows(16).row_group_blocks(1))
            .segment_rows(segment_rows)
            .page_cache_bytes(1 << 20)
            .storage(Arc::new(self.storage.clone()))
    }

    pub fn archive(&self, segment_rows: usize) -> Archive {
        Archive::open_or_create_with(&self.path, self.settings(segment_rows)).unwrap()
    }

    /// The names in a folder of the archive.
    pub fn names(&self, folder: &str) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.path.join(folder)) else { return BTreeSet::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The IDs that a reader of `data/*.parquet` finds, which knows nothing of manifests.
    pub fn globbed(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        for name in self.names("data").iter().filter(|name| name.ends_with(".parquet")) {
            let file = fs::File::open(self.path.join("data").join(name)).unwrap();
            for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                ids.extend(batch["flow_id"].as_primitive::<UInt64Type>().values());
            }
        }
        ids.sort_unstable();
        ids
    }

    /// Asserts that the folders hold the newest version and nothing else, but for what retention keeps for a time: no reader
    /// is left.
    pub fn assert_clean(&self, archive: &Archive) {
        let snapshot = archive.snapshot().unwrap();
        let manifest = snapshot.manifest();
        let files = manifest.segments.iter().map(|segment| segment.path.strip_prefix("data/").unwrap().to_owned());
        assert_eq!(self.names("data"), files.collect());
        assert_eq!(self.names("manifests"), [format!("{:020}.json", manifest.version)].into());
        let kept = manifest.retired.iter().filter(|retired| retired.until.is_some());
        let kept = kept.map(|retired| retired.path.strip_prefix("data/").unwrap().to_owned());
        assert!(self.names("retired").is_subset(&kept.collect()), "{:?}", self.names("retired"));
        assert_eq!(self.globbed(), ids(&all(&snapshot)));
        assert_sound(&self.path);
    }
}

pub fn flow(millis: i64) -> Flow {
    let port = u16::try_from(millis.rem_euclid(1000)).unwrap();
    let named = (millis % 3 == 0).then(|| format!("node-{}", millis % 7));
    Flow { dst_port: Some(port), src_node: named, ..Flow::starting(Timestamp::from_millis(millis).unwrap()) }
}

/// Commits flows that start at these milliseconds.
pub fn commit(archive: &Archive, starts: impl IntoIterator<Item = i64>) {
    let mut appender = archive.appender().unwrap();
    starts.into_iter().for_each(|start| appender.push(&flow(start)).unwrap());
    let _ = appender.commit().unwrap();
}

/// All flows, oldest first, page by page.
pub fn all(snapshot: &Snapshot) -> Vec<StoredFlow> {
    let query = snapshot.query(Filter::all()).order(Order::oldest_first()).limit(200);
    let mut flows = Vec::new();
    let mut start = Start::First;
    loop {
        let page = block_on(query.clone().start(start).page()).unwrap();
        flows.extend(page.flows().unwrap());
        match page.next {
            Some(next) => start = Start::At(next),
            None => return flows,
        }
    }
}

pub fn now(archive: &Archive) -> Vec<StoredFlow> {
    all(&archive.snapshot().unwrap())
}

pub fn ids(flows: &[StoredFlow]) -> Vec<u64> {
    let mut ids: Vec<u64> = flows.iter().map(|flow| flow.id.get()).collect();
    ids.sort_unstable();
    ids
}
