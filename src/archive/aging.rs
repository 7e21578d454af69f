//! Retention by age that goes on no faster than time does, whatever a clock says.

use std::time::{Duration, Instant};

use super::{Manifest, Retention, aged::Aged};
use crate::{flow::Timestamp, resources::Clock};

const DAY: Duration = Duration::from_secs(86_400);
/// Flows go so much earlier than time has gone on, at least: they come in bursts, and their times are not exact.
const LEAST_SLACK: Duration = Duration::from_secs(3_600);
/// The same as a part of the time for which flows are kept: a tenth.
const SLACK: u32 = 10;

/// Which flows are too old, one look after the other.
///
/// By the clock and the newest flow (see [`Retention::keeping`]) a time follows before which flows are too old. In the
/// ordinary case it goes on as fast as time does, and all those flows go. Where it has gone further than that, as a clock has
/// jumped and flows were stamped by it, or as retention begins over an old archive, what is beyond goes at a stated part of
/// the archive a day. Time is measured by a clock that does not jump; what is allowed and not used adds up.
///
/// For example, flows are kept for 30 days, the archive has 1,000,000 flows of 30 days, and a fifth of them may go a day. The
/// clock and a flow jump 40 days ahead. Of the flows, all are too old then; those go that are older than 27 days, as the slack
/// is 3 days, and 200,000 others; and after 24 hours as many again.
#[derive(Debug)]
pub(crate) struct Aging {
    keep: Duration,
    /// The part of the archive that may go in a day besides, in hundredths.
    percent: u8,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Flows from before may go, in milliseconds since 1970.
    before: i64,
    /// So many flows may go besides.
    allowed: f64,
    at: Instant,
}

/// What comes of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Flows from before go.
    pub(super) before: Timestamp,
    /// So many others are too old as well, and wait.
    pub(super) held_back: u64,
    pub(super) aged: Aged,
}

impl Aging {
    /// Begins with a version, or goes on where it says that retention has come.
    pub(super) fn new(keep: Duration, percent: u8, manifest: &Manifest, clock: &dyn Clock) -> Self {
        let wanted = Retention::keeping(keep, clock.now(), manifest).before.map_or(i64::MIN, Timestamp::as_millis);
        let state = begin(manifest, wanted, a_day(manifest, percent), clock);
        Self { keep, percent, state }
    }

    /// Which flows of a version are to go now; `None` where none is too old by any means.
    pub(super) fn due(&mut self, manifest: &Manifest, clock: &dyn Clock) -> Option<Due> {
        let (now, at) = (Timestamp::of_clock(clock.now()).as_millis(), clock.instant());
        let wanted = Retention::keeping(self.keep, clock.now(), manifest).before?.as_millis();
        let a_day = a_day(manifest, self.percent);
        let slack = millis(LEAST_SLACK.max(self.keep / SLACK));
        let State { before, allowed, at: last } = self.state;
        let elapsed = at.saturating_duration_since(last);
        let before = before.saturating_add(millis(elapsed)).min(wanted.saturating_add(slack));
        let allowed = (allowed + a_day * elapsed.div_duration_f64(DAY)).min(manifest.rows() as f64);

        let mut beyond: Vec<_> = manifest.segments.iter().map(|segment| (segment.start_time.1, segment.rows)).collect();
        beyond.retain(|(newest, _)| (before..wanted).contains(newest));
        beyond.sort_unstable();
        let all: u64 = beyond.iter().map(|(_, rows)| *rows).sum();
        let (mut reached, mut gone) = (before.min(wanted), 0);
        for same in beyond.chunk_by(|(left, _), (right, _)| left == right) {
            let with = gone + same.iter().map(|(_, rows)| *rows).sum::<u64>();
            if self.percent < 100 && with as f64 > allowed {
                break;
            }
            gone = with;
            reached = same.first().map_or(reached, |(newest, _)| newest.saturating_add(1));
        }
        if gone == all {
            // Nothing is held back, up to the last millisecond.
            reached = wanted;
        }
        let allowed = (allowed - gone as f64).max(0.0);
        self.state = State { before: before.max(reached), allowed, at };
        let aged = Aged { before: before.max(reached), allowed: allowed as u64, at: now };
        Some(Due { before: Timestamp::from_millis(reached)?, held_back: all - gone, aged })
    }
}

/// Where retention begins, or goes on that another process has begun.
fn begin(manifest: &Manifest, wanted: i64, a_day: f64, clock: &dyn Clock) -> State {
    let at = clock.instant();
    match manifest.aged {
        Some(aged) => {
            let now = Timestamp::of_clock(clock.now()).as_millis();
            // Its clock may have jumped since: that it says what a day allows at most.
            let days = now.saturating_sub(aged.at).max(0) as f64 / millis(DAY) as f64;
            let allowed = (aged.allowed as f64 + a_day * days).min(a_day.max(aged.allowed as f64));
            State { before: aged.before, allowed, at }
        }
        None => {
            let oldest = manifest.segments.iter().map(|segment| segment.start_time.0).min();
            State { before: oldest.map_or(wanted, |oldest| oldest.min(wanted)), allowed: a_day, at }
        }
    }
}

