//! What a benchmark tells: a table for people, and JSON lines for programs.

use std::{fs::File, io::Write, time::Duration};

use flowseek::query::Explain;
use serde_json::{Map, Value, json};

use super::{case::Case, measure::millis};

/// Where the JSON lines go: the file that `FLOWSEEK_BENCH_JSON` names, or nowhere.
pub struct Report(Option<File>);

impl Report {
    pub fn new() -> Self {
        let path = std::env::var_os("FLOWSEEK_BENCH_JSON").filter(|path| !path.is_empty());
        Self(path.map(|path| File::create(path).expect("FLOWSEEK_BENCH_JSON names a file that can be written")))
    }

    /// Writes an object as a line.
    pub fn line(&mut self, object: &Value) {
        if let Some(file) = &mut self.0 {
            writeln!(file, "{object}").unwrap();
        }
    }
}

/// A case, its medians in milliseconds under their names, and what the page has cost.
pub fn object(case: &Case, medians: &[(&str, Duration)], explain: &Explain) -> Value {
    let medians: Map<String, Value> =
        medians.iter().map(|(name, time)| (format!("{name}_ms"), json!(time.as_secs_f64() * 1e3))).collect();
    let mut object = json!({
        "suite": case.suite,
        "name": case.name,
        "query": case.query,
        "target": case.target,
        "segments_opened": explain.segments_opened,
        "blocks_read": explain.blocks_read,
        "rows_scanned": explain.rows_scanned,
        "bytes_read": explain.bytes_read,
        "bytes_cached": explain.bytes_cached,
    });
    object.as_object_mut().unwrap().extend(medians);
    object
}

/// A median and a ratio as cells.
pub fn cells(time: Duration, ratio: f64) -> String {
    format!("{:>10} {ratio:>7.1}", millis(time))
}
