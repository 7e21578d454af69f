//! The texts that the endpoint answers with, too.

use std::io::{self, Write};

use flowseek::{
    StoredFlow,
    wire::{FlowWriter, TextForm, View},
};

use super::pages::Pages;

#[derive(Debug)]
pub struct Text {
    writer: FlowWriter,
    /// What ends the last line where the form itself does not.
    end: &'static [u8],
}

impl Text {
    /// Nothing is written yet.
    pub fn new(form: TextForm, view: View) -> Self {
        Self { writer: FlowWriter::new(form, view), end: if form == TextForm::Json { b"\n" } else { b"" } }
    }
}

impl Pages for Text {
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        self.writer.write(out, flows)
    }

    fn finish(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        self.writer.finish(out)?;
        out.write_all(self.end)
    }
}
