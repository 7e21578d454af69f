//! SQL over an archive.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use datafusion::{
    arrow::{
        array::RecordBatch,
        csv::{self, writer::Terminator},
        error::ArrowError,
        json::{ArrayWriter, LineDelimitedWriter},
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::DataFusionError,
    logical_expr::LogicalPlan,
    prelude::{SQLOptions, SessionConfig, SessionContext},
};
use flowseek::{
    Archive,
    query::{archive_session, limited_memory},
};
use futures::StreamExt;

use super::{
    archive_path,
    failure::Failure,
    output::{
        Format,
        columns::{Columns, printable},
    },
    threads::runtime,
};

/// How many bytes a query holds at most for groups, sorts and joins.
const MEMORY: usize = 1 << 30;

const HELP: &str = "\
The table is `flows`, one row a flow; `DESCRIBE flows` lists its columns. Times are UTC. Addresses are 16 bytes:
ip('10.0.0.1') makes one of its text, and ip_text(src_ip) makes text of one. protocol_name(protocol) and
tcp_flags_text(tcp_flags) are what a page answers:
  SELECT ip_text(src_ip) AS source, sum(src_bytes) AS bytes FROM flows
  WHERE cidr_contains(src_ip, '10.0.0.0/8') AND start_time >= '2025-01-29T00:00:00Z'
  GROUP BY src_ip ORDER BY bytes DESC LIMIT 10";

/// Prints the rows that an SQL query answers.
///
/// The SQL is that of Apache DataFusion; only queries are answered, nothing is written. Without ORDER BY rows come in
/// any order, also after LIMIT. Sums and differences never wrap: where they might not fit they are decimals. Groups and
/// sorts that take more than 1 GiB of memory go on in temporary files.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Sql {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// One query, over the table `flows`.
    query: String,
    /// How rows are printed [default: table to a terminal, ndjson to anything else].
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Sql {
    /// Prints the rows as they are found.
    pub fn run(&self) -> Result<(), Failure> {
        let config = SessionConfig::new().with_information_schema(true);
        let context = archive_session(Archive::open(&self.archive)?, config, limited_memory(MEMORY)?)?;
        runtime()?.block_on(self.print(&context))
    }

    async fn print(&self, context: &SessionContext) -> Result<(), Failure> {
        let plan = context.state().create_logical_plan(&self.query).await.map_err(failure)?;
        let queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        queries.verify_plan(&plan).map_err(|refused| {
            Failure::Query(vec![format!("only queries are answered, such as SELECT: {}", refused.message())])
        })?;
        // Plans have lines, and no values of flows that could pretend to be some.
        let lines: &'static [char] =
            if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) { &['\n'] } else { &[] };
        let answer = context.execute_logical_plan(plan).await.map_err(failure)?;
        let mut batches = answer.execute_stream().await.map_err(failure)?;
        let mut rows = Rows::new(self.format.unwrap_or_else(Format::of_stdout), lines);
        let none = RecordBatch::new_empty(batches.schema());
        let mut out = io::stdout().lock();
        let mut print = |text: Result<Vec<u8>, ArrowError>| {
            out.write_all(&text.map_err(unprintable)?).and_then(|()| out.flush()).map_err(Failure::output)
        };
        let mut begun = false;
        while let Some(batch) = batches.next().await.transpose().map_err(failure)? {
            if batch.num_rows() > 0 {
                begun = true;
                print(rows.text(&batch))?;
            }
        }
        // An answer without rows has a header too.
        if !begun {
            print(rows.text(&none))?;
        }
        print(rows.end())
    }
}

/// What to make of an error of DataFusion: what cannot be read is not the fault of the query, nearly all else is.
fn failure(error: DataFusionError) -> Failure {
    use DataFusionError::{ArrowError as Arrow, Execution, NotImplemented, Plan, ResourcesExhausted, SQL, SchemaError};
    let mut problem = error.strip_backtrace();
    if problem.contains("FixedSizeBinary(16)") {
        problem += " (an address is written as ip('10.0.0.1'))";
    }
    match error.find_root() {
        ResourcesExhausted(_) => {
            Failure::Failed(format!("the query needs more than {} MiB of memory: {problem}", MEMORY >> 20))
        }
        SQL(..) | Plan(_) | SchemaError(..) | NotImplemented(_) | Execution(_) => Failure::Query(vec![problem]),
        Arrow(error, _) if !matches!(**error, ArrowError::IoError(..) | ArrowError::ParquetError(_)) => {
            Failure::Query(vec![problem])
        }
        _ => Failure::Failed(problem),
    }
}

fn unprintable(error: ArrowError) -> Failure {
    Failure::Failed(format!("the rows cannot be printed in this format: {error}"))
}

/// What a format makes of batches of rows.
enum Rows {
    Table {
        columns: Columns,
        /// Control characters that stay in cells.
        kept: &'static [char],
    },
    Ndjson,
    Json(ArrayWriter<Vec<u8>>),
    Csv {
        headed: bool,
    },
}

impl Rows {
    fn new(format: Format, kept: &'static [char]) -> Self {
        match format {
            Format::Table => Self::Table { columns: Columns::default(), kept },
            Format::Ndjson => Self::Ndjson,
            Format::Json => Self::Json(ArrayWriter::new(Vec::new())),
            Format::Csv => Self::Csv { headed: false },
        }
    }

    /// The text of the next batch.
    fn text(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut text = Vec::new();
        match self {
            Self::Table { columns, kept } => {
                lines(columns, batch, kept)?.iter().for_each(|line| text.extend([line.as_bytes(), b"\n"].concat()));
            }
            Self::Ndjson => LineDelimitedWriter::new(&mut text).write(batch)?,
            Self::Json(array) => {
                array.write(batch)?;
                text = std::mem::take(array.get_mut());
            }
            Self::Csv { headed } => {
                let header = !std::mem::replace(headed, true);
                let csv = csv::WriterBuilder::new().with_header(header).with_line_terminator(Terminator::CRLF);
                csv.build(&mut text).write(batch)?;
            }
        }
        Ok(text)
    }

    /// The text behind the last batch.
    fn end(self) -> Result<Vec<u8>, ArrowError> {
        let Self::Json(mut array) = self else { return Ok(Vec::new()) };
        array.finish()?;
        Ok([array.into_inner(), b"\n".to_vec()].concat())
    }
}

fn lines(columns: &mut Columns, batch: &RecordBatch, kept: &[char]) -> Result<Vec<String>, ArrowError> {
    let printable = |text: &str| printable(text, kept);
    let schema = batch.schema();
    let options = FormatOptions::default();
    let cells = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let row = |row| cells.iter().map(|cell| cell.value(row).try_to_string().map(|text| printable(&text))).collect();
    let rows = (0..batch.num_rows()).map(row).collect::<Result<Vec<Vec<String>>, _>>()?;
    let header = schema.fields().iter().map(|column| printable(column.name())).collect();
    Ok(columns.lines(header, rows, |at| schema.fields().get(at).is_some_and(|field| field.data_type().is_numeric())))
}
