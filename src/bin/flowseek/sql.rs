//! SQL over an archive.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};
use datafusion::{
    arrow::{
        array::RecordBatch,
        csv::{self, writer::Terminator},
        error::ArrowError,
        json::{ArrayWriter, LineDelimitedWriter},
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::DataFusionError,
    prelude::{SQLOptions, SessionConfig, SessionContext},
};
use flowseek::{
    Archive,
    query::{FlowTable, address_functions},
};
use futures::StreamExt;
use tokio::runtime::Builder;

use super::{archive_path, failure::Failure, output::Format};

const HELP: &str = "\
The table is `flows`, one row a flow; `DESCRIBE flows` lists its columns. Times are UTC. Addresses are 16 bytes:
ip('10.0.0.1') makes one of its text, ip_text(src_ip) makes text of one, and a block is a range:
  SELECT ip_text(src_ip) AS source, sum(src_bytes) AS bytes FROM flows
  WHERE src_ip BETWEEN ip('10.0.0.0') AND ip('10.255.255.255') AND start_time >= '2025-01-29T00:00:00Z'
  GROUP BY src_ip ORDER BY bytes DESC LIMIT 10";

/// Prints the rows that an SQL query answers.
///
/// The SQL is that of Apache DataFusion; only queries are answered, nothing is written. Without ORDER BY rows come in
/// any order, also after LIMIT.
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
        let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
        let flows = FlowTable::new(Archive::open(&self.archive)?.snapshot()?);
        context.register_table("flows", Arc::new(flows)).map_err(failure)?;
        address_functions().into_iter().for_each(|function| context.register_udf(function));
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::Failed(format!("the threads of a query cannot be started: {error}")))?;
        runtime.block_on(self.print(&context))
    }

    async fn print(&self, context: &SessionContext) -> Result<(), Failure> {
        let plan = context.state().create_logical_plan(&self.query).await.map_err(failure)?;
        let queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        queries.verify_plan(&plan).map_err(|refused| {
            Failure::Query(vec![format!("only queries are answered, such as SELECT: {}", refused.message())])
        })?;
        let answer = context.execute_logical_plan(plan).await.map_err(failure)?;
        let mut batches = answer.execute_stream().await.map_err(failure)?;
        let mut rows = Rows::new(self.format.unwrap_or_else(Format::of_stdout));
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
    use DataFusionError::{ArrowError as Arrow, Execution, NotImplemented, Plan, SQL, SchemaError};
    let mut problem = error.strip_backtrace();
    if problem.contains("FixedSizeBinary(16)") {
        problem += " (an address is written as ip('10.0.0.1'))";
    }
    match error.find_root() {
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
    /// One header over all batches; a column keeps the width that it had in an earlier one.
    Table {
        headed: bool,
        widths: Vec<u16>,
    },
    Ndjson,
    Json(ArrayWriter<Vec<u8>>),
    Csv {
        headed: bool,
    },
}

impl Rows {
    fn new(format: Format) -> Self {
        match format {
            Format::Table => Self::Table { headed: false, widths: Vec::new() },
            Format::Ndjson => Self::Ndjson,
            Format::Json => Self::Json(ArrayWriter::new(Vec::new())),
            Format::Csv => Self::Csv { headed: false },
        }
    }

    /// The text of the next batch.
    fn text(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut text = Vec::new();
        match self {
            Self::Table { headed, widths } => {
                let table = table(batch, !std::mem::replace(headed, true), widths)?;
                table.lines().for_each(|line| text.extend([line.trim_end().as_bytes(), b"\n"].concat()));
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

fn table(batch: &RecordBatch, headed: bool, widths: &mut Vec<u16>) -> Result<Table, ArrowError> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let schema = batch.schema();
    if headed {
        table.add_row(schema.fields().iter().map(|column| printable(column.name())));
    }
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let cells = columns.iter().map(|column| column.value(row).try_to_string().map(|cell| printable(&cell)));
        table.add_row(cells.collect::<Result<Vec<_>, _>>()?);
    }
    let grown = table.column_max_content_widths().into_iter().enumerate();
    *widths = grown.map(|(at, width)| width.max(widths.get(at).copied().unwrap_or(0))).collect();
    for ((column, width), field) in table.column_iter_mut().zip(widths).zip(schema.fields()) {
        column.set_padding((0, 2));
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(2))));
        if field.data_type().is_numeric() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table)
}

/// The text with control characters escaped: they would reach the terminal as commands. Only lines are kept, of which
/// plans have many.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}
