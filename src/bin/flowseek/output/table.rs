//! Columns for people.

use std::io::{self, Write};

use flowseek::{
    StoredFlow,
    flow::{Field, Kind},
    wire::{Cell, View},
};

use super::{
    columns::{Columns, printable},
    pages::Pages,
};

/// A table with one header over all pages.
#[derive(Debug)]
pub struct Table {
    columns: Columns,
    view: View,
}

impl Table {
    /// Without rows yet.
    pub fn new(view: View) -> Self {
        Self { columns: Columns::default(), view }
    }
}

impl Pages for Table {
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        let (fields, flags) = (self.view.fields(), self.view.flags());
        let cell = |stored: &StoredFlow, field| {
            Cell::of(&stored.flow, field, flags).map(|cell| printable(&cell.to_string(), &[])).unwrap_or_default()
        };
        let rows = flows.iter().map(|stored| fields.iter().map(|(_, field)| cell(stored, *field)).collect()).collect();
        let header = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
        let lines = self.columns.lines(header, rows, |at| fields.get(at).is_some_and(|(_, field)| is_number(*field)));
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// Whether the field is shown as a number: protocols and flags are not.
fn is_number(field: Field) -> bool {
    field.kind() == Kind::Number && !matches!(field, Field::Protocol | Field::TcpFlags | Field::FlowFlags)
}

#[cfg(test)]
mod tests {
    use flowseek::{Flow, FlowId};

    use super::*;

    fn lines(pages: &[&[StoredFlow]]) -> Vec<String> {
        let (mut table, mut out) = (Table::new(View::default()), Vec::new());
        pages.iter().for_each(|page| table.page(&mut out, page).unwrap());
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn stored(src_ip: &str, dst_port: u16, src_node: &str) -> StoredFlow {
        let flow = Flow {
            src_ip: Some(src_ip.parse().unwrap()),
            dst_port: Some(dst_port),
            src_node: Some(src_node.to_owned()),
            ..Flow::starting("2022-11-01T22:46:01.765Z".parse().unwrap())
        };
        StoredFlow { id: FlowId::new(1), flow }
    }

    #[test]
    fn pages_are_under_one_header_and_in_its_columns() {
        let long = "2001:db8:1111:2222:3333:4444:5555:6666";
        let first = [stored(long, 5, "a")];
        let second = [stored("10.0.0.1", 65535, "b")];
        let lines = lines(&[&first, &[], &second]);
        assert_eq!(lines.len(), 3);
        let column = |line: &str, text: &str| line.find(text).unwrap();
        let (ip, port) = (column(&lines[0], "sourceIP"), column(&lines[0], "destPort") + "destPort".len());
        assert_eq!(column(&lines[1], long), ip);
        assert_eq!(column(&lines[2], "10.0.0.1"), ip);
        assert_eq!(lines[1][..port].trim(), "5");
        assert_eq!(lines[2][..port].trim(), "65535");
        assert!(lines.iter().all(|line| line.trim_end() == line));
    }

    #[test]
    fn a_table_without_flows_is_its_header() {
        assert_eq!(lines(&[&[]]).len(), 1);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        for (name, shown) in [
            ("a\n\u{1b}[31mb\t\u{9b}", r"a\n\u{1b}[31mb\t\u{9b}"),
            ("a\r\nb\u{b}\u{c}\u{85}", r"a\r\nb\u{b}\u{c}\u{85}"),
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("a\u{202e}b\u{2066}", r"a\u{202e}b\u{2066}"),
        ] {
            let lines = lines(&[&[stored("10.0.0.1", 1, name)]]);
            assert_eq!(lines.len(), 2);
            assert!(lines[1].contains(shown), "{lines:?}");
        }
    }
}
