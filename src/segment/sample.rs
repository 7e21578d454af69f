//! Pages for tests of what decodes them.

use parquet::{basic::Encoding, column::page::Page};

/// The levels of rows, of which each has a value or none: a run for each row.
pub(super) fn levels<T>(rows: &[Option<T>]) -> Vec<u8> {
    rows.iter().flat_map(|row| [2, u8::from(row.is_some())]).collect()
}

/// A page of these rows, with their levels and what stands behind them.
pub(super) fn page<T>(rows: &[Option<T>], encoding: Encoding, levels: &[u8], values: &[u8]) -> Page {
    Page::DataPageV2 {
        buf: [levels, values].concat().into(),
        num_values: rows.len() as u32,
        encoding,
        num_nulls: rows.iter().filter(|row| row.is_none()).count() as u32,
        num_rows: rows.len() as u32,
        def_levels_byte_len: levels.len() as u32,
        rep_levels_byte_len: 0,
        is_compressed: false,
        statistics: None,
    }
}
