//! Progress bars: on standard error, where that is a terminal, and nowhere else.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

const BYTES: &str = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go";
const BYTES_READ: &str = "{spinner} {bytes} read, {bytes_per_sec}";
const FLOWS: &str = "{wide_bar} {human_pos} of {human_len} flows, {eta} to go";

/// A bar of bytes that are read: `total` of them, where that is known.
pub fn bytes(total: Option<u64>) -> ProgressBar {
    bar(total, if total.is_some() { BYTES } else { BYTES_READ })
}

/// A bar of flows that are made.
pub fn flows(total: u64) -> ProgressBar {
    bar(Some(total), FLOWS)
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style)
}
