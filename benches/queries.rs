//! Pages, needles, sorts and counts, beside plain DataFusion SQL over the same files and the bare decode of the rows.
//!
//! `cargo bench --features sql --bench queries -- needles "page 500"` runs a suite and the cases so named.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{
    asked::Asked,
    case::{self, Answer},
    decode::Decode,
    dialect::Dialect,
    fixture, measure,
    report::{Report, cells, object},
    sample::Sample,
    sql::Sql,
    suites,
};
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().unwrap();
    let flows = fixture::flows();
    let archive = fixture::archive(flows);
    let snapshot = archive.snapshot().unwrap();
    let sql = Sql::new(&runtime, archive.path());
    let mut report = Report::new();
    let bytes = snapshot.manifest().bytes() as f64 / flows as f64;
    println!("{flows} flows in {} segments, {bytes:.2} bytes a flow", snapshot.manifest().segments.len());
    println!(
        "{:34} {:>10} {:>10} {:>10} {:>7} {:>10} {:>7} {:>7} {:>9}",
        "limit 100, warm, medians in ms", "flowseek", "first", "SQL", "/ours", "decode", "ours/", "blocks", "scanned"
    );
    let words = case::words();
    for case in suites::all(&Sample::of(flows)).iter().filter(|case| case.is_named_by(&words)) {
        let asked = runtime.block_on(Asked::new(&snapshot, case));
        // First the right answer, then the time it takes.
        sql.check(case, &asked);
        let statement = asked.sql(Dialect::DataFusion);
        let is_page = case.answer != Answer::Count && asked.page.batch.num_rows() > 0;
        let decode = is_page.then(|| Decode::new(&snapshot, &asked.found()));
        let mut sides: [&mut dyn FnMut(); 3] = [
            &mut || drop(runtime.block_on(asked.query.page()).unwrap()),
            &mut || drop(sql.numbers(&statement)),
            &mut || decode.iter().for_each(Decode::run),
        ];
        let times = measure::in_turn(&mut sides);
        let (ours, theirs, bare) = (times[0], times[1], times[2]);
        // In a process that has just begun: its caches are empty, those of the system are not.
        let first = (0..measure::runs(ours).min(7)).map(|_| {
            let snapshot = fixture::reopened(&archive).snapshot().unwrap();
            let query = asked.query_of(&snapshot, case);
            measure::time(|| drop(runtime.block_on(query.page()).unwrap()))
        });
        let first = measure::median(first.collect());
        let page = runtime.block_on(asked.query.page()).unwrap();
        println!(
            "{:34} {:>10} {:>10} {} {} {:>7} {:>9}",
            case.name,
            measure::millis(ours),
            measure::millis(first),
            cells(theirs, measure::ratio(theirs, ours)),
            if is_page { cells(bare, measure::ratio(ours, bare)) } else { " ".repeat(18) },
            page.explain.blocks_read,
            page.explain.rows_scanned
        );
        let mut medians = vec![("flowseek", ours), ("first", first), ("datafusion", theirs)];
        medians.extend(decode.map(|_| ("decode", bare)));
        report.line(&object(case, &medians, &page.explain));
    }
}
