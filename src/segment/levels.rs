//! Which rows of a page have a value.

use arrow::{array::BooleanBufferBuilder, buffer::NullBuffer};
use parquet::errors::{ParquetError, Result as ParquetResult};

use crate::encoding::Input;

/// Which of the rows of a page have a value, of which `nulls` have none: `None` where all have one.
///
/// A row that has one has the level 1, another 0. Levels are written as places of one bit are
/// ([`numbers`](super::places)): in runs of one level, or in groups of eight, the lowest bit of a byte first, as Arrow has
/// them, too.
///
/// # Errors
/// Where the bytes are not what a page has, or other rows have a value than so many.
pub(super) fn validity(levels: &[u8], rows: usize, nulls: usize) -> ParquetResult<Option<NullBuffer>> {
    if nulls == 0 {
        return Ok(None);
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    let mut rest = Input::new(levels);
    while valid.len() < rows {
        let wanted = rows - valid.len();
        let head = rest.leb128().and_then(|head| usize::try_from(head).ok()).filter(|head| *head > 1);
        let head = head.ok_or_else(damaged)?;
        if head & 1 == 0 {
            let level = rest.byte().filter(|level| *level < 2).ok_or_else(damaged)?;
            valid.append_n(wanted.min(head / 2), level == 1);
        } else {
            // The last group may be cut off where no level of it is wanted.
            let groups = rest.take((head / 2).min(rest.left())).ok_or_else(damaged)?;
            if groups.is_empty() {
                return Err(damaged());
            }
            valid.append_packed_range(0..wanted.min(groups.len() * 8), groups);
        }
    }
    let valid = NullBuffer::new(valid.finish());
    if valid.null_count() == nulls { Ok(Some(valid)) } else { Err(damaged()) }
}

pub(super) fn damaged() -> ParquetError {
    ParquetError::General("a page of places in a dictionary is damaged".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_rows_of_runs_and_of_groups_have_a_value_or_have_none() {
        // Three rows with a value, two without, and of eight the first, the third and the last.
        let levels = [0x06, 1, 0x04, 0, 0x03, 0b1000_0101];
        let valid = validity(&levels, 13, 7).unwrap().unwrap();
        let expected = [1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1].map(|level| level == 1);
        assert_eq!(valid.iter().collect::<Vec<_>>(), expected);
        assert!(validity(&levels, 13, 6).is_err());
        assert!(validity(&levels, 14, 7).is_err());
        assert!(validity(&[0x06, 2], 3, 1).is_err());
        assert!(validity(&[], 3, 0).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_tell_of_all_rows(bytes in vec(any::<u8>(), 0..40), rows in 1usize..300, nulls in 1usize..300) {
            if let Ok(Some(valid)) = validity(&bytes, rows, nulls) {
                prop_assert_eq!((valid.len(), valid.null_count()), (rows, nulls));
            }
        }
    }
}
