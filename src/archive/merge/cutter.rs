//! Where one output ends and the next begins.

/// Cuts flows that come newest first into segments of about the same size.
#[derive(Debug)]
pub(in crate::archive) struct Cutter {
    /// Rows since the last cut.
    rows: u64,
    /// Rows of a segment.
    most: u64,
    /// Rows from which on a segment may end early.
    least: u64,
    /// Times where one may, the next one last.
    ends: Vec<i64>,
}

impl Cutter {
    /// For `rows` flows, in segments of at most `segment_rows`. A segment that has a quarter of all flows ends before
    /// the first flow that started at one of `ends`, which are descending, or earlier.
    pub(in crate::archive) fn new(rows: u64, segment_rows: u64, ends: &[i64]) -> Self {
        // All of the same size, so that none is left over that would soon have to be merged again.
        let segments = rows.div_ceil(segment_rows.max(1)).max(1);
        let (most, least) = (rows.div_ceil(segments).max(1), rows.div_ceil(4).max(1));
        Self { rows: 0, most, least, ends: ends.iter().rev().copied().collect() }
    }

    /// Takes the next flow: whether it is the first of another segment.
    pub(in crate::archive) fn is_cut_before(&mut self, start: i64) -> bool {
        let mut is_end = false;
        while self.ends.last().is_some_and(|end| start <= *end) {
            self.ends.pop();
            is_end = true;
        }
        let is_cut = self.rows >= self.most || (is_end && self.rows >= self.least);
        self.rows = if is_cut { 1 } else { self.rows + 1 };
        is_cut
    }
}
