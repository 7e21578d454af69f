//! Answers the cases on request, for the script beside it, which asks other databases in turn.
//!
//! It writes JSON lines: first what the archive is, then every case with its SQL, then an empty object. After that it
//! reads a line at a time: the number of a case, from 0 on, or the path of a file to be imported, and answers each with
//! a line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

use std::io::stdin;

use common::{
    asked::Asked,
    case::{self, Case},
    dialect::Dialect,
    fixture, measure,
    report::object,
    rows,
    sample::Sample,
    statement::{self, Statement},
    statements, suites,
};
use datafusion::prelude::SessionContext;
use flowseek::{Archive, Snapshot, ingest::ImportOptions};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What is timed.
enum Question {
    /// A page or a count, by the library's queries.
    Query(Case, Box<Asked>),
    /// A statement, by SQL and, where it is one, as a summary.
    Sql(Statement),
}

/// What answers.
struct Library {
    runtime: Runtime,
    snapshot: Snapshot,
    context: SessionContext,
}

fn main() {
    let flows = fixture::flows();
    let archive = fixture::archive(flows);
    let library = Library {
        runtime: Runtime::new().unwrap(),
        snapshot: archive.snapshot().unwrap(),
        context: statement::session(&archive),
    };
    println!("{}", described(&archive));
    let words = case::words();
    let sample = Sample::of(flows);
    let cases = suites::all(&sample).into_iter().filter(|case| case.is_named_by(&words));
    let mut questions: Vec<_> = cases
        .map(|case| {
            let asked = library.runtime.block_on(Asked::new(&library.snapshot, &case));
            Question::Query(case, Box::new(asked))
        })
        .collect();
    let statements = statements::all(&sample).into_iter();
    questions.extend(
        statements.filter(|statement| case::are_named(&words, statements::SUITE, &statement.name)).map(Question::Sql),
    );
    for question in &questions {
        println!("{}", library.described(question));
    }
    println!("{{}}");
    let answer = |request: &str| match request.parse::<usize>() {
        Ok(number) => library.timed(&questions[number]),
        Err(_) => import(request),
    };
    if measure::is_bench() {
        stdin().lines().for_each(|line| println!("{}", answer(&line.unwrap())));
    } else {
        (0..questions.len()).for_each(|number| println!("{}", answer(&number.to_string())));
    }
}

impl Library {
    /// The question in all dialects, with the answer.
    fn described(&self, question: &Question) -> Value {
        match question {
            Question::Query(case, asked) => {
                let mut line = object(case, &[], &asked.page.explain);
                line["answer"] = asked.found().iter().map(|number| json!([number.to_string()])).collect();
                in_dialects(line, |dialect| asked.sql(dialect))
            }
            Question::Sql(statement) => {
                let answer = statement::answer(&self.runtime, &self.context, &statement.sql(Dialect::DataFusion));
                if let Some((summary, measure)) = statement.summary(&self.snapshot) {
                    let summary = self.runtime.block_on(summary.summary()).unwrap();
                    assert_eq!(answer, rows::of_summary(&summary, measure), "{}", statement.name);
                }
                let line = json!({
                    "suite": statements::SUITE,
                    "name": statement.name,
                    "target": statement.target,
                    "answer": answer,
                });
                in_dialects(line, |dialect| statement.sql(dialect))
            }
        }
    }

    /// How long the answer takes.
    fn timed(&self, question: &Question) -> Value {
        match question {
            Question::Query(case, asked) => {
                let mut page = None;
                let time = measure::time(|| page = self.runtime.block_on(asked.query.page()).ok());
                object(case, &[("flowseek", time)], &page.unwrap().explain)
            }
            Question::Sql(statement) => {
                let sql = statement.sql(Dialect::DataFusion);
                let time = measure::time(|| drop(statement::batches(&self.runtime, &self.context, &sql)));
                let summary = statement.summary(&self.snapshot).map(|(summary, _)| {
                    measure::time(|| drop(self.runtime.block_on(summary.summary()).unwrap())).as_secs_f64() * 1e3
                });
                json!({"flowseek_ms": time.as_secs_f64() * 1e3, "summary_ms": summary})
            }
        }
    }
}

fn in_dialects(mut line: Value, sql: impl Fn(Dialect) -> String) -> Value {
    line["duckdb"] = sql(Dialect::DuckDb).into();
    line["clickhouse"] = sql(Dialect::ClickHouse).into();
    line["sqlite"] = sql(Dialect::Sqlite).into();
    line
}

/// An archive of the flows in the file at `path`.
fn import(path: &str) -> Value {
    let archive = fixture::create(&fixture::directory().join("archive-imported"));
    let mut appender = archive.appender().unwrap();
    appender.import_file(path, ImportOptions::default(), &mut |_| {}).unwrap();
    let _ = appender.commit().unwrap();
    described(&archive)
}

fn described(archive: &Archive) -> Value {
    let snapshot = archive.snapshot().unwrap();
    let manifest = snapshot.manifest();
    json!({
        "archive": archive.path(),
        "format": fixture::format(),
        "flows": manifest.rows(),
        "bytes": manifest.bytes(),
    })
}
