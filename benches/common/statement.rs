//! A question in SQL that the library answers by SQL, and as a summary or a page where there is one.

use arrow::array::RecordBatch;
use datafusion::prelude::{SessionConfig, SessionContext};
use flowseek::{
    Archive, Filter, Snapshot,
    flow::Field,
    query::{Budget, Every, Measure, SummaryQuery, archive_session, limited_memory},
    wire::Request,
};
use tokio::runtime::Runtime;

use super::{
    dialect::{Dialect, Sorting, Term},
    rows,
};

/// Threads of a session, as many as every other database has.
const THREADS: usize = 2;
/// The memory of a session: that of the program's.
const MEMORY: usize = 1 << 30;
/// Of ten million groups.
const GROUP_BYTES: u64 = 4 << 30;
/// No summary may end early.
const BUDGET: Budget = Budget::new(u64::MAX, std::time::Duration::from_secs(600));

/// A question in SQL.
#[derive(Clone)]
pub struct Statement {
    pub name: String,
    pub terms: Vec<Term>,
    pub asks: Asks,
    /// The query string of the page that answers it, or of the flows that a summary adds up.
    pub query: String,
    /// How many milliseconds it should take at most, over 20 million flows.
    pub target: Option<f64>,
}

/// What is asked of the flows that satisfy the terms.
#[derive(Clone)]
pub enum Asks {
    /// 100 flows.
    Page(Sorting),
    /// Expressions over all of them: one row.
    Total(&'static str),
    /// The values of columns that have most of a measure, and how much.
    Top(Vec<Field>, Measure),
    /// How many flows begin in each five minutes.
    FiveMinutes,
}

impl Statement {
    pub fn sql(&self, dialect: Dialect) -> String {
        let condition = dialect.condition(&self.terms);
        match &self.asks {
            Asks::Page(sorting) => dialect.page(&self.terms, *sorting, super::case::LIMIT),
            Asks::Total(expressions) => format!("SELECT {expressions} FROM flows{condition}"),
            Asks::Top(fields, measure) => {
                let keys = fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
                let measure = if *measure == Measure::Flows { "count(*)" } else { "sum(src_bytes)" };
                format!(
                    "SELECT {keys}, {measure} AS much FROM flows{condition} \
                     GROUP BY {keys} ORDER BY much DESC, {keys} LIMIT 10"
                )
            }
            Asks::FiveMinutes => {
                let bucket = dialect.five_minutes();
                format!("SELECT {bucket} AS bucket, count(*) AS much FROM flows{condition} GROUP BY 1 ORDER BY 1")
            }
        }
    }

    /// The same question as a summary, if it is one.
    pub fn summary(&self, snapshot: &Snapshot) -> Option<(SummaryQuery, Measure)> {
        let filter: Filter = Request::parse(&self.query).unwrap().filter;
        let summary = snapshot.summarize(filter).budget(BUDGET).group_bytes(GROUP_BYTES);
        match &self.asks {
            Asks::Top(fields, measure) => {
                // With the sum of the measure alone, as in SQL.
                Some((summary.by(fields.iter().copied()).measure(*measure).flows_only(), *measure))
            }
            Asks::FiveMinutes => {
                let every = Every::Length(std::time::Duration::from_secs(300));
                Some((summary.every(every).flows_only(), Measure::Flows))
            }
            Asks::Page(_) | Asks::Total(_) => None,
        }
    }
}

/// A session over the archive, as the program has it.
pub fn session(archive: &Archive) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(THREADS);
    archive_session(archive.clone(), config, limited_memory(MEMORY).unwrap()).unwrap()
}

/// What a session answers.
pub fn batches(runtime: &Runtime, context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    runtime.block_on(async { context.sql(sql).await.unwrap().collect().await.unwrap() })
}

/// The rows that a session answers.
pub fn answer(runtime: &Runtime, context: &SessionContext, sql: &str) -> Vec<Vec<String>> {
    rows::of_batches(&batches(runtime, context, sql))
}
