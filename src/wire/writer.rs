//! Flows as text, page after page.

use std::io::{self, Write};

use csv::{Terminator, Writer, WriterBuilder};

use super::{Cell, View, response::write_object};
use crate::flow::{Flow, StoredFlow};

/// How flows are written as text.
///
/// ```
/// use flowseek::{flow::{Flow, FlowId, StoredFlow}, wire::{FlagsFormat, FlowWriter, TextForm}};
///
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let (mut writer, mut out) = (FlowWriter::new(TextForm::Ndjson, FlagsFormat::Binary), Vec::new());
/// writer.write(&mut out, &[StoredFlow { id: FlowId::new(1), flow }])?;
/// writer.finish(&mut out)?;
/// let object = r#"{"destPort":443,"protocol":"UNKNOWN","startTime":"2022-11-01T22:46:01.000Z"}"#;
/// assert_eq!(String::from_utf8(out)?, format!("{object}\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextForm {
    /// One JSON array over all pages.
    #[default]
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values as in RFC 4180: a header line, CRLF at the ends, absent values empty.
    Csv,
}

/// Writes pages of flows as one text.
///
/// A JSON array stays open until [`finish`](Self::finish): what an error cuts short does not look whole.
///
/// ```
/// use flowseek::{flow::{Flow, FlowId, StoredFlow}, wire::{FlagsFormat, FlowWriter, TextForm}};
///
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let page = [StoredFlow { id: FlowId::new(1), flow }];
/// let (mut writer, mut out) = (FlowWriter::new(TextForm::Json, FlagsFormat::Binary), Vec::new());
/// writer.write(&mut out, &page)?;
/// writer.write(&mut out, &page)?;
/// writer.finish(&mut out)?;
/// let object = r#"{"destPort":443,"protocol":"UNKNOWN","startTime":"2022-11-01T22:46:01.000Z"}"#;
/// assert_eq!(String::from_utf8(out)?, format!("[{object},{object}]"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlowWriter {
    form: TextForm,
    view: View,
    begun: bool,
}

impl FlowWriter {
    /// A writer that has written nothing yet.
    pub fn new(form: TextForm, view: impl Into<View>) -> Self {
        Self { form, view: view.into(), begun: false }
    }

    /// Writes the flows of one page.
    ///
    /// # Errors
    /// What `out` fails with; writing into a `Vec` never fails.
    pub fn write(&mut self, out: &mut (impl Write + ?Sized), flows: &[StoredFlow]) -> io::Result<()> {
        match self.form {
            TextForm::Json => {
                for stored in flows {
                    out.write_all(if self.begun { b"," } else { b"[" })?;
                    self.begun = true;
                    write_object(out, &stored.flow, &self.view)?;
                }
                Ok(())
            }
            TextForm::Ndjson => {
                for stored in flows {
                    write_object(out, &stored.flow, &self.view)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            }
            TextForm::Csv => self.write_csv(out, flows),
        }
    }

    /// Writes what stands behind the last page.
    ///
    /// # Errors
    /// What `out` fails with; writing into a `Vec` never fails.
    pub fn finish(mut self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        match self.form {
            TextForm::Json => out.write_all(if self.begun { b"]" } else { b"[]" }),
            TextForm::Ndjson => Ok(()),
            // Without a page the header is still to come.
            TextForm::Csv => self.write_csv(out, &[]),
        }
    }

    fn write_csv(&mut self, out: &mut (impl Write + ?Sized), flows: &[StoredFlow]) -> io::Result<()> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        if !self.begun {
            self.begun = true;
            writer.write_record(self.view.fields().iter().map(|(name, _)| name)).map_err(into_io)?;
        }
        flows.iter().try_for_each(|stored| csv_line(&mut writer, &stored.flow, &self.view)).map_err(into_io)?;
        writer.flush()
    }
}

fn csv_line(writer: &mut Writer<impl Write>, flow: &Flow, view: &View) -> csv::Result<()> {
    for (_, field) in view.fields() {
        match Cell::of(flow, *field, view.flags()) {
            Some(Cell::Text(text) | Cell::Object(text)) => writer.write_field(text)?,
            Some(cell) => writer.write_field(cell.to_string())?,
            None => writer.write_field("")?,
        }
    }
    writer.write_record(None::<&[u8]>)
}

/// The error of the output itself, so that a closed pipe is known as one.
fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::FlowId, wire::FlagsFormat};

    fn stored(id: u64) -> StoredFlow {
        let start_time = format!("2022-11-01T22:46:0{id}Z").parse().unwrap();
        StoredFlow { id: FlowId::new(id), flow: Flow::starting(start_time) }
    }

    fn written(form: TextForm, pages: &[&[StoredFlow]]) -> String {
        let (mut writer, mut out) = (FlowWriter::new(form, FlagsFormat::Binary), Vec::new());
        pages.iter().for_each(|page| writer.write(&mut out, page).unwrap());
        writer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn however_flows_are_cut_into_pages_they_make_one_text() {
        let flows: Vec<StoredFlow> = (0..3).map(stored).collect();
        for form in [TextForm::Json, TextForm::Ndjson, TextForm::Csv] {
            let whole = written(form, &[&flows]);
            for cuts in [[0, 0], [0, 3], [1, 1], [1, 2], [3, 3]] {
                let pages = [&flows[..cuts[0]], &flows[cuts[0]..cuts[1]], &flows[cuts[1]..]];
                assert_eq!(written(form, &pages), whole);
            }
            assert_eq!(written(form, &[]), written(form, &[&[]]));
        }
        assert_eq!(written(TextForm::Json, &[]), "[]");
        assert_eq!(written(TextForm::Ndjson, &[]), "");
        assert!(written(TextForm::Csv, &[]).starts_with("activityID,destBytes,"));
    }

    #[test]
    fn there_is_one_header_and_what_needs_quotes_has_them() {
        let flow = Flow {
            src_node: Some("a \"b\", c".to_owned()),
            dst_port: Some(443),
            ..Flow::starting("2022-11-01T22:46:01.765Z".parse().unwrap())
        };
        let page = [StoredFlow { id: FlowId::new(1), flow }];
        let header = "activityID,destBytes,destIP,destNode,destPort,endTime,protocol,sourceBytes,sourceIP,sourceNode,\
                      sourcePort,startTime,tcpFlags\r\n";
        let line = ",,,,443,,UNKNOWN,,,\"a \"\"b\"\", c\",,2022-11-01T22:46:01.765Z,\r\n";
        assert_eq!(written(TextForm::Csv, &[&page, &[], &page]), [header, line, line].concat());
    }
}
