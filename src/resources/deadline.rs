//! A time at which something is to be given up.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::{Clock, SystemClock};

/// A time by a clock, after which nothing new is begun and nothing is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    clock: Arc<dyn Clock>,
    time: Option<Instant>,
}

impl Deadline {
    /// So much time from now on.
    pub(crate) fn after(time: Duration, clock: Arc<dyn Clock>) -> Self {
        let time = clock.instant().checked_add(time);
        Self { clock, time }
    }

    /// A time on a clock; `None` is one that never comes.
    pub(crate) fn at(time: Option<Instant>, clock: Arc<dyn Clock>) -> Self {
        Self { clock, time }
    }

    /// One that never comes.
    pub(crate) fn never() -> Self {
        Self { clock: Arc::new(SystemClock), time: None }
    }

    /// One that is so much later.
    pub(crate) fn later(&self, time: Duration) -> Self {
        Self { clock: Arc::clone(&self.clock), time: self.time.and_then(|end| end.checked_add(time)) }
    }

    /// The time that is left until then; `None` where it never comes.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.time.map(|time| time.saturating_duration_since(self.clock.instant()))
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.time.is_some_and(|time| self.clock.instant() >= time)
    }

    /// Waits until it is over.
    pub(crate) async fn passed(&self) {
        let _ = self.wait(pending::<()>()).await;
    }

    /// What a future gives that waits; `None` where the deadline is over before that. What is there without waiting is
    /// always given.
    pub(crate) async fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let Some(time) = self.time else { return Some(future.await) };
        let mut future = pin!(future);
        let mut sleep = None;
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            if self.is_over() {
                return Poll::Ready(None);
            }
            let sleep = sleep.get_or_insert_with(|| self.clock.sleep_until(time));
            sleep.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn what_is_there_is_given_and_what_has_to_be_waited_for_is_given_up_in_time() {
        let clock = || -> Arc<dyn Clock> { Arc::new(SystemClock) };
        for time in [Duration::ZERO, Duration::from_millis(1)] {
            let deadline = Deadline::after(time, clock());
            assert_eq!(block_on(deadline.wait(ready(7))), Some(7));
            assert_eq!(block_on(deadline.wait(pending::<()>())), None);
            assert!(deadline.is_over() && !deadline.later(Duration::from_secs(3_600)).is_over());
            assert_eq!(deadline.left(), Some(Duration::ZERO));
        }
        for deadline in [Deadline::never(), Deadline::after(Duration::MAX, clock())] {
            assert!(!deadline.is_over() && deadline.left().is_none_or(|left| left > Duration::from_secs(3_600)));
            assert!(block_on(async { futures::poll!(pin!(deadline.wait(pending::<()>()))).is_pending() }));
        }
    }
}
