//! What the Parquet footer of a segment tells.

use std::{ops::Range, sync::Arc};

use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};

use super::{
    decode::further_columns,
    file_bytes::FileBytes,
    writer::{FORMAT, FORMAT_KEY, INDEX_KEY},
};
use crate::{
    error::{Error, ErrorKind, Result},
    resources::{SharedFile, guarded, read_error},
};

/// The Parquet footer of a segment, without where its pages lie, and where its index lies. This blocks on the file system.
///
/// # Errors
/// As [`SegmentReader::open`](super::SegmentReader::open).
pub(super) fn footer(file: &Arc<SharedFile>) -> Result<(ParquetMetaData, Range<u64>)> {
    let bytes = file.size();
    // Of rows the index tells what statistics would.
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let metadata = guarded(|| {
        ParquetMetaDataReader::new()
            .with_metadata_options(Some(options))
            .parse_and_finish(&FileBytes::new(Arc::clone(file)))
            .map_err(read_error("its Parquet footer is damaged"))
    })?;
    let value = |key: &str| {
        let pairs = metadata.file_metadata().key_value_metadata();
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.clone())
    };
    match value(FORMAT_KEY) {
        Some(format) if format == FORMAT => {}
        Some(format) => {
            let message = format!("it has format {format}; this version of flowseek reads {FORMAT}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        None => return Err(Error::damaged("it was not written by flowseek")),
    }
    match further_columns(metadata.file_metadata().schema_descr()) {
        Some(further) if further.is_empty() => {}
        Some(further) => {
            let message = format!("it has columns that this version of flowseek does not know: {}", further.join(", "));
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        None => return Err(Error::damaged("its columns are not those of an archive")),
    }
    let place = value(INDEX_KEY).and_then(|text| {
        let (offset, length) = text.split_once(':')?;
        Some((offset.parse::<u64>().ok()?, length.parse::<u64>().ok()?))
    });
    let (offset, length) = place
        .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= bytes))
        .ok_or_else(|| Error::damaged("it does not say where its index is"))?;
    Ok((metadata, offset..offset + length))
}

/// The same footer, with where all pages lie. This blocks on the file system.
///
/// # Errors
/// [`ErrorKind::Damaged`] where it does not say so, [`ErrorKind::Io`] where the file cannot be read.
pub(super) fn with_offsets(file: &Arc<SharedFile>, metadata: ParquetMetaData) -> Result<ParquetMetaData> {
    guarded(|| {
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let read = reader.read_page_indexes(&FileBytes::new(Arc::clone(file))).and_then(|()| reader.finish());
        read.map_err(read_error("its Parquet footer is damaged"))
    })
}
