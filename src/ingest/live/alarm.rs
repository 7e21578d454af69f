//! Time for a thread that waits.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Instant,
};

use crate::resources::Clock;

/// Wakes a thread that waits when it is time by a clock, which may run otherwise than that of the system.
#[derive(Default)]
pub(super) struct Alarm {
    time: Option<Instant>,
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Alarm {
    /// Wakes `thread` at a time, and at no other time any more. Whoever calls it has nothing locked that waking takes.
    pub(super) fn set(
        &mut self,
        time: Option<Instant>,
        clock: &dyn Clock,
        thread: &Arc<impl Wake + Send + Sync + 'static>,
    ) {
        if self.time != time {
            self.time = time;
            self.sleep = time.map(|time| clock.sleep_until(time));
            let waker = Waker::from(Arc::clone(thread));
            // Where the clock cannot wait, the thread does as long as it would by the system's.
            let _ = self.sleep.as_mut().map(|sleep| sleep.as_mut().poll(&mut Context::from_waker(&waker)));
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("time", &self.time).finish_non_exhaustive()
    }
}
