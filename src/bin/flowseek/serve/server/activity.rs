//! What a connection is doing, and until when it may go on like that.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::Version;
use tokio::time::{Instant, sleep_until};

use super::limits::Connections;

/// What a connection is doing. The stream below HTTP and the requests above it tell it; the connection's task asks it whether
/// the client is too slow, and the server's slots whether it is idle.
#[derive(Debug)]
pub struct Activity {
    head_time: Duration,
    stall_time: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose head has come and whose answer has not ended.
    begun: usize,
    /// Those of them that came by HTTP/1: their clients may have shut down their sending side.
    begun_by_http1: usize,
    /// Those that are worked on or answered: their head and their body have come.
    working: usize,
    /// How many requests have come by HTTP/1.1, whose clients know provisional answers (RFC 9110, section 15.2).
    provisional: u64,
    /// When something was last read or written.
    moved: Instant,
    /// When something was last written, or an answer ended. A client that sends the head of a request byte by byte moves,
    /// and is quiet.
    quiet: Instant,
    /// Whether the connection is closed without a wait for what the client still sends.
    hurries: bool,
    /// Since when the client takes nothing of what is written.
    blocked: Option<Instant>,
    /// Since when parts of answers wait for their client to ask for more, as the flow control of HTTP/2 has it.
    untaken: BTreeMap<u64, Instant>,
    next: u64,
}

impl Activity {
    /// That of a connection which has just been made.
    pub fn new(connections: Connections) -> Self {
        let now = Instant::now();
        let state = State {
            begun: 0,
            begun_by_http1: 0,
            working: 0,
            provisional: 0,
            moved: now,
            quiet: now,
            hurries: false,
            blocked: None,
            untaken: BTreeMap::new(),
            next: 0,
        };
        let Connections { head_time, stall_time, .. } = connections;
        Self { head_time, stall_time, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was read.
    pub fn read(&self) {
        self.state().moved = Instant::now();
    }

    /// The client took something of what was written.
    pub fn wrote(&self) {
        let (mut state, now) = (self.state(), Instant::now());
        (state.moved, state.quiet, state.blocked) = (now, now, None);
    }

    /// The client takes nothing at the moment.
    pub fn is_blocked(&self) {
        self.state().blocked.get_or_insert_with(Instant::now);
    }

    /// Whether a request that came by HTTP/1 waits for its answer or for the end of it.
    pub fn is_answering_http1(&self) -> bool {
        self.state().begun_by_http1 > 0
    }

    /// How many requests have come of clients that know provisional answers.
    pub fn provisional(&self) -> u64 {
        self.state().provisional
    }

    /// Since when an idle connection has been so; `None` while it works on a request.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.working == 0).then_some(state.moved)
    }

    /// The connection is to end. Whether no request was begun: then nothing is left to wait for.
    pub fn stop(&self) -> bool {
        let mut state = self.state();
        state.hurries = state.begun == 0;
        state.hurries
    }

    /// Whether what a client still sends is read before its connection is closed.
    pub fn lingers(&self) -> bool {
        !self.state().hurries
    }

    /// Waits until the client has been too slow.
    pub async fn too_slow(&self) {
        // Whatever begins while this sleeps may take at least so long: it is seen in time.
        let shortest = self.head_time.min(self.stall_time).max(Duration::from_millis(1));
        loop {
            let now = Instant::now();
            let ends = self.ends();
            if ends.is_some_and(|ends| ends <= now) {
                return;
            }
            let next = now.checked_add(shortest).unwrap_or(now);
            sleep_until(ends.map_or(next, |ends| ends.min(next))).await;
        }
    }

    /// When the client will have been too slow, if it goes on like this.
    fn ends(&self) -> Option<Instant> {
        let state = self.state();
        let stalled = state.blocked.iter().chain(state.untaken.values()).min();
        let is_waited_for = state.begun == 0 && state.blocked.is_none();
        let head = is_waited_for.then(|| state.quiet.checked_add(self.head_time)).flatten();
        let stalled = stalled.and_then(|since| since.checked_add(self.stall_time));
        head.into_iter().chain(stalled).min()
    }

    /// The head of a request has come.
    pub fn begin(self: &Arc<Self>, version: Version) -> Arc<Answering> {
        let is_http1 = version < Version::HTTP_2;
        let mut state = self.state();
        state.begun += 1;
        state.begun_by_http1 += usize::from(is_http1);
        state.provisional += u64::from(version == Version::HTTP_11);
        drop(state);
        Arc::new(Answering { activity: Arc::clone(self), is_http1, works: AtomicBool::new(false) })
    }

    /// A part of an answer is handed on, and waits for its client.
    pub fn hand_on(self: &Arc<Self>) -> Untaken {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.untaken.insert(number, Instant::now());
        Untaken { activity: Arc::clone(self), number }
    }
}

/// A request that was begun, until its answer has ended.
#[derive(Debug)]
pub struct Answering {
    activity: Arc<Activity>,
    is_http1: bool,
    works: AtomicBool,
}

impl Answering {
    /// The whole request has come: until its answer has ended, its connection is not idle.
    pub fn work(&self) {
        if !self.works.swap(true, Ordering::Relaxed) {
            self.activity.state().working += 1;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.begun -= 1;
        state.begun_by_http1 -= usize::from(self.is_http1);
        state.working -= usize::from(*self.works.get_mut());
        state.quiet = Instant::now();
    }
}

/// A part of an answer that waits for its client, until this is dropped.
#[derive(Debug)]
pub struct Untaken {
    activity: Arc<Activity>,
    number: u64,
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.activity.state().untaken.remove(&self.number);
    }
}
