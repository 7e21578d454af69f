//! Flows that wait for the appender.

use std::collections::VecDeque;

use tokio::sync::OwnedSemaphorePermit;

use super::rows::Rows;
use crate::{
    error::Result,
    schema::{FlowBuilder, UnsortedFlows},
};

/// The flows of calls with fewer bytes are put together: columns of their own would take more memory than they do.
const SMALL_BYTES: u64 = 1 << 16;
/// A part of small calls is complete from so many bytes on. What its builder reserves for more flows is less than that.
const PART_BYTES: u64 = 1 << 18;

/// Flows in the order of the calls, in parts that each hold whole calls, or one that is large. Its memory is that which
/// [`Rows::bytes`] tells, up to a tenth and the memory of one part.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    parts: VecDeque<Part>,
    /// The flows of the last small calls, after those of the parts.
    small: FlowBuilder,
    small_bytes: u64,
    small_room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Part {
    flows: UnsortedFlows,
    /// Room in the queue, free again when the part is removed.
    _room: Option<OwnedSemaphorePermit>,
}

impl Backlog {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.small.is_empty()
    }

    /// Adds the flows of a call, which have `room` in the queue.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal); the backlog is then not to be used any more.
    pub(super) fn push(&mut self, rows: Rows, room: OwnedSemaphorePermit) -> Result<()> {
        if rows.bytes < SMALL_BYTES {
            return self.push_small(&rows.parts, rows.bytes, Some(room));
        }
        self.complete()?;
        self.parts.extend(rows.parts.into_iter().map(|flows| Part { flows, _room: None }));
        if let Some(last) = self.parts.back_mut() {
            last._room = Some(room);
        }
        Ok(())
    }

    /// Adds what has waited elsewhere. Where small calls come one by one they still share parts.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn append(&mut self, mut later: Self) -> Result<()> {
        if !later.parts.is_empty() {
            self.complete()?;
            self.parts.append(&mut later.parts);
        }
        if self.small.is_empty() {
            (self.small, self.small_bytes, self.small_room) = (later.small, later.small_bytes, later.small_room);
            return Ok(());
        }
        self.push_small(&[later.small.unsorted()?], later.small_bytes, later.small_room)
    }

    fn push_small(&mut self, flows: &[UnsortedFlows], bytes: u64, room: Option<OwnedSemaphorePermit>) -> Result<()> {
        flows.iter().try_for_each(|flows| self.small.append(flows))?;
        self.small_bytes += bytes;
        match (&mut self.small_room, room) {
            (Some(all), Some(room)) => all.merge(room),
            (all, Some(room)) => *all = Some(room),
            (_, None) => {}
        }
        if self.small_bytes < PART_BYTES { Ok(()) } else { self.complete() }
    }

    /// Makes a part of the flows of small calls.
    fn complete(&mut self) -> Result<()> {
        if !self.small.is_empty() {
            let flows = self.small.unsorted()?.shrunk()?;
            self.parts.push_back(Part { flows, _room: self.small_room.take() });
            self.small_bytes = 0;
        }
        Ok(())
    }

    /// The flows of the first part.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn first(&mut self) -> Result<Option<&mut UnsortedFlows>> {
        if self.parts.is_empty() {
            self.complete()?;
        }
        Ok(self.parts.front_mut().map(|part| &mut part.flows))
    }

    /// Removes the first part; there is room in the queue for as much.
    pub(super) fn remove_first(&mut self) {
        self.parts.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        flow::{Flow, FlowId, Timestamp},
        schema::Flows,
    };

    fn rows(numbers: std::ops::Range<i64>) -> Rows {
        Rows::of(numbers.map(|number| Flow::starting(Timestamp::from_millis(number).unwrap()))).unwrap()
    }

    /// Takes everything out, part by part: how many flows there are in each, and the room that is free after it.
    fn taken(mut backlog: Backlog, room: &Semaphore) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        while let Some(flows) = backlog.first().unwrap() {
            let count = flows.len();
            backlog.remove_first();
            parts.push((count, room.available_permits()));
        }
        assert!(backlog.is_empty());
        parts
    }

    #[test]
    fn small_calls_share_parts_and_room_is_free_when_their_part_is_removed() {
        let room = Arc::new(Semaphore::new(1_000_000));
        let mut backlog = Backlog::default();
        let mut push = |count: i64| {
            let rows = rows(0..count);
            let permit = Arc::clone(&room).try_acquire_many_owned(rows.bytes as u32).unwrap();
            backlog.push(rows, permit).unwrap();
        };
        (0..10).for_each(|_| push(3));
        push(2000);
        push(1);
        push(1);
        assert_eq!(taken(backlog, &room), [(30, 1_000_000 - 2002 * 116), (2000, 1_000_000 - 2 * 116), (2, 1_000_000)]);
    }

    #[test]
    fn backlogs_of_single_flows_that_are_put_together_have_as_few_parts_as_if_they_had_waited_together() {
        let room = Arc::new(Semaphore::new(10_000_000));
        let single = |number: i64| {
            let mut backlog = Backlog::default();
            let permit = Arc::clone(&room).try_acquire_many_owned(116).unwrap();
            backlog.push(rows(number..number + 1), permit).unwrap();
            backlog
        };
        let mut all = Backlog::default();
        (0..7000).for_each(|number| all.append(single(number)).unwrap());
        let parts = taken(all, &room);
        assert_eq!(parts.iter().map(|(count, _)| count).sum::<usize>(), 7000);
        assert!(parts.len() <= 7000 * 116 / PART_BYTES as usize + 1, "{parts:?}");
        assert_eq!(parts.last().unwrap().1, 10_000_000);
    }

    #[test]
    fn parts_keep_the_order_of_the_calls() {
        let room = Arc::new(Semaphore::new(10_000_000));
        let permit = || Arc::clone(&room).try_acquire_many_owned(1).unwrap();
        let (mut first, mut second) = (Backlog::default(), Backlog::default());
        for (backlog, calls) in
            [(&mut first, [0..2, 2..1500, 1500..1501]), (&mut second, [1501..1502, 1502..3000, 3000..3003])]
        {
            calls.into_iter().for_each(|numbers| backlog.push(rows(numbers), permit()).unwrap());
        }
        first.append(second).unwrap();
        let mut gathered = FlowBuilder::default();
        while let Some(flows) = first.first().unwrap() {
            gathered.append(flows).unwrap();
            first.remove_first();
        }
        // The flows are numbered in the order in which they were gathered.
        let batch = gathered.finish(FlowId::new(0)).unwrap();
        let flows = Flows::new(&batch).unwrap();
        assert_eq!(flows.len(), 3003);
        assert!(flows.iter().all(|stored| stored.flow.start_time.as_millis() as u64 == stored.id.get()));
    }
}
