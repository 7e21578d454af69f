//! Comma-separated values as in RFC 4180: a header line, CRLF at the ends, absent values empty.

use std::io::{self, Write};

use csv::{ErrorKind, Terminator, Writer, WriterBuilder};
use flowseek::{
    StoredFlow,
    wire::{Cell, FIELDS},
};

use super::{FLAGS, Pages};

#[derive(Debug, Default)]
pub struct Csv {
    headed: bool,
}

impl Pages for Csv {
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        if !self.headed {
            self.headed = true;
            writer.write_record(FIELDS.map(|(name, _)| name)).map_err(into_io)?;
        }
        flows.iter().try_for_each(|stored| write_flow(&mut writer, stored)).map_err(into_io)?;
        writer.flush()
    }
}

fn write_flow(writer: &mut Writer<impl Write>, stored: &StoredFlow) -> csv::Result<()> {
    for (_, field) in FIELDS {
        match Cell::of(&stored.flow, field, FLAGS) {
            Some(Cell::Text(text)) => writer.write_field(text)?,
            Some(cell) => writer.write_field(cell.to_string())?,
            None => writer.write_field("")?,
        }
    }
    writer.write_record(None::<&[u8]>)
}

/// The error of the output itself, so that a closed pipe is known as one.
fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use flowseek::{Flow, FlowId};

    use super::*;

    #[test]
    fn there_is_one_header_and_what_needs_quotes_has_them() {
        let flow = Flow {
            src_node: Some("a \"b\", c".to_owned()),
            dst_port: Some(443),
            ..Flow::starting("2022-11-01T22:46:01.765Z".parse().unwrap())
        };
        let page = [StoredFlow { id: FlowId::new(1), flow }];
        let (mut csv, mut out) = (Csv::default(), Vec::new());
        csv.page(&mut out, &page).unwrap();
        csv.page(&mut out, &[]).unwrap();
        csv.page(&mut out, &page).unwrap();
        let header = "activityID,destBytes,destIP,destNode,destPort,endTime,protocol,sourceBytes,sourceIP,sourceNode,\
                      sourcePort,startTime,tcpFlags\r\n";
        let line = ",,,,443,,UNKNOWN,,,\"a \"\"b\"\", c\",,2022-11-01T22:46:01.765Z,\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), [header, line, line].concat());
    }
}
