//! Whether an archive is what was written.

use std::path::{Path, PathBuf};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{
    Archive, Settings,
    archive::{Depth, Extent, Finding, Rebuilt, Repaired, Report},
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    archive_path,
    failure::{Failure, answer},
    progress,
};

/// Looks for damage in an archive, and repairs it if told to.
///
/// It prints a line for each damage, and last `verified=N damaged=M`: how many segments were looked through, and how
/// many of them are damaged. It only reads, and may run beside a writer.
///
/// With `--repair` damaged segments are written anew from all their flows that are sound, and damaged and foreign files
/// are put into the folder `quarantine` of the archive. Segments that lie there because no manifest names them give their
/// flows back, if these are missing. It then says what was written anew, and exactly which flows are gone.
///
/// The exit status is 0 where all is sound, or was repaired, and 1 where something is damaged.
#[derive(Debug, Args)]
pub struct Verify {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Repair what can be repaired, and put the rest aside.
    #[arg(long)]
    repair: bool,
    /// Only hold every byte against its checksum: faster, and enough to find what a disk has spoiled.
    #[arg(long, conflicts_with = "repair")]
    bytes: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Verifies, or repairs.
    pub fn run(&self) -> Result<(), Failure> {
        // A damaged archive does not tell how many flows it has.
        let flows =
            Archive::open(&self.archive).and_then(|archive| archive.snapshot()).map_or(0, |now| now.manifest().rows());
        let bar = progress::flows(flows);
        let done = if self.repair { self.repair(&bar) } else { self.verify(&bar) };
        bar.finish_and_clear();
        done
    }

    fn verify(&self, bar: &ProgressBar) -> Result<(), Failure> {
        let depth = if self.bytes { Depth::Bytes } else { Depth::Rows };
        let report = Archive::verify(&self.archive, depth, &mut |rows| bar.inc(rows))?;
        bar.finish_and_clear();
        if self.json {
            answer(json_of(&report))?;
        } else {
            report.findings.iter().try_for_each(answer)?;
            answer(last_line(&report))?;
        }
        if report.is_sound() { Ok(()) } else { Err(damaged(&self.archive, "`flowseek verify --repair` repairs it")) }
    }

    fn repair(&self, bar: &ProgressBar) -> Result<(), Failure> {
        let repaired = Archive::repair(&self.archive, Settings::default(), &mut |rows| bar.inc(rows))?;
        bar.finish_and_clear();
        if self.json {
            answer(json_of_repair(&repaired))?;
        } else {
            repaired.found.findings.iter().try_for_each(answer)?;
            for rebuilt in &repaired.rebuilt {
                answer(format_args!("rebuilt: {}: {} flows, now in {}", rebuilt.from, rebuilt.rows, rebuilt.path))?;
            }
            for restored in &repaired.restored {
                answer(format_args!("restored: {}: {} flows, now in {}", restored.from, restored.rows, restored.path))?;
            }
            for loss in &repaired.lost {
                answer(format_args!("lost: {}: {}", loss.path, loss.flows))?;
            }
            for path in &repaired.quarantined {
                answer(format_args!("quarantined: {path}"))?;
            }
            for finding in &repaired.left {
                answer(format_args!("left: {finding}"))?;
            }
            answer(last_line(&repaired.found))?;
        }
        if repaired.left.is_empty() { Ok(()) } else { Err(damaged(&self.archive, "not all of it could be repaired")) }
    }
}

fn last_line(report: &Report) -> String {
    format!("verified={} damaged={}", report.segments, report.damaged)
}

fn damaged(archive: &Path, advice: &str) -> Failure {
    Failure::Failed(format!("the archive {} is damaged: {advice}", archive.display()))
}

fn json_of(report: &Report) -> Value {
    json!({
        "version": report.version,
        "verified": report.segments,
        "damaged": report.damaged,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn json_of_repair(repaired: &Repaired) -> Value {
    let mut all = json_of(&repaired.found);
    let segment = |one: &Rebuilt| json!({ "from": one.from, "path": one.path, "flows": one.rows });
    let lost = repaired.lost.iter().map(|loss| json!({ "path": loss.path, "flows": extent(&loss.flows) }));
    for (key, value) in [
        ("repairedVersion", json!(repaired.version)),
        ("rebuilt", repaired.rebuilt.iter().map(segment).collect()),
        ("restored", repaired.restored.iter().map(segment).collect()),
        ("lost", lost.collect()),
        ("quarantined", json!(repaired.quarantined)),
        ("left", repaired.left.iter().map(finding).collect()),
    ] {
        if let Some(all) = all.as_object_mut() {
            all.insert(key.to_owned(), value);
        }
    }
    all
}

fn finding(finding: &Finding) -> Value {
    json!({
        "path": finding.path,
        "kind": finding.kind.name(),
        "message": finding.message,
        "affected": finding.affected.as_ref().map(extent),
    })
}

fn extent(flows: &Extent) -> Value {
    json!({
        "flows": flows.rows,
        "startTime": [flows.start_time.0.to_string(), flows.start_time.1.to_string()],
        "flowId": [flows.flow_id.0.get(), flows.flow_id.1.get()],
    })
}
