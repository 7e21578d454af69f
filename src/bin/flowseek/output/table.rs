//! Columns for people.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, Width, presets};
use flowseek::{
    StoredFlow,
    flow::{Field, Kind},
    wire::{Cell, FIELDS},
};

use super::{FLAGS, Pages};

/// A table with one header over all pages. A column keeps the width that it had on an earlier page.
#[derive(Debug, Default)]
pub struct Table {
    headed: bool,
    widths: Vec<u16>,
}

impl Pages for Table {
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        if self.headed && flows.is_empty() {
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        // The header is a row of its own kind only in the library's styles, none of which is used.
        if !self.headed {
            table.add_row(FIELDS.map(|(name, _)| name));
            self.headed = true;
        }
        for stored in flows {
            table.add_row(FIELDS.map(|(_, field)| {
                Cell::of(&stored.flow, field, FLAGS).map(|cell| printable(&cell.to_string())).unwrap_or_default()
            }));
        }
        let grown = table.column_max_content_widths().into_iter().enumerate();
        self.widths = grown.map(|(at, width)| width.max(self.widths.get(at).copied().unwrap_or(0))).collect();
        for ((column, width), (_, field)) in table.column_iter_mut().zip(&self.widths).zip(FIELDS) {
            column.set_padding((0, 2));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
            if is_number(field) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
    }
}

/// Whether the field is shown as a number: protocols and flags are not.
fn is_number(field: Field) -> bool {
    field.kind() == Kind::Number && !matches!(field, Field::Protocol | Field::TcpFlags)
}

/// The text with control characters escaped: they would break the line, or reach the terminal as commands.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}

#[cfg(test)]
mod tests {
    use flowseek::{Flow, FlowId};

    use super::*;

    fn lines(pages: &[&[StoredFlow]]) -> Vec<String> {
        let (mut table, mut out) = (Table::default(), Vec::new());
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
        let lines = lines(&[&[stored("10.0.0.1", 1, "a\n\u{1b}[31mb\t\u{9b}")]]);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains(r"a\n\u{1b}[31mb\t\u{9b}"), "{lines:?}");
    }
}
