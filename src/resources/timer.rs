//! Wakes futures in time, whatever executor polls them.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// How long the thread stays when nothing is left to be woken.
const LINGER: Duration = Duration::from_secs(1);

static TIMER: Timer = Timer { state: Mutex::new(State::NEW), changed: Condvar::new() };

/// Wakes futures. One thread of the process waits for the first of all times, and ends when there is none.
#[derive(Debug)]
struct Timer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// By their times; numbers tell those of one time apart.
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    is_running: bool,
}

impl State {
    const NEW: Self = Self { wakers: BTreeMap::new(), next: 0, is_running: false };
}

/// Ends at a time, or at once where the system has no thread that could wait for it.
#[derive(Debug)]
pub(super) struct Sleep {
    time: Instant,
    /// What its waker is kept under.
    number: Option<u64>,
}

impl Sleep {
    pub(super) fn until(time: Instant) -> Self {
        Self { time, number: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.time {
            return Poll::Ready(());
        }
        let mut state = TIMER.state();
        let number = self.number.unwrap_or(state.next);
        state.next = state.next.max(number + 1);
        if !state.is_running {
            let started = thread::Builder::new().name("flowseek-timer".to_owned()).spawn(|| TIMER.run());
            if started.is_err() {
                return Poll::Ready(());
            }
            state.is_running = true;
        }
        self.number = Some(number);
        state.wakers.insert((self.time, number), context.waker().clone());
        TIMER.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            TIMER.state().wakers.remove(&(self.time, number));
        }
    }
}

impl Timer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever is to be woken, until nobody is left.
    fn run(&self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let first = state.wakers.first_entry().map(|entry| entry.key().0);
            let wait = first.map_or(LINGER, |first| first.saturating_duration_since(now));
            if wait.is_zero() {
                let waker = state.wakers.pop_first().map(|(_, waker)| waker);
                drop(state);
                // Outside the lock: a waker may poll, and a poll may come back here.
                waker.into_iter().for_each(Waker::wake);
                state = self.state();
                continue;
            }
            let (left, timeout) = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = left;
            if timeout.timed_out() && state.wakers.is_empty() {
                state.is_running = false;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn whoever_sleeps_is_woken_and_whoever_does_not_is_forgotten() {
        let now = Instant::now();
        let long = Sleep::until(now + Duration::from_secs(3_600));
        let mut long = Box::pin(long);
        block_on(async {
            assert!(futures::poll!(&mut long).is_pending());
            let sleeps = [3, 1, 2].map(|millis| Sleep::until(now + Duration::from_millis(millis)));
            futures::future::join_all(sleeps).await;
        });
        assert!(Instant::now() >= now + Duration::from_millis(3));
        let key = (long.time, long.number.unwrap());
        assert!(TIMER.state().wakers.contains_key(&key));
        drop(long);
        assert!(!TIMER.state().wakers.contains_key(&key));
    }
}
