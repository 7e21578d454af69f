//! Time.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Instant, SystemTime},
};

use super::timer::Sleep;

/// Tells the time. A host or a test may give another one than the system's, in
/// [`Settings::clock`](crate::Settings::clock).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use flowseek::resources::{Clock, SystemClock};
///
/// let day = Duration::from_secs(86_400);
/// assert!(SystemClock.now() > SystemTime::UNIX_EPOCH + 365 * day);
/// assert!(SystemClock.instant() <= SystemClock.instant());
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The date and the time of day. It may jump, in both directions.
    fn now(&self) -> SystemTime;

    /// A time that never goes back, to measure durations with.
    fn instant(&self) -> Instant;

    /// Ends when [`instant`](Self::instant) has reached `time`, or before, where it cannot wait so long: then nobody waits
    /// for what others hold. Whoever does not want it any more drops it.
    ///
    /// Unless a host does better, time is taken to go on as the system's does, and a thread of this crate waits, of which
    /// a process has one while queries wait.
    fn sleep_until(&self, time: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let wait = time.saturating_duration_since(self.instant());
        Instant::now().checked_add(wait).map_or_else(
            || Box::pin(std::future::pending()) as Pin<Box<dyn Future<Output = ()> + Send>>,
            |time| Box::pin(Sleep::until(time)),
        )
    }
}

/// The clock of the system.
///
/// ```
/// use std::time::SystemTime;
///
/// use flowseek::resources::{Clock, SystemClock};
///
/// let begun = SystemClock.instant();
/// assert!(SystemClock.instant() >= begun);
/// assert!(SystemClock.now() > SystemTime::UNIX_EPOCH);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
