//! What flows add up to.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use csv::{Terminator, WriterBuilder};
use flowseek::{
    Archive,
    query::{Budget, Summary as Answer},
    wire::{FlagsFormat, Parameter, Row, RowView, SummaryRequest, SummaryView},
};

use super::{
    archive_path,
    failure::{Failure, say},
    output::{
        Format,
        columns::{Columns, printable},
    },
    parameters::{encoded, listed},
    threads::runtime,
};

/// Bytes of memory that groups may take: whoever runs the program wants all of them.
const GROUP_BYTES: u64 = 2 << 30;

/// Prints how many flows match a query and how many bytes they have: all together, by the values of fields, and by time.
///
/// The query is text such as 'dstPort=443&by=srcIp', percent-encoded or not. An option is another way to give the parameter
/// of its name.
#[derive(Debug, Args)]
#[command(after_help = listed(Parameter::of_summaries()))]
pub struct Summary {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Parameters with `&` between them; without any, all flows.
    #[arg(default_value = "", hide_default_value = true)]
    query: String,
    /// A filter as text, with the words of nfdump: 'proto tcp and not dst port 443'. Flows must pass the query as well.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also by the values of one field or two, such as srcIp,dstPort.
    #[arg(long, value_name = "FIELDS")]
    by: Option<String>,
    /// The groups that have most of this come first: flows, bytes, sourceBytes or destBytes [default: flows].
    #[arg(long)]
    measure: Option<String>,
    /// So many groups, up to 1000 [default: 10].
    #[arg(long)]
    top: Option<String>,
    /// Also in buckets of time, such as 5m, 1h, 1d or auto.
    #[arg(long, value_name = "LENGTH")]
    every: Option<String>,
    /// What is told: flows, sourceBytes, destBytes, with commas between several [default: all]. Flows alone cost less.
    #[arg(long)]
    fields: Option<String>,
    /// How it is printed [default: table to a terminal, ndjson to anything else]. Lines and CSV have the groups and the
    /// buckets, or without both the total.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Summary {
    /// Prints the summary.
    pub fn run(&self) -> Result<(), Failure> {
        let request = SummaryRequest::parse(&self.text())?;
        let format = self.format.unwrap_or_else(Format::of_stdout);
        if format == Format::Csv && !request.by.is_empty() && request.every.is_some() {
            return Err(Failure::Usage("CSV has one header: ask for by or for every, not for both".to_owned()));
        }
        let archive = Archive::open(&self.archive)?;
        let unlimited = Budget::default().rows(u64::MAX).time(Duration::MAX);
        let query = request.query(&archive.snapshot()?).budget(unlimited).group_bytes(GROUP_BYTES);
        let summary = runtime()?.block_on(query.summary())?;
        let view = SummaryView::new(&summary, request.shown, FlagsFormat::Binary);
        let mut out = BufWriter::new(io::stdout().lock());
        print(&mut out, format, &summary, &view).and_then(|()| out.flush()).map_err(Failure::output)?;
        if let Some((oldest, newest)) = summary.searched {
            say(format_args!(
                "the groups take too much memory: this is of the flows that began from {oldest} to {newest}"
            ));
        }
        Ok(())
    }

    /// The query with the options as parameters.
    fn text(&self) -> String {
        let options = [
            ("filter", &self.filter),
            ("by", &self.by),
            ("measure", &self.measure),
            ("top", &self.top),
            ("every", &self.every),
            ("fields", &self.fields),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.fold(self.query.clone(), |query, (name, value)| format!("{query}&{name}={}", encoded(value)))
    }
}

fn print(out: &mut impl Write, format: Format, summary: &Answer, view: &SummaryView<'_>) -> io::Result<()> {
    let (has_groups, has_buckets) = (!summary.by.is_empty(), summary.every.is_some());
    let total = || std::iter::once(view.total());
    match format {
        Format::Json => {
            serde_json::to_writer(&mut *out, view)?;
            writeln!(out)
        }
        Format::Ndjson => {
            let only = total().filter(|_| !has_groups && !has_buckets);
            for row in only.chain(view.groups()).chain(view.buckets()) {
                serde_json::to_writer(&mut *out, &RowView(row))?;
                writeln!(out)?;
            }
            Ok(())
        }
        Format::Csv if has_groups => csv(out, &view.group_columns(), view.groups()),
        Format::Csv if has_buckets => csv(out, &view.bucket_columns(), view.buckets()),
        Format::Csv => csv(out, &columns(&view.total()), total()),
        Format::Table => {
            table(out, &columns(&view.total()), total())?;
            if has_groups {
                writeln!(out)?;
                table(out, &view.group_columns(), view.groups())?;
            }
            if has_buckets {
                writeln!(out)?;
                table(out, &view.bucket_columns(), view.buckets())?;
            }
            Ok(())
        }
    }
}

fn columns(row: &Row<'_>) -> Vec<&'static str> {
    row.iter().map(|(name, _)| *name).collect()
}

/// The values of a row as text; nothing for one that is absent.
fn texts(row: Row<'_>) -> impl Iterator<Item = String> {
    row.into_iter().map(|(_, cell)| cell.map(|cell| cell.to_string()).unwrap_or_default())
}

fn csv<'a>(out: &mut impl Write, columns: &[&str], rows: impl Iterator<Item = Row<'a>>) -> io::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(texts(row))?;
    }
    writer.flush()
}

fn table<'a>(out: &mut impl Write, columns: &[&str], rows: impl Iterator<Item = Row<'a>>) -> io::Result<()> {
    let header = columns.iter().map(|name| (*name).to_owned()).collect();
    let rows = rows.map(|row| texts(row).map(|text| printable(&text, &[])).collect()).collect();
    let is_number = |at: usize| columns.get(at).is_some_and(|name| is_number(name));
    let lines = Columns::default().lines(header, rows, is_number);
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn is_number(column: &str) -> bool {
    matches!(column, "flows" | "sourceBytes" | "destBytes" | "sourcePort" | "destPort")
}
