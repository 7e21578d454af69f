//! So many at a time, and a queue before the door.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The right to be inside; it ends where this is dropped.
pub(super) type Pass = OwnedSemaphorePermit;

/// Nobody can be let in soon.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// Lets a number of holders in at a time, first come first served.
#[derive(Debug)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    all: usize,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
}

impl Gate {
    /// A gate to `places`, at which `queue` may wait for `patience` each.
    pub(super) fn new(places: usize, queue: usize, patience: Duration) -> Self {
        let all = places.clamp(1, u32::MAX as usize);
        Self { places: Arc::new(Semaphore::new(all)), all, waiting: AtomicUsize::new(0), queue, patience }
    }

    /// Takes so many places, or all of them where there are fewer, once they are free.
    pub(super) async fn enter(&self, places: usize) -> Result<Pass, Busy> {
        let wanted = u32::try_from(places.min(self.all)).unwrap_or(u32::MAX);
        if let Ok(pass) = Arc::clone(&self.places).try_acquire_many_owned(wanted) {
            return Ok(pass);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.number > self.queue {
            return Err(Busy);
        }
        let pass = timeout(self.patience, Arc::clone(&self.places).acquire_many_owned(wanted)).await;
        pass.map_err(|_| Busy)?.map_err(|_| Busy)
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.all
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.all.saturating_sub(self.places.available_permits())
    }

    /// How many are waiting.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, left whichever way the wait ends.
struct Waiting<'a> {
    queue: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiting<'a> {
    fn new(queue: &'a AtomicUsize) -> Self {
        Self { queue, number: queue.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_waits_and_who_finds_no_queue_leaves() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_secs(60)));
        let inside = gate.enter(1).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(1).await.map(drop) }
        });
        while gate.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter(1).await.unwrap_err(), Busy);
        assert_eq!((gate.taken(), gate.waiting()), (1, 1));
        drop(inside);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!((gate.taken(), gate.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn patience_ends_and_leaves_no_trace() {
        let gate = Gate::new(2, 5, Duration::from_millis(1));
        let inside = gate.enter(7).await.unwrap();
        assert_eq!(gate.taken(), 2);
        assert_eq!(gate.enter(1).await.unwrap_err(), Busy);
        drop(inside);
        assert_eq!((gate.taken(), gate.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_queue() {
        let gate = Gate::new(1, 1, Duration::from_secs(60));
        let inside = gate.enter(1).await.unwrap();
        for _ in 0..3 {
            let mut waiting = Box::pin(gate.enter(1));
            assert!((&mut waiting).now_or_never().is_none());
            assert_eq!(gate.waiting(), 1);
            drop(waiting);
            assert_eq!(gate.waiting(), 0);
        }
        drop(inside);
        assert!(gate.enter(1).await.is_ok());
    }
}
