//! What an archive consists of.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{Archive, archive::Manifest};
use serde_json::json;

use super::{
    archive_path,
    failure::{Failure, answer},
};

/// Says what an archive consists of: version, flows, segments, bytes and the time it covers.
#[derive(Debug, Args)]
pub struct Stats {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Stats {
    /// Prints them.
    pub fn run(&self) -> Result<(), Failure> {
        let snapshot = Archive::open(&self.archive)?.snapshot()?;
        let manifest = snapshot.manifest();
        answer(if self.json { json(manifest) } else { text(manifest) })
    }
}

/// Bytes a flow; `None` where there are no flows.
pub fn bytes_per_flow(bytes: u64, flows: u64) -> Option<f64> {
    (flows > 0).then(|| (bytes as f64 / flows as f64 * 10.0).round() / 10.0)
}

fn start_times(manifest: &Manifest) -> (Option<String>, Option<String>) {
    let times = || manifest.segments.iter().map(|segment| segment.start_times());
    let oldest = times().map(|(oldest, _)| oldest).min();
    let newest = times().map(|(_, newest)| newest).max();
    (oldest.map(|time| time.to_string()), newest.map(|time| time.to_string()))
}

fn json(manifest: &Manifest) -> String {
    let (oldest, newest) = start_times(manifest);
    json!({
        "version": manifest.version,
        "flows": manifest.rows(),
        "segments": manifest.segments.len(),
        "bytes": manifest.bytes(),
        "bytesPerFlow": bytes_per_flow(manifest.bytes(), manifest.rows()),
        "oldestStartTime": oldest,
        "newestStartTime": newest,
        "partition": manifest.partition,
    })
    .to_string()
}

fn text(manifest: &Manifest) -> String {
    let (oldest, newest) = start_times(manifest);
    let or_none = |time: Option<String>| time.unwrap_or_else(|| "none".to_owned());
    let bytes_per_flow = bytes_per_flow(manifest.bytes(), manifest.rows());
    [
        format!("version:           {}", manifest.version),
        format!("flows:             {}", manifest.rows()),
        format!("segments:          {}", manifest.segments.len()),
        format!("bytes:             {}", manifest.bytes()),
        format!("bytes a flow:      {}", or_none(bytes_per_flow.map(|bytes| bytes.to_string()))),
        format!("oldest start time: {}", or_none(oldest)),
        format!("newest start time: {}", or_none(newest)),
    ]
    .into_iter()
    .chain(manifest.partition.as_ref().map(|partition| format!("divided into:      {partition}")))
    .collect::<Vec<_>>()
    .join("\n")
}
