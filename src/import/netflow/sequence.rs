//! What was lost between an exporter and the capture, by the numbers of its messages.

use super::clock::Clock;

/// How far back a number may lie to be of a message that came late. What lies further back is of an exporter that has
/// started anew.
const MOST_LATE: u32 = 10_000;

/// How much less the uptime of a message may be that came late.
const REORDERED_MILLIS: u32 = 5_000;

/// The numbers of the messages of an exporter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    /// The number that comes next, where that is known.
    next: Option<u32>,
    last: Option<Clock>,
    lost: u64,
    restarts: u64,
}

impl Sequence {
    /// Takes the number of a message, and how much it counts; `None` where that cannot be told.
    ///
    /// Where 100 is next and 103 comes, 3 are lost. Where 100 comes after that, it was late, and fewer are lost. Where 0
    /// comes with a later time than that of the message before, the exporter has started anew, and nothing is lost.
    pub(super) fn take(&mut self, number: u32, count: Option<u32>, clock: Clock) {
        let ahead = self.next.map_or(0, |next| number.wrapping_sub(next));
        let has_restarted = self.last.is_some_and(|last| last.is_before_restart_of(clock));
        let is_back = ahead > u32::MAX / 2;
        if has_restarted && ahead != 0 {
            self.restarts += 1;
        } else if is_back {
            let is_late = number.wrapping_add(MOST_LATE) >= self.next.unwrap_or(0)
                && self.last.is_some_and(|last| clock.millis <= last.millis);
            if is_late {
                self.lost = self.lost.saturating_sub(count.unwrap_or(0).into());
                return;
            }
            self.restarts += 1;
        } else {
            self.lost += u64::from(ahead);
        }
        self.next = count.map(|count| number.wrapping_add(count));
        self.last = Some(clock);
    }

    /// How much was lost, and how often the exporter started anew.
    pub(super) fn lost_and_restarts(&self) -> (u64, u64) {
        (self.lost, self.restarts)
    }
}

impl Clock {
    /// Whether an exporter was up for a shorter time at a later time, though its counter has not gone through 0.
    fn is_before_restart_of(self, later: Self) -> bool {
        let (Some(before), Some(now)) = (self.uptime, later.uptime) else { return false };
        let elapsed = later.millis.saturating_sub(self.millis);
        let has_wrapped = i64::from(now.wrapping_sub(before)) <= elapsed.saturating_add(60_000);
        elapsed >= 0 && before.saturating_sub(now) > REORDERED_MILLIS && !has_wrapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages with a number, a count, seconds, and seconds of uptime.
    fn taken(messages: &[(u32, u32, i64, Option<u32>)]) -> (u64, u64) {
        let mut sequence = Sequence::default();
        for (number, count, seconds, uptime) in messages {
            let clock = Clock { millis: seconds * 1000, uptime: uptime.map(|uptime| uptime * 1000) };
            sequence.take(*number, Some(*count), clock);
        }
        sequence.lost_and_restarts()
    }

    #[test]
    fn gaps_are_lost_and_what_comes_late_is_not() {
        assert_eq!(taken(&[(7, 3, 1, None), (10, 3, 1, None), (13, 1, 2, None)]), (0, 0));
        assert_eq!(taken(&[(7, 3, 1, None), (13, 3, 1, None), (20, 1, 2, None)]), (7, 0));
        assert_eq!(taken(&[(7, 3, 1, None), (13, 3, 1, None), (10, 3, 1, None), (16, 3, 2, None)]), (0, 0));
        assert_eq!(taken(&[(u32::MAX - 1, 3, 1, None), (1, 1, 1, None), (4, 1, 1, None)]), (2, 0));
    }

    #[test]
    fn an_exporter_that_starts_anew_has_lost_nothing() {
        assert_eq!(taken(&[(500, 30, 100, Some(900)), (0, 30, 160, Some(10)), (30, 30, 161, Some(11))]), (0, 1));
        assert_eq!(taken(&[(500, 30, 100, Some(900)), (9_000, 30, 160, Some(10)), (9_030, 1, 161, Some(11))]), (0, 1));
        assert_eq!(taken(&[(500, 30, 100, None), (0, 30, 160, None), (30, 30, 161, None)]), (0, 1));
        // The counter of milliseconds has gone through 0.
        assert_eq!(taken(&[(500, 1, 100, Some(4_294_967)), (501, 1, 110, Some(9)), (503, 1, 111, Some(10))]), (1, 0));
    }
}
