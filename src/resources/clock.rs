//! Time.

use std::{
    fmt,
    time::{Instant, SystemTime},
};

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
}

/// The clock of the system.
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
