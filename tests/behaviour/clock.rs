//! A clock that is set by hand.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use flowseek::resources::Clock;

/// A clock that goes on when it is told to. Its clones share its time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<State>);

#[derive(Debug)]
struct State {
    now: Mutex<Instant>,
    sleeping: Mutex<Vec<Waker>>,
}

impl ManualClock {
    pub fn new() -> Self {
        Self(Arc::new(State { now: Mutex::new(Instant::now()), sleeping: Mutex::default() }))
    }

    pub fn advance(&self, time: Duration) {
        *self.0.now.lock().unwrap() += time;
        let sleeping = std::mem::take(&mut *self.0.sleeping.lock().unwrap());
        sleeping.into_iter().for_each(Waker::wake);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        *self.0.now.lock().unwrap()
    }

    fn sleep_until(&self, time: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        Box::pin(std::future::poll_fn(move |context| {
            // Whoever sets the time meanwhile waits, and then finds the waker.
            let mut sleeping = clock.0.sleeping.lock().unwrap();
            if clock.instant() >= time {
                return Poll::Ready(());
            }
            sleeping.push(context.waker().clone());
            Poll::Pending
        }))
    }
}
