//! Summaries: who, how much and when, beside plain DataFusion SQL over the same files.
//!
//! `cargo bench --features sql --bench summaries -- ports pairs` runs the cases so named.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{case, fixture, measure, report::Report, sql::Sql};
use flowseek::{
    Filter, Snapshot, filter,
    flow::Field,
    query::{Budget, Every, Measure, Summary, SummaryQuery},
};
use serde_json::json;
use tokio::runtime::Runtime;

/// What is asked for, and the same in SQL: a column of numbers.
struct Case {
    name: &'static str,
    filter: Filter,
    by: &'static [Field],
    measure: Measure,
    every: Option<Every>,
    sql: String,
}

/// Bytes in both directions.
const BYTES: &str = "sum(coalesce(src_bytes, 0) + coalesce(dst_bytes, 0))";
const FIVE_MINUTES: Every = Every::Length(Duration::from_secs(300));
/// Groups are told whatever time and memory they take.
const BUDGET: Budget = Budget::new(u64::MAX, Duration::from_secs(600));
const GROUP_BYTES: u64 = 4 << 30;

fn cases() -> Vec<Case> {
    let top = |name, by: &'static [Field], measure, condition: &str, filter| {
        let measured = if measure == Measure::Flows { "count(*)" } else { BYTES };
        let keys = by.iter().map(|field| match field {
            Field::Protocol => "CASE WHEN protocol IN (1, 6, 17) THEN protocol ELSE 255 END",
            field => field.name(),
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {measured} AS measured FROM flows {condition} GROUP BY {keys} ORDER BY measured DESC LIMIT 10"
        );
        Case { name, filter, by, measure, every: None, sql }
    };
    let histogram = |name, measure, condition: &str, filter| {
        let measured = if measure == Measure::Flows { "count(*)" } else { BYTES };
        let bucket = "date_bin(INTERVAL '5 minutes', start_time)";
        let sql = format!("SELECT {measured} FROM flows {condition} GROUP BY {bucket} ORDER BY {bucket}");
        Case { name, filter, by: &[], measure, every: Some(FIVE_MINUTES), sql }
    };
    let https = || filter::dst_port().eq(443);
    let condition = "WHERE dst_port = 443";
    vec![
        top("top ports by flows", &[Field::DstPort], Measure::Flows, "", Filter::all()),
        top("top sources by flows", &[Field::SrcIp], Measure::Flows, "", Filter::all()),
        top("top destinations by flows", &[Field::DstIp], Measure::Flows, "", Filter::all()),
        top("top nodes by flows", &[Field::NodeId], Measure::Flows, "", Filter::all()),
        histogram("histogram of flows", Measure::Flows, "", Filter::all()),
        top("top sources by bytes", &[Field::SrcIp], Measure::Bytes, "", Filter::all()),
        top("top sources by bytes, port 443", &[Field::SrcIp], Measure::Bytes, condition, https()),
        top("nodes x protocols by bytes", &[Field::NodeId, Field::Protocol], Measure::Bytes, "", Filter::all()),
        top("pairs by bytes", &[Field::SrcIp, Field::DstIp], Measure::Bytes, "", Filter::all()),
        histogram("histogram of bytes", Measure::Bytes, "", Filter::all()),
        histogram("histogram of bytes, port 443", Measure::Bytes, condition, https()),
    ]
}

impl Case {
    fn query(&self, snapshot: &Snapshot) -> SummaryQuery {
        let query =
            snapshot.summarize(self.filter.clone()).by(self.by.iter().copied()).measure(self.measure).budget(BUDGET);
        let query = self.every.iter().fold(query.group_bytes(GROUP_BYTES), |query, every| query.every(*every));
        query.flows_only()
    }

    /// The numbers that SQL answers, too.
    fn numbers(&self, summary: &Summary) -> Vec<u64> {
        assert!(summary.is_complete());
        let groups = summary.groups.iter().map(|group| group.totals);
        let buckets = summary.buckets.iter().map(|bucket| bucket.totals).filter(|totals| totals.flows > 0);
        let number = |totals: flowseek::query::Totals| {
            totals.bytes().map_or(totals.flows, |bytes| u64::try_from(bytes).unwrap())
        };
        groups.chain(buckets).map(number).collect()
    }
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let archive = fixture::archive(fixture::flows());
    let snapshot = archive.snapshot().unwrap();
    let sql = Sql::new(&runtime, archive.path());
    let mut report = Report::new();
    println!(
        "{:34} {:>10} {:>10} {:>10} {:>7} {:>9} {:>9}",
        "warm, medians in ms", "flowseek", "first", "SQL", "/ours", "blocks", "scanned"
    );
    let words = case::words();
    let is_named = |case: &&Case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()));
    for case in cases().iter().filter(is_named) {
        let query = case.query(&snapshot);
        let summary = runtime.block_on(query.summary()).unwrap();
        // First the right answer, then the time it takes.
        assert_eq!(case.numbers(&summary), sql.numbers(&case.sql), "{}", case.name);
        let mut sides: [&mut dyn FnMut(); 2] =
            [&mut || drop(runtime.block_on(query.summary()).unwrap()), &mut || drop(sql.numbers(&case.sql))];
        let times = measure::in_turn(&mut sides);
        let (ours, theirs) = (times[0], times[1]);
        // In a process that has just begun: its caches are empty, those of the system are not.
        let first = (0..measure::runs(ours).min(3)).map(|_| {
            let snapshot = fixture::reopened(&archive).snapshot().unwrap();
            let query = case.query(&snapshot);
            measure::time(|| drop(runtime.block_on(query.summary()).unwrap()))
        });
        let first = measure::median(first.collect());
        println!(
            "{:34} {:>10} {:>10} {:>10} {:>7.1} {:>9} {:>9}",
            case.name,
            measure::millis(ours),
            measure::millis(first),
            measure::millis(theirs),
            measure::ratio(theirs, ours),
            summary.explain.blocks_read,
            summary.explain.rows_scanned
        );
        let [ours, first, theirs] = [ours, first, theirs].map(|time| time.as_secs_f64() * 1e3);
        report.line(&json!({
            "suite": "summaries",
            "name": case.name,
            "flowseek_ms": ours,
            "first_ms": first,
            "datafusion_ms": theirs,
            "blocks_read": summary.explain.blocks_read,
            "rows_scanned": summary.explain.rows_scanned,
            "bytes_read": summary.explain.bytes_read,
            "bytes_cached": summary.explain.bytes_cached,
        }));
    }
}
