//! How a segment is cut into pages, and what their bytes must be.

use twox_hash::XxHash64;

use super::{
    super::revision::fields_with,
    input::{Input, damaged, too_large},
};
use crate::error::Result;

/// The pages of a segment: in every column they hold the same rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct PageTable {
    /// Rows of each page, but the last.
    pub(in super::super) rows: usize,
    /// The oldest and the newest start time of each, as the bounds have them.
    pub(in super::super) times: Vec<(u64, u64)>,
    /// For each column the checksums of its pages.
    pub(in super::super) checksums: Vec<Vec<u32>>,
    /// For each column the checksums of its dictionaries, one for each row group.
    pub(in super::super) dictionaries: Vec<Vec<u32>>,
}

/// What the bytes of a page are checked by.
pub(in super::super) fn checksum(bytes: &[u8]) -> u32 {
    XxHash64::oneshot(0, bytes) as u32
}

impl PageTable {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let number = |number: usize| Ok(u32::try_from(number).map_err(|_| too_large())?.to_le_bytes());
        let mut out = Vec::new();
        out.extend(number(self.rows)?);
        out.extend(number(self.times.len())?);
        out.extend(
            self.times.iter().flat_map(|(oldest, newest)| [oldest.to_le_bytes(), newest.to_le_bytes()]).flatten(),
        );
        out.extend(number(self.dictionaries.first().map_or(0, Vec::len))?);
        for (pages, dictionaries) in self.checksums.iter().zip(&self.dictionaries) {
            out.extend(pages.iter().chain(dictionaries).flat_map(|sum| sum.to_le_bytes()));
        }
        Ok(out)
    }

    pub(super) fn decode(input: &mut Input<'_>) -> Result<Self> {
        let rows = input.number()? as usize;
        let pages = input.number()? as usize;
        // Checked before anything of that size is made.
        if rows == 0 || input.left() < pages.saturating_mul(16) {
            return Err(damaged());
        }
        let time = |input: &mut Input<'_>| Ok((u64::from_le_bytes(input.array()?), u64::from_le_bytes(input.array()?)));
        let times = (0..pages).map(|_| time(input)).collect::<Result<_>>()?;
        let groups = input.number()? as usize;
        let column = pages.saturating_add(groups).saturating_mul(4);
        let columns =
            input.left().checked_div(column).filter(|columns| columns.checked_mul(column) == Some(input.left()));
        let fields = columns.and_then(fields_with).ok_or_else(damaged)?;
        let mut table = Self { rows, times, checksums: Vec::new(), dictionaries: Vec::new() };
        for _ in fields {
            table.checksums.push((0..pages).map(|_| input.number()).collect::<Result<_>>()?);
            table.dictionaries.push((0..groups).map(|_| input.number()).collect::<Result<_>>()?);
        }
        Ok(table)
    }

    /// About how many bytes of memory it takes.
    pub(in super::super) fn memory(&self) -> usize {
        let sums: usize = self.checksums.iter().chain(&self.dictionaries).map(|sums| sums.len() * 4).sum();
        sums + size_of_val(self.times.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::index;
    use crate::flow::Field;

    #[test]
    fn the_memory_of_a_table_is_that_of_its_times_and_checksums() {
        // Two pages, and in each column their checksums and that of one dictionary.
        assert_eq!(index().pages.memory(), 2 * 16 + Field::ALL.len() * 3 * 4);
    }
}
