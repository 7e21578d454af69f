//! How much is made of the lists of a segment for one filter.

/// How much is read of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What finds a page sooner than without.
    Page,
    /// All that tells how many flows match.
    Count,
}

/// What is more is passed over: a query reads more then, and its answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The parts of a filter that lists are asked for.
    pub(super) parts: usize,
    /// The chunks of a list that are looked at for a part.
    pub(super) chunks: usize,
    /// Those among them of which every value passes.
    pub(super) chunks_inside: usize,
    /// The blocks with a value that passes a part for which it is remembered where the rows are listed, one for each value.
    pub(super) places: usize,
    /// The same, where one list tells of the whole filter. To count, nobody asks then which rows match.
    pub(super) places_of_whole: usize,
    /// The values in a block of which the rows are put together.
    pub(super) values: usize,
    /// The bytes of a list that are gone through, for each 1,000 rows of the blocks that the filter's start times leave.
    pub(super) bytes_of_thousand_rows: u64,
}

impl Limits {
    /// The limits of an effort.
    pub(super) fn of(effort: Effort) -> Self {
        // What touches more chunks matches much, and a page of it is soon full; of more values to read a block is less work.
        let page = Self {
            parts: 1 << 12,
            chunks: 96,
            chunks_inside: 3,
            places: 1 << 16,
            places_of_whole: 1 << 16,
            values: 256,
            // A page of so few blocks often has its flows after some thousand rows.
            bytes_of_thousand_rows: 100,
        };
        match effort {
            Effort::Page => page,
            Effort::Count => Self {
                chunks: usize::MAX,
                chunks_inside: usize::MAX,
                places: 1 << 20,
                places_of_whole: 0,
                bytes_of_thousand_rows: 8_000,
                ..page
            },
        }
    }
}
