//! The bare Parquet decode of a page's rows: what no reader of these files can be faster than by much.

use std::{collections::HashSet, fs, path::Path};

use arrow::{array::AsArray, datatypes::UInt64Type};
use bytes::Bytes;
use flowseek::Snapshot;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
        },
    },
    file::metadata::PageIndexPolicy,
};

/// Rows of some segments, whose bytes and footers are in memory.
pub struct Decode {
    files: Vec<File>,
    rows: usize,
}

struct File {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    row_groups: Vec<usize>,
    /// Of those row groups.
    selection: RowSelection,
}

impl Decode {
    /// Where the flows with these IDs lie.
    pub fn new(snapshot: &Snapshot, ids: &[u64]) -> Self {
        let mut files = Vec::new();
        for entry in &snapshot.manifest().segments {
            let (first, last) = entry.flow_id;
            let wanted: HashSet<u64> = ids.iter().copied().filter(|id| (first..=last).contains(id)).collect();
            if !wanted.is_empty() {
                files.extend(File::open(&snapshot.archive().path().join(&entry.path), &wanted));
            }
        }
        Self { files, rows: ids.len() }
    }

    /// Decodes the rows, all their columns.
    pub fn run(&self) {
        let mut rows = 0;
        for file in &self.files {
            let reader = file.reader().with_row_groups(file.row_groups.clone());
            let reader = reader.with_row_selection(file.selection.clone()).with_batch_size(self.rows).build().unwrap();
            rows += reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>();
        }
        assert_eq!(rows, self.rows);
    }
}

impl File {
    /// The file at `path`, with the rows of these IDs; `None` where it has none of them.
    fn open(path: &Path, ids: &HashSet<u64>) -> Option<Self> {
        let bytes = Bytes::from(fs::read(path).unwrap());
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let metadata = ArrowReaderMetadata::load(&bytes, options).unwrap();
        let mut file = Self { bytes, metadata, row_groups: Vec::new(), selection: RowSelection::default() };
        let places = file.places(ids);
        let mut selectors = Vec::new();
        let mut start = 0;
        for (number, group) in file.metadata.metadata().row_groups().iter().enumerate() {
            let end = start + usize::try_from(group.num_rows()).unwrap();
            let here = places.iter().filter(|place| (start..end).contains(place));
            let mut at = start;
            for place in here {
                selectors.extend([RowSelector::skip(place - at), RowSelector::select(1)]);
                at = place + 1;
            }
            if at > start {
                selectors.push(RowSelector::skip(end - at));
                file.row_groups.push(number);
            }
            start = end;
        }
        file.selection = selectors.into();
        (!places.is_empty()).then_some(file)
    }

    fn reader(&self) -> ParquetRecordBatchReaderBuilder<Bytes> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone())
    }

    /// The rows of these IDs, ascending.
    fn places(&self, ids: &HashSet<u64>) -> Vec<usize> {
        let column = ProjectionMask::columns(self.metadata.parquet_schema(), ["flow_id"]);
        let reader = self.reader().with_projection(column).build().unwrap();
        let all = reader.flat_map(|batch| batch.unwrap().column(0).as_primitive::<UInt64Type>().values().to_vec());
        all.enumerate().filter(|(_, id)| ids.contains(id)).map(|(place, _)| place).collect()
    }
}
