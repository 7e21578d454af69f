//! How many connections there may be, and how slow they may be.

use std::time::Duration;

/// How many connections there may be, and how slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Connections at a time. Where one more comes, an idle one is closed: of the address that has most of them, the one that
    /// has been idle longest. Where none is idle, the new one waits.
    pub most: usize,
    /// How long a client may take for the head of a request, from when one could come. So it bounds, too, how long a
    /// connection stays idle.
    pub head_time: Duration,
    /// How long a client may take none of an answer that is ready for it, and how long it may take for the body of a
    /// request.
    pub stall_time: Duration,
    /// How long begun requests may take to end once the server was told to stop.
    pub grace: Duration,
}
