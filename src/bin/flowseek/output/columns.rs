//! Rows of text in columns.

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};

/// Columns under one header, however many times rows are added. A column keeps the width that it had earlier.
#[derive(Debug, Default)]
pub struct Columns {
    headed: bool,
    widths: Vec<u16>,
}

impl Columns {
    /// The lines of `rows`, and before the first that ever come, those of the header.
    pub fn lines(
        &mut self,
        header: Vec<String>,
        rows: Vec<Vec<String>>,
        is_number: impl Fn(usize) -> bool,
    ) -> Vec<String> {
        if self.headed && rows.is_empty() {
            return Vec::new();
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        // The header is a row of its own kind only in the library's styles, none of which is used.
        if !std::mem::replace(&mut self.headed, true) {
            table.add_row(header);
        }
        table.add_rows(rows);
        let grown = table.column_max_content_widths().into_iter().enumerate();
        self.widths = grown.map(|(at, width)| width.max(self.widths.get(at).copied().unwrap_or(0))).collect();
        for (at, (column, width)) in table.column_iter_mut().zip(&self.widths).enumerate() {
            column.set_padding((0, 2));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(2))));
            if is_number(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// The text with those characters escaped that would break the line, change the order of what stands on it, or reach the
/// terminal as commands; but for those that are `kept`.
pub fn printable(text: &str, kept: &[char]) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) && !kept.contains(&c) { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}

/// Control characters, ends of lines and paragraphs, and what sets the direction of text.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
