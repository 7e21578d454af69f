//! Flows on standard output, in one of several formats.

pub mod columns;
mod pages;
mod table;
mod text;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;
use flowseek::{
    StoredFlow,
    wire::{TextForm, View},
};

use self::{pages::Pages, table::Table, text::Text};

const BUFFER_BYTES: usize = 1 << 18;
/// How flows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array.
    Json,
    /// A header line, then one line a flow (RFC 4180).
    Csv,
}

impl Format {
    /// A table for a terminal, lines for a program.
    pub fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Table } else { Self::Ndjson }
    }
}

/// Standard output, with the format of what is written to it.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    pages: Box<dyn Pages>,
}

impl Output {
    /// Nothing is written yet. Flows are shown in this view.
    pub fn to_stdout(format: Format, view: View) -> Self {
        let pages: Box<dyn Pages> = match format {
            Format::Table => Box::new(Table::new(view)),
            Format::Ndjson => Box::new(Text::new(TextForm::Ndjson, view)),
            Format::Json => Box::new(Text::new(TextForm::Json, view)),
            Format::Csv => Box::new(Text::new(TextForm::Csv, view)),
        };
        Self { out: BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()), pages }
    }

    /// Writes a page of flows, all of it before this returns.
    pub fn page(&mut self, flows: &[StoredFlow]) -> io::Result<()> {
        self.pages.page(&mut self.out, flows)?;
        self.out.flush()
    }

    /// Writes what stands behind the last page.
    pub fn finish(mut self) -> io::Result<()> {
        self.pages.finish(&mut self.out)?;
        self.out.flush()
    }
}
