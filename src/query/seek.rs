//! Where in a segment the flows begin that are still to come, in an order by time.

use std::{ops::Range, sync::Arc};

use crate::{
    error::Result,
    flow::{Field, Value, ValueRef},
    order::{Direction, Order, Position},
    schema::Values,
    segment::{RowRanges, RowReader, SegmentReader},
};

/// The rows of a segment that hold all of `rows` which come after `position` in an order by time, and none of the others.
///
/// The rows of a segment lie newest first, so one edge parts those before the position from those after it. The start
/// times of the pages, which are in the index, confine the edge to the pages around the time of the position. Of these
/// pages start times and flow IDs are read, and a binary search finds the edge.
///
/// For example, pages of 4 rows, newest first, and a position after the flow that started at 12:00:03:
///
/// ```text
/// page 0, rows 0..4    12:00:09 ..= 12:00:06    newer than the position
/// page 1, rows 4..8    12:00:05 ..= 12:00:02    around it: row 4 at :05, row 5 at :03, rows 6 and 7 at :02
/// page 2, rows 8..12   12:00:02 ..= 12:00:00    older
/// ```
///
/// Newest first, rows 0 to 5 are done with, and the answer is `6..`. Oldest first, the flows after the position are the
/// newer ones: the answer is `0..5`. Of flows that started in the same millisecond the flow ID decides. Where no page is
/// around the position, because it lies between two pages, the edge is the end of the last newer page.
pub(super) async fn rows_ahead(
    (order, direction): (&Order, Direction),
    position: &Position,
    segment: &Arc<SegmentReader>,
    rows: &RowRanges,
    reader: &RowReader,
) -> Result<Range<usize>> {
    let time = match position.key.first() {
        Some(Some(Value::Number(time))) => *time,
        _ => return Ok(0..usize::MAX),
    };
    let (newer, around) = pages_around(time, segment, rows);
    let columns = reader.columns(segment, &[Field::StartTime, Field::FlowId], &around).await?;
    let columns = columns.select(&around)?;
    let values = [Field::StartTime, Field::FlowId].into_iter().zip(&columns);
    let values = values.map(|(field, column)| Values::new(column.as_ref(), field)).collect::<Result<Vec<_>>>()?;
    let places: Vec<usize> = around.iter().collect();
    let is_ahead = |place: usize| {
        let key: Vec<_> = values.iter().map(|values| values.get(place).map(ValueRef::to_owned)).collect();
        position.precedes(order, &key)
    };
    // How many rows lie on the newer side of the edge: those that are done with, or oldest first those to come.
    let (mut low, mut high) = (0, places.len());
    while low < high {
        let middle = (low + high) / 2;
        let newer_side = is_ahead(middle) == (direction == Direction::Ascending);
        if newer_side { low = middle + 1 } else { high = middle }
    }
    let edge = match low.checked_sub(1).and_then(|last| places.get(last)) {
        Some(last) => last + 1,
        None => places.first().copied().unwrap_or(newer),
    };
    Ok(match direction {
        Direction::Descending => edge..usize::MAX,
        Direction::Ascending => 0..edge,
    })
}

/// Where the last page ends that is newer than `time`, and those of `rows` whose pages hold older and newer flows.
fn pages_around(time: u128, segment: &SegmentReader, rows: &RowRanges) -> (usize, RowRanges) {
    let page_rows = segment.shape().page_rows;
    let (mut newer, mut around) = (0, Vec::new());
    for range in rows.as_slice() {
        for page in range.start / page_rows..range.end.div_ceil(page_rows) {
            let (oldest, newest) = segment.page_times(page).unwrap_or((0, u64::MAX));
            let part = range.start.max(page * page_rows)..range.end.min((page + 1) * page_rows);
            if u128::from(oldest) > time {
                newer = newer.max(part.end);
            } else if u128::from(newest) >= time {
                around.push(part);
            }
        }
    }
    (newer, around.into_iter().collect())
}