/// How many flows of a version may go in a day besides.
fn a_day(manifest: &Manifest, percent: u8) -> f64 {
    manifest.rows() as f64 * f64::from(percent) / 100.0
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        time::{SystemTime, UNIX_EPOCH},
    };

    use super::*;
    use crate::archive::SegmentEntry;

    const DAYS: i64 = 86_400_000;

    /// A clock and a time of day that go on as they are told to.
    #[derive(Debug)]
    struct Hands {
        begin: Instant,
        passed: i64,
        shown: i64,
    }

    impl Hands {
        fn new() -> Self {
            Self { begin: Instant::now(), passed: 0, shown: 1_000 * DAYS }
        }

        fn pass(&mut self, millis: i64) {
            (self.passed, self.shown) = (self.passed + millis, self.shown + millis);
        }
    }

    impl Clock for Hands {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_millis(self.shown as u64)
        }

        fn instant(&self) -> Instant {
            self.begin + Duration::from_millis(self.passed as u64)
        }

        fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::ready(()))
        }
    }

    /// Segments whose newest flows began at these times, of 100 flows each.
    fn manifest(newest: impl IntoIterator<Item = i64>) -> Manifest {
        let segment = |newest: i64| SegmentEntry {
            path: newest.to_string(),
            rows: 100,
            bytes: 1,
            start_time: (newest - 1, newest),
            flow_id: (1, 1),
            added: 0,
            footer: None,
            zones: None,
            bloom: None,
            group: None,
        };
        Manifest::of_segments(newest.into_iter().map(segment).collect())
    }

    /// Looks, and removes what is due: how many segments that are, and how many flows wait.
    fn look(aging: &mut Aging, manifest: &mut Manifest, clock: &Hands) -> (usize, u64) {
        let due = aging.due(manifest, clock).unwrap();
        let before = manifest.segments.len();
        manifest.segments.retain(|segment| segment.start_time.1 >= due.before.as_millis());
        manifest.aged = Some(due.aged);
        (before - manifest.segments.len(), due.held_back)
    }

    /// An archive of a segment for each of the last 30 days.
    fn of_a_month(clock: &Hands) -> Manifest {
        manifest((0..30).map(|day| clock.shown - day * DAYS))
    }

    fn month() -> Duration {
        Duration::from_millis(30 * DAYS as u64)
    }

    #[test]
    fn what_grows_old_goes_as_fast_as_time_does_whatever_part_of_the_archive_it_is() {
        // Flows of an hour, of which all go within each hour; they come every ten minutes.
        let mut clock = Hands::new();
        let mut aging = Aging::new(Duration::from_secs(3_600), 0, &manifest([]), &clock);
        let mut archive = manifest([]);
        for minute in 0..600 {
            clock.pass(60_000);
            if minute % 10 == 0 {
                archive.segments.extend(manifest([clock.shown]).segments);
            }
            let (_, held_back) = look(&mut aging, &mut archive, &clock);
            assert_eq!(held_back, 0, "after {minute} minutes");
            assert!(archive.segments.len() <= 7, "after {minute} minutes");
        }
    }

    #[test]
    fn a_clock_that_jumps_and_flows_with_its_times_lose_a_part_a_day_at_most() {
        let mut clock = Hands::new();
        let mut archive = of_a_month(&clock);
        let mut aging = Aging::new(month(), 20, &archive, &clock);
        assert_eq!(look(&mut aging, &mut archive, &clock), (0, 0));
        clock.shown += 40 * DAYS;
        archive.segments.extend(manifest([clock.shown]).segments);
        // A fifth of 31 segments.
        assert_eq!(look(&mut aging, &mut archive, &clock), (6, 2_400));
        for _ in 0..20 {
            clock.pass(60_000);
            assert_eq!(look(&mut aging, &mut archive, &clock), (0, 2_400));
        }
        // The clock is set right again.
        clock.shown -= 40 * DAYS;
        assert_eq!(look(&mut aging, &mut archive, &clock), (0, 0));
        // Another process goes on where this one has ended, whatever its clock says.
        clock.shown += 40 * DAYS;
        let mut again = || look(&mut Aging::new(month(), 20, &archive, &clock), &mut archive, &clock);
        // For all that it knows, 40 days have passed: it does what a day allows, once.
        assert_eq!([again(), again(), again()], [(5, 1_900), (0, 1_900), (0, 1_900)]);
    }

    #[test]
    fn what_is_held_back_goes_in_time_though_a_segment_is_most_of_the_archive() {
        let mut clock = Hands::new();
        let mut archive = of_a_month(&clock);
        // All but one flow of the archive are in a segment of long ago.
        archive.segments.truncate(2);
        archive.segments[1].rows = 1_000_000;
        archive.segments[1].start_time = (0, 900 * DAYS);
        let mut aging = Aging::new(month(), 20, &archive, &clock);
        let mut days = 0;
        while archive.segments.len() == 2 {
            look(&mut aging, &mut archive, &clock);
            clock.pass(DAYS / 4);
            days += 1;
            assert!(days < 40);
        }
        assert!((15..20).contains(&days), "{days} quarters of a day");
    }

    #[test]
    fn without_a_limit_all_goes_at_once() {
        let clock = Hands::new();
        let mut archive = manifest((0..100).map(|day| clock.shown - day * DAYS));
        let mut aging = Aging::new(month(), 100, &archive, &clock);
        assert_eq!(look(&mut aging, &mut archive, &clock), (69, 0));
        let mut archive = manifest((0..100).map(|day| clock.shown - day * DAYS));
        let mut aging = Aging::new(month(), 0, &archive, &clock);
        assert_eq!(look(&mut aging, &mut archive, &clock), (0, 6_900));
    }
}
