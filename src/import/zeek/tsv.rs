//! The text form: header lines that begin with `#`, then one record a line.

use super::record::{Column, Record};
use crate::import::{Parsed, scalar::Scalar};

/// What the header lines have said so far.
#[derive(Clone, Debug)]
pub(super) struct Header {
    separator: char,
    empty_field: String,
    unset_field: String,
    path: Option<String>,
    columns: Columns,
}

#[derive(Clone, Debug)]
enum Columns {
    /// One for each field of a record; `None` is one that no flow has.
    Known(Vec<Option<Column>>),
    /// The records cannot be read, and why.
    Unknown(String),
}

impl Default for Header {
    /// Zeek's defaults.
    fn default() -> Self {
        Self {
            separator: '\t',
            empty_field: "(empty)".to_owned(),
            unset_field: "-".to_owned(),
            path: None,
            columns: Columns::Unknown("no #fields line names the fields before this line".to_owned()),
        }
    }
}

impl Header {
    /// Takes note of a header line, without its `#`. The first of a header, `separator`, begins a new one.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(separator) = line.strip_prefix("separator ") {
            *self = Self::default();
            match unescape(separator) {
                Some(separator) => self.separator = separator,
                None => {
                    let given = Scalar::text(separator).shown();
                    self.columns = Columns::Unknown(format!("#separator: {given} is not one character, such as \\x09"));
                }
            }
            return;
        }
        let Some((name, value)) = line.split_once(self.separator) else { return };
        match name {
            "empty_field" => self.empty_field = value.to_owned(),
            "unset_field" => self.unset_field = value.to_owned(),
            "path" => self.path = Some(value.to_owned()),
            "fields" => self.columns = read_fields(value, self.separator),
            _ => {}
        }
    }

    /// Reads a record.
    pub(super) fn parse(&self, line: &str) -> Result<Parsed, String> {
        if self.path.as_deref().is_some_and(|path| path != "conn") {
            return Ok(Parsed::Skipped);
        }
        let columns = match &self.columns {
            Columns::Known(columns) => columns,
            Columns::Unknown(reason) => return Err(reason.clone()),
        };
        let mut record = Record::default();
        let mut fields = line.split(self.separator);
        for column in columns {
            let field = fields.next().ok_or_else(|| self.miscounted(line, columns.len()))?;
            if let Some(column) = column {
                record.set(*column, self.scalar(field));
            }
        }
        if fields.next().is_some() {
            return Err(self.miscounted(line, columns.len()));
        }
        if record.is_connection() { record.into_flow().map(Parsed::Flow) } else { Ok(Parsed::Skipped) }
    }

    fn scalar<'a>(&self, field: &'a str) -> Scalar<'a> {
        if field == self.unset_field || field == self.empty_field { Scalar::Absent } else { Scalar::text(field) }
    }

    fn miscounted(&self, line: &str, named: usize) -> String {
        format!("the line has {} fields, and #fields names {named}", line.split(self.separator).count())
    }
}

fn read_fields(names: &str, separator: char) -> Columns {
    let mut columns = Vec::new();
    for name in names.split(separator) {
        let column = Column::from_name(name);
        if column.is_some() && columns.contains(&column) {
            return Columns::Unknown(format!("#fields: {name:?}, or another name of the same meaning, is given twice"));
        }
        columns.push(column);
    }
    Columns::Known(columns)
}

/// One character, or its code as `\x09`.
fn unescape(text: &str) -> Option<char> {
    let mut characters = text.chars();
    match (text.strip_prefix("\\x"), characters.next(), characters.next()) {
        (Some(code), ..) if code.len() == 2 => u8::from_str_radix(code, 16).ok().filter(u8::is_ascii).map(char::from),
        (_, Some(character), None) => Some(character),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::Flow, import::zeek::Parser};

    const HEADER: &str = "#separator \\x09
#set_separator\t,
#empty_field\t(empty)
#unset_field\t-
#path\tconn
#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\thistory\ttunnel_parents
#types\ttime\taddr\tport\taddr\tport\tenum\tinterval\tstring\tset[string]";
    const RECORD: &str = "1258531221.486539\t192.168.1.102\t68\t192.168.1.1\t67\tudp\t0.163820\tDd\t(empty)";

    fn parse(lines: &str) -> Vec<Parsed> {
        let mut parser = Parser::default();
        lines.lines().map(|line| parser.parse(line)).filter(|parsed| *parsed != Parsed::Blank).collect()
    }

    fn flow(lines: &str) -> Flow {
        match parse(lines).pop() {
            Some(Parsed::Flow(flow)) => flow,
            other => panic!("{other:?}"),
        }
    }

    fn reason(lines: &str) -> String {
        match parse(lines).pop() {
            Some(Parsed::Rejected(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_are_read_in_the_order_that_the_header_names() {
        let expected = flow(&format!("{HEADER}\n{RECORD}"));
        assert_eq!(expected.start_time.to_string(), "2009-11-18T08:00:21.486Z");
        assert_eq!(expected.end_time.unwrap().to_string(), "2009-11-18T08:00:21.649Z");
        assert_eq!((expected.src_port, expected.dst_port, expected.tcp_flags), (Some(68), Some(67), None));
        let reversed = |line: &str| line.split('\t').rev().collect::<Vec<_>>().join("\t");
        let fields = reversed(HEADER.lines().nth(5).unwrap().strip_prefix("#fields\t").unwrap());
        assert_eq!(flow(&format!("#separator \\x09\n#fields\t{fields}\n{}", reversed(RECORD))), expected);
    }

    #[test]
    fn a_header_in_the_middle_takes_the_place_of_the_one_before() {
        let second = "#close\t2014\n#separator ;\n#unset_field;none\n#fields;proto;ts;id.orig_p\ntcp;7;none";
        let flow = flow(&format!("{HEADER}\n{RECORD}\n{second}"));
        assert_eq!((flow.start_time.as_millis(), flow.src_port, flow.protocol.name()), (7000, None, "TCP"));
    }

    #[test]
    fn unset_and_empty_fields_are_absent_values() {
        let flow = flow(&format!("{HEADER}\n1.5\t-\t-\t(empty)\t\t-\t-\t-\t-"));
        assert_eq!(flow, Flow::starting(flow.start_time));
    }

    #[test]
    fn the_records_of_another_log_are_skipped() {
        assert_eq!(parse(&format!("{}\n{RECORD}", HEADER.replace("\tconn", "\tdns"))), [Parsed::Skipped]);
    }

    #[test]
    fn what_cannot_be_read_is_rejected_with_a_reason() {
        assert!(reason(RECORD).contains("no #fields line"));
        assert_eq!(reason(&format!("{HEADER}\n1.5\t-")), "the line has 2 fields, and #fields names 9");
        assert_eq!(reason(&format!("{HEADER}\n{RECORD}\t-")), "the line has 10 fields, and #fields names 9");
        assert!(reason(&format!("{HEADER}\n{}", RECORD.replace("1258531221.486539", "-"))).starts_with("ts: "));
        assert!(reason("#separator ab\n#separator \\xff\n1").starts_with("#separator: \"\\\\xff\" is not one"));
        assert!(reason("#fields\tts\tts\n1\t2").starts_with("#fields: \"ts\""));
    }
}
