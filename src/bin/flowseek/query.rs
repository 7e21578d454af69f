//! Pages of flows.

use std::{
    io::{self, IsTerminal},
    mem::ManuallyDrop,
    path::PathBuf,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{
    Archive,
    filter::REFERENCE,
    query::{Count, Page, Pages, Start},
    wire::{PARAMETERS, Request, View},
};
use tokio::runtime::Runtime;

use super::{
    archive_path,
    failure::{Failure, answer, say},
    output::{Format, Output},
    parameters::{encoded, listed},
    threads::runtime,
};

/// The smallest page that `--all` asks for once it has answered the first.
const FOLLOWING_LIMIT: usize = 10_000;

/// Prints the flows that match a query.
///
/// The query is text such as 'dstPort=443&reverse=true&limit=5', percent-encoded or not. When more may match, the last
/// line on standard error is `next: CURSOR`: add page=CURSOR to the query to go on from there.
#[derive(Debug, Args)]
#[command(after_help = listed(PARAMETERS))]
pub struct Query {
    /// The archive.
    #[arg(required_unless_present = "help_filter", value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: Option<PathBuf>,
    /// Parameters with `&` between them; without any, the oldest flows.
    #[arg(default_value = "", hide_default_value = true)]
    query: String,
    /// A filter as text, with the words of nfdump: 'proto tcp and not dst port 443'. Flows must pass the query as well.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print the words of `--filter`, and nothing else.
    #[arg(long)]
    help_filter: bool,
    /// How flows are printed [default: table to a terminal, ndjson to anything else].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Go on to the last match; limit bounds the pages on the way, not the answer. Where a page cannot be answered, the last
    /// line on standard error is `next: CURSOR` all the same.
    #[arg(long)]
    all: bool,
    /// Say on standard error what each page has cost.
    #[arg(long)]
    explain: bool,
}

impl Query {
    /// Prints page after page.
    pub fn run(&self) -> Result<(), Failure> {
        let Some(path) = self.archive.as_ref().filter(|_| !self.help_filter) else {
            return answer(REFERENCE.trim_end());
        };
        let filter = self.filter.iter().map(|filter| format!("&filter={}", encoded(filter)));
        let request = Request::parse(&filter.fold(self.query.clone(), |query, filter| query + &filter))?;
        // What its caches hold is not given back page by page: the process ends.
        let archive = ManuallyDrop::new(Archive::open(path)?);
        let runtime = runtime()?;
        let query = request.query(&archive.snapshot()?);
        let mut output = Output::to_stdout(
            self.format.unwrap_or_else(Format::of_stdout),
            View::default().with(request.fields.clone()),
        );

        if self.all {
            return self.print_all(query, &request, &runtime, output);
        }
        let page = runtime.block_on(query.page())?;
        self.print(&page, &mut output)?;
        say_total(&page, &request);
        output.finish().map_err(Failure::output)?;
        say_how_to_go_on(&page);
        Ok(())
    }

    /// Prints every match. The limit of the request is that of the first page.
    fn print_all(
        &self,
        query: flowseek::query::Query,
        request: &Request,
        runtime: &Runtime,
        mut output: Output,
    ) -> Result<(), Failure> {
        let mut pages = query.clone().pages();
        let Some(first) = Self::next(&mut pages, runtime)? else { return Ok(()) };
        self.print(&first, &mut output)?;
        say_total(&first, request);
        // Of pages of no rows, no number is the last.
        if let Some(next) = first.next.filter(|_| request.limit > 0) {
            pages = query.count(Count::None).limit(request.limit.max(FOLLOWING_LIMIT)).after(next).pages();
            while let Some(page) = Self::next(&mut pages, runtime)? {
                self.print(&page, &mut output)?;
            }
        }
        output.finish().map_err(Failure::output)
    }

    /// The next page; where it cannot be answered, the cursor with which to ask for it again is told.
    fn next(pages: &mut Pages, runtime: &Runtime) -> Result<Option<Page>, Failure> {
        runtime.block_on(pages.next()).map_err(|error| match (Failure::from(error), pages.start()) {
            (Failure::Failed(message), Some(Start::At(next))) => Failure::Partial(message, next.to_string()),
            (failure, _) => failure,
        })
    }

    fn print(&self, page: &Page, output: &mut Output) -> Result<(), Failure> {
        output.page(&page.flows()?).map_err(Failure::output)?;
        self.explain(page);
        Ok(())
    }

    fn explain(&self, page: &Page) {
        if self.explain {
            say(&page.explain);
        }
    }
}

fn say_total(page: &Page, request: &Request) {
    if let Some(total) = page.total.filter(|_| request.count == Count::Exact || io::stderr().is_terminal()) {
        say(format_args!("total: {total}"));
    }
}

fn say_how_to_go_on(page: &Page) {
    if page.explain.budget_spent {
        say("search stopped early: the budget of one page was spent; there may be matches behind `next`");
    }
    if let Some(next) = &page.next {
        say(format_args!("next: {next}"));
    }
}
