//! When flows began and ended, from the times of their records and the clock of their exporter.

use super::{element::Number, values::Values};
use crate::flow::Timestamp;

/// Seconds from 1900 to 1970: the beginnings of the times of NTP and of Unix.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// How far a flow may lie ahead of the message that tells of it, in milliseconds: 10 minutes. What lies further ahead
/// is of the time before the counter of the exporter began again at 0.
const MOST_AHEAD: u32 = 600_000;

/// What the header of a message says of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// When it was sent, in milliseconds since 1970.
    pub(super) millis: i64,
    /// How long the exporter had been up then, in milliseconds modulo 2^32. IPFIX does not say it.
    pub(super) uptime: Option<u32>,
}

/// The numbers that tell one end of a flow.
struct End {
    name: &'static str,
    millis: Number,
    micros: Number,
    nanos: Number,
    seconds: Number,
    delta: Number,
    uptime: Number,
}

const START: End = End {
    name: "flowStart",
    millis: Number::StartMillis,
    micros: Number::StartMicros,
    nanos: Number::StartNanos,
    seconds: Number::StartSeconds,
    delta: Number::StartDeltaMicros,
    uptime: Number::StartUptime,
};

const END: End = End {
    name: "flowEnd",
    millis: Number::EndMillis,
    micros: Number::EndMicros,
    nanos: Number::EndNanos,
    seconds: Number::EndSeconds,
    delta: Number::EndDeltaMicros,
    uptime: Number::EndUptime,
};

/// The start of a flow and its end, where it is known. `init` is when its exporter started, as its options say.
pub(super) fn times(
    values: &Values,
    clock: Clock,
    init: Option<i64>,
) -> Result<(Timestamp, Option<Timestamp>), String> {
    let (start, end) = (START.millis(values, clock, init), END.millis(values, clock, init));
    let micros = values.get(Number::DurationMicros).map(|micros| micros / 1000);
    let duration = values.get(Number::DurationMillis).or(micros).and_then(|millis| i64::try_from(millis).ok());
    let (start, end) = match (start?, end?, duration) {
        (Some(start), None, Some(duration)) => (Some(start), start.checked_add(duration)),
        (None, Some(end), Some(duration)) => (end.checked_sub(duration), Some(end)),
        (start, end, _) => (start, end),
    };
    let time = |end: &End, millis: i64| {
        let outside = || format!("{}: {millis} milliseconds since 1970 lie outside the years 0 to 9999", end.name);
        Timestamp::from_millis(millis).ok_or_else(outside)
    };
    let start = start.ok_or("flowStart: it is missing, and every flow has a start")?;
    Ok((time(&START, start)?, end.map(|end| time(&END, end)).transpose()?))
}

impl End {
    /// Milliseconds since 1970, by the first number that is there. 0 is no time.
    fn millis(&self, values: &Values, clock: Clock, init: Option<i64>) -> Result<Option<i64>, String> {
        let get = |number| values.get(number).filter(|value| *value > 0);
        let number = |value: u64, factor: i64| i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(factor);
        if let Some(millis) = get(self.millis) {
            return Ok(Some(number(millis, 1)));
        }
        if let Some(time) = get(self.micros).or(get(self.nanos)) {
            return Ok(Some(of_ntp(time)));
        }
        if let Some(seconds) = get(self.seconds) {
            return Ok(Some(number(seconds, 1000)));
        }
        if let Some(micros) = values.get(self.delta) {
            return Ok(Some(clock.millis.saturating_sub(number(micros, 1) / 1000)));
        }
        let Some(uptime) = values.get(self.uptime) else { return Ok(None) };
        let init = get(Number::InitMillis).map(|millis| number(millis, 1)).or(init);
        let now = match (clock.uptime, init) {
            (Some(now), _) => now,
            // The counter has 32 bits: 2^32 milliseconds after the start it is at 0 again.
            (None, Some(init)) => (clock.millis.wrapping_sub(init) & i64::from(u32::MAX)) as u32,
            (None, None) => {
                let name = self.name;
                return Err(format!("{name}SysUpTime: no systemInitTimeMilliseconds says when the exporter started"));
            }
        };
        Ok(Some(at_uptime(clock.millis, now, uptime as u32)))
    }
}

/// When the counter of an exporter was at `then`, if it is at `now` at a time in milliseconds.
///
/// A flow that began at 4,294,967,000 and is told of when the counter is at 1,000 began 1,296 milliseconds before: the
/// counter has gone through 0 in between. One that ends at 1,005 by a clock that is at 1,000 ends 5 milliseconds after.
fn at_uptime(millis: i64, now: u32, then: u32) -> i64 {
    let ahead = then.wrapping_sub(now);
    if ahead <= MOST_AHEAD {
        millis.saturating_add(ahead.into())
    } else {
        millis.saturating_sub(now.wrapping_sub(then).into())
    }
}

/// Milliseconds since 1970 of a time as NTP writes it (RFC 7011, section 6.1.9): seconds since 1900 and a fraction, each of
/// 32 bits. As in RFC 4330, section 3, seconds before 1968 are those from 2036 on.
fn of_ntp(time: u64) -> i64 {
    let (seconds, fraction) = ((time >> 32) as i64, time & u64::from(u32::MAX));
    let era = if seconds & (1 << 31) == 0 { 1 << 32 } else { 0 };
    (seconds + era - NTP_TO_UNIX) * 1000 + ((fraction * 1000) >> 32) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_an_exporter_goes_through_0() {
        let now = 1_700_000_000_000;
        for (counter, then, before) in [
            (10_000, 4_000, 6_000),
            (1_000, u32::MAX - 295, 1_296),
            (1_000, 1_005, -5),
            (u32::MAX, 4, -5),
            (0, 0, 0),
            (0, MOST_AHEAD, -600_000),
            (0, MOST_AHEAD + 1, (1 << 32) - 600_001),
        ] {
            assert_eq!(at_uptime(now, counter, then), now - before, "{counter} {then}");
        }
    }

    #[test]
    fn times_of_ntp_are_those_of_unix_before_and_after_2036() {
        let ntp = |seconds: u64, fraction: u64| (seconds << 32) | fraction;
        assert_eq!(of_ntp(ntp(2_208_988_800, 0)), 0);
        assert_eq!(of_ntp(ntp(3_908_988_800, 1 << 31)), 1_700_000_000_500);
        assert_eq!(of_ntp(ntp(u32::MAX.into(), u32::MAX.into())), 2_085_978_495_999);
        assert_eq!(of_ntp(ntp(0, 0)), 2_085_978_496_000);
    }
}
