//! The connections that there are, and which of them makes place for another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

/// All connections.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    began: Instant,
    places: Mutex<Places>,
    someone_left: Notify,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Arc<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that are worked on or answered, for which the connection stays.
    busy: AtomicUsize,
    /// Requests whose head has come and whose answer has not ended.
    begun: AtomicUsize,
    /// How many requests have come of clients that know provisional answers.
    asked: AtomicU64,
    /// Whether a client may still send what nobody will read.
    unread: AtomicBool,
    /// When something was last read or written, in microseconds after the crowd began.
    moved: AtomicU64,
    leave: Notify,
}

/// The place of one connection, given up where this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    state: Arc<State>,
}

/// While this is there its connection is not idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<State>);

/// While this is there its client waits for an answer.
#[derive(Debug)]
pub(super) struct Begun(Arc<State>);

impl Crowd {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, began: Instant::now(), places: Mutex::default(), someone_left: Notify::new() }
    }

    /// Takes a place.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let moved = AtomicU64::new(self.now());
        let state = Arc::new(State { moved, ..State::default() });
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, Arc::clone(&state));
        Place { crowd: Arc::clone(self), number, state }
    }

    /// Waits until there is a place, and has the connection leave that has been idle longest.
    pub(super) async fn make_place(&self) {
        loop {
            let someone_left = self.someone_left.notified();
            if self.taken() < self.most || self.evict() {
                return;
            }
            someone_left.await;
        }
    }

    /// Tells the connection to leave that has been idle longest; its place is free at once. False where none is idle.
    pub(super) fn evict(&self) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = places.taken.iter().filter(|(_, state)| state.busy.load(Ordering::Relaxed) == 0);
        let longest = idle.min_by_key(|(_, state)| state.moved.load(Ordering::Relaxed)).map(|(number, _)| *number);
        let evicted = longest.and_then(|number| places.taken.remove(&number));
        evicted.map(|state| state.leave.notify_one()).is_some()
    }

    fn taken(&self) -> usize {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).taken.len()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// Something was read or written.
    pub(super) fn moved(&self) {
        self.state.moved.store(self.crowd.now(), Ordering::Relaxed);
    }

    /// The head of a request has come; of HTTP/1.1, whose clients know provisional answers (RFC 9110, section 15.2), or not.
    pub(super) fn begin(&self, knows_provisional: bool) -> Begun {
        self.state.asked.fetch_add(u64::from(knows_provisional), Ordering::Relaxed);
        self.state.begun.fetch_add(1, Ordering::Relaxed);
        Begun(Arc::clone(&self.state))
    }

    /// Whether a request waits for its answer or for the end of it.
    pub(super) fn has_begun(&self) -> bool {
        self.state.begun.load(Ordering::Relaxed) > 0
    }

    /// How many requests have come of clients that know provisional answers.
    pub(super) fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }

    /// What the client still sends will not be read.
    pub(super) fn leave_unread(&self) {
        self.state.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves_unread(&self) -> bool {
        self.state.unread.load(Ordering::Relaxed)
    }

    /// A request is worked on.
    pub(super) fn busy(&self) -> Busy {
        self.state.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.state))
    }

    /// Waits until the connection is to leave.
    pub(super) async fn evicted(&self) {
        self.state.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.places.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.number);
        self.crowd.someone_left.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.begun.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_longest_idle_leaves_and_the_busy_stay() {
        let crowd = Arc::new(Crowd::new(3));
        let places = [crowd.enter(), crowd.enter(), crowd.enter()];
        let busy = places[0].busy();
        for (place, moved) in places.iter().zip([0, 2, 1]) {
            place.state.moved.store(moved, Ordering::Relaxed);
        }
        let leaves = || places.each_ref().map(|place| place.evicted().now_or_never().is_some());
        crowd.make_place().await;
        assert_eq!(leaves(), [false, false, true]);
        assert!(crowd.evict());
        assert_eq!(leaves(), [false, true, false]);
        assert!(!crowd.evict());
        drop(busy);
        assert!(crowd.evict());
        assert_eq!(crowd.taken(), 0);
    }

    #[tokio::test]
    async fn where_all_are_busy_one_has_to_leave_by_itself() {
        let crowd = Arc::new(Crowd::new(1));
        let place = crowd.enter();
        let _busy = place.busy();
        let waiting = tokio::spawn({
            let crowd = Arc::clone(&crowd);
            async move { crowd.make_place().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(place);
        waiting.await.unwrap();
    }
}
