//! The text form: header lines that begin with `#`, then one record a line.

use super::record::{self, Column, Record};
use crate::import::{Parsed, remarks::Remarks, scalar::Scalar};

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
    Known(Known),
    /// The records cannot be read, and why.
    Unknown(String),
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// One for each field of a record; `None` is one that no flow has.
    fields: Vec<Option<Column>>,
    /// The names of those that no flow has and Zeek does not write by itself.
    unknown: Vec<String>,
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

    /// Reads a record; `ended` is whether the end of its line is there.
    pub(super) fn parse(&self, line: &str, ended: bool, remarks: &mut Remarks) -> Result<Parsed, String> {
        if let Some(path) = self.path.as_deref().filter(|path| !record::is_connection_log(path)) {
            remarks.skipped.add(path, 1, || None);
            return Ok(Parsed::Skipped);
        }
        let known = match &self.columns {
            Columns::Known(known) => known,
            Columns::Unknown(reason) => return Err(reason.clone()),
        };
        let record = self.record(line, known)?;
        if let Some(log) = record.other_log() {
            remarks.skipped.add(&log, 1, || None);
            return Ok(Parsed::Skipped);
        }
        for name in &known.unknown {
            remarks.unknown.add(name, 1, || record::meant(name));
        }
        if !ended {
            if known.fields.last().is_some_and(Option::is_some) {
                return Err("the line has no end, so its last field may have been cut off".to_owned());
            }
            remarks.unended = true;
        }
        record.into_flow().map(Parsed::Flow)
    }

    fn record<'a>(&self, line: &'a str, known: &Known) -> Result<Record<'a>, String> {
        let mut record = Record::default();
        let mut fields = line.split(self.separator);
        for column in &known.fields {
            let field = fields.next().ok_or_else(|| self.miscounted(line, known))?;
            if let Some(column) = column {
                record.set(*column, self.scalar(field));
            }
        }
        if fields.next().is_some() { Err(self.miscounted(line, known)) } else { Ok(record) }
    }

    fn scalar<'a>(&self, field: &'a str) -> Scalar<'a> {
        if field == self.unset_field || field == self.empty_field { Scalar::Absent } else { Scalar::text(field) }
    }

    fn miscounted(&self, line: &str, known: &Known) -> String {
        let named = known.fields.len();
        format!("the line has {} fields, and #fields names {named}", line.split(self.separator).count())
    }
}

fn read_fields(names: &str, separator: char) -> Columns {
    let mut known = Known::default();
    for name in names.split(separator) {
        let column = Column::from_name(name);
        if column.is_some() && known.fields.contains(&column) {
            return Columns::Unknown(format!("#fields: {name:?}, or another name of the same meaning, is given twice"));
        }
        if column.is_none() && !record::is_unused(name) {
            known.unknown.push(name.to_owned());
        }
        known.fields.push(column);
    }
    Columns::Known(known)
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
    use crate::{
        flow::{Flow, Protocol},
        import::zeek::Parser,
    };

    const HEADER: &str = "#separator \\x09
#set_separator\t,
#empty_field\t(empty)
#unset_field\t-
#path\tconn
#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\thistory\ttunnel_parents
#types\ttime\taddr\tport\taddr\tport\tenum\tinterval\tstring\tset[string]";
    const RECORD: &str = "1258531221.486539\t192.168.1.102\t68\t192.168.1.1\t67\tudp\t0.163820\tDd\t(empty)";

    fn parse(lines: &str) -> Vec<Parsed> {
        let (mut parser, mut remarks) = (Parser::default(), Remarks::default());
        let parsed = lines.lines().map(|line| parser.parse(line, true, &mut remarks));
        parsed.filter(|parsed| *parsed != Parsed::Blank).collect()
    }

    /// What the last of the lines is where its end is missing, and what is remarked of all of them.
    fn parse_unended(lines: &str) -> (Parsed, String) {
        let (mut parser, mut remarks) = (Parser::default(), Remarks::default());
        let (before, last) = lines.rsplit_once('\n').unwrap();
        for line in before.lines() {
            parser.parse(line, true, &mut remarks);
        }
        let parsed = parser.parse(last, false, &mut remarks);
        (parsed, remarks.to_string())
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
        let fields = "#fields;proto;ts;id.resp_h;id.orig_h;orig_bytes";
        let second = format!("#close\t2014\n#separator ;\n#unset_field;none\n{fields}\nicmp;7;10.0.0.2;10.0.0.1;none");
        let flow = flow(&format!("{HEADER}\n{RECORD}\n{second}"));
        assert_eq!((flow.start_time.as_millis(), flow.src_bytes, flow.protocol.name()), (7000, None, "ICMP"));
    }

    #[test]
    fn unset_and_empty_fields_are_absent_values() {
        let flow = flow(&format!("{HEADER}\n1.5\t10.0.0.1\t-\t10.0.0.2\t\tgre\t-\t(empty)\t-"));
        let (src_ip, dst_ip) = ("10.0.0.1".parse().ok(), "10.0.0.2".parse().ok());
        assert_eq!(flow, Flow { src_ip, dst_ip, protocol: Protocol::new(47), ..Flow::starting(flow.start_time) });
        let reason = reason(&format!("{HEADER}\n1.5\t-\t-\t(empty)\t\t-\t-\t-\t-"));
        assert_eq!(reason, "id.orig_h: it is missing, and a connection has two ends");
    }

    #[test]
    fn the_records_of_another_log_are_skipped() {
        let lines = format!("{}\n{RECORD}", HEADER.replace("\tconn", "\tdns"));
        assert_eq!(parse(&lines), [Parsed::Skipped]);
        assert_eq!(parse_unended(&lines).1, "1 record of the log \"dns\" was skipped");
        assert!(matches!(parse(&lines.replace("\tdns", "\tconn_long"))[..], [Parsed::Flow(_)]));
    }

    #[test]
    fn a_last_line_that_may_end_within_its_last_field_is_rejected_or_remarked() {
        // No flow has the last field: whatever is missing of it, the flow is right.
        let (parsed, remarks) = parse_unended(&format!("{HEADER}\n{RECORD}"));
        assert!(matches!(parsed, Parsed::Flow(_)));
        assert_eq!(remarks, "the last line has no end: the input may have been cut off there");
        // The last field may be 17 with its last digit missing.
        let header = HEADER.replace("\ttunnel_parents", "\tip_proto");
        let (parsed, _) = parse_unended(&format!("{header}\n{}", RECORD.replace("(empty)", "1")));
        let reason = "the line has no end, so its last field may have been cut off".to_owned();
        assert_eq!(parsed, Parsed::Rejected(reason));
        // A line that ends before its last field is wrong in any case.
        let (parsed, _) = parse_unended(&format!("{HEADER}\n{}", RECORD.trim_end_matches("\t(empty)")));
        assert_eq!(parsed, Parsed::Rejected("the line has 8 fields, and #fields names 9".to_owned()));
    }

    #[test]
    fn fields_that_no_flow_has_are_counted() {
        let header = HEADER.replace("\ttunnel_parents", "\tRespBytes");
        let (_, remarks) = parse_unended(&format!("{header}\n{RECORD}\n{RECORD}"));
        let expected = "\"RespBytes\" is unknown and was ignored in 2 records; did you mean \"resp_bytes\"?";
        assert_eq!(remarks.lines().next(), Some(expected));
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
