//! How many connections there may be, and how slow they may be.

use std::time::Duration;

/// How many connections there may be, and how slow.
///
/// ```
/// use flowseek::http::Connections;
///
/// let connections = Connections { most: 500, ..Connections::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Connections at a time. Where one more comes, the one that has been idle longest is closed; where none is idle,
    /// the new one waits.
    pub most: usize,
    /// How long a client may take for the head of a request, from when one could come. So it bounds, too, how long a
    /// connection stays idle.
    pub head_time: Duration,
    /// How long a client may take none of an answer that is ready for it, and how long it may take for the body of a
    /// request, where that is short enough to be read before the answer.
    pub stall_time: Duration,
    /// How long begun requests may take to end once the server was told to stop.
    pub grace: Duration,
}

impl Default for Connections {
    /// 512 connections, 30 seconds for each wait.
    fn default() -> Self {
        let time = Duration::from_secs(30);
        Self { most: 512, head_time: time, stall_time: time, grace: time }
    }
}
