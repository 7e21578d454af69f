//! What a round does.

use std::ops::Range;

use super::{
    accumulator::{Accumulator, Part, Tally},
    buckets::Buckets,
    listing::ListPart,
    part_groups::PartGroups,
};
use crate::{error::Result, query::scan::TASK_ROWS};

/// What is added up by one thread.
#[derive(Debug)]
pub(super) enum Work {
    /// By reading rows.
    Rows(Part),
    /// By going through a list.
    List(ListPart),
}

impl Work {
    /// About how much work it is, in rows that are read.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Rows(part) => part.rows.len(),
            Self::List(part) => usize::try_from(part.work).unwrap_or(usize::MAX),
        }
    }

    /// How many rows are read.
    pub(super) fn rows_read(&self) -> u64 {
        match self {
            Self::Rows(part) => part.rows.len() as u64,
            Self::List(_) => 0,
        }
    }

    /// The same in parts for several threads.
    pub(super) fn split(self) -> Vec<Self> {
        match self {
            Self::Rows(part) => {
                // The dictionaries of a row group are looked through once.
                let pieces = part.segment.row_groups(&part.rows).into_iter().flat_map(|rows| rows.split(2 * TASK_ROWS));
                pieces.map(|rows| Self::Rows(Part { rows, ..part.clone() })).collect()
            }
            list @ Self::List(_) => vec![list],
        }
    }

    /// Adds it up; `groups` are those of the thread.
    pub(super) async fn tally(
        &self,
        accumulator: &Accumulator,
        buckets: Option<Buckets>,
        groups: &mut PartGroups<'_>,
    ) -> Result<Tally> {
        match self {
            Self::Rows(part) => accumulator.tally(part, buckets, groups).await,
            Self::List(part) => accumulator.count(part, buckets).await,
        }
    }
}

/// Rows of a segment that are read, and blocks that its list tells of.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Whether the list is gone through.
    pub(super) is_listed: bool,
    /// The number of each block that it tells of, and a time within it.
    pub(super) listed: Vec<(usize, i64)>,
    /// All their flows match.
    pub(super) always: Vec<Range<usize>>,
    /// Some of their flows may.
    pub(super) maybe: Vec<Range<usize>>,
}
