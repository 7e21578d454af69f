//! When a live appender commits by itself, and how much it holds.

use std::time::Duration;

/// When a [`LiveAppender`](super::LiveAppender) commits by itself, and how much may wait for it.
///
/// Whichever limit is reached first makes a commit of everything that was appended. The bytes of a flow are those it
/// takes in memory: 88, and those of its names and IDs.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::ingest::LiveOptions;
///
/// // Visible after a quarter of a second at the latest; not more than 16 MiB wait to be taken in.
/// let options =
///     LiveOptions { flush_age: Duration::from_millis(250), queue_bytes: 16 << 20, ..LiveOptions::default() };
/// assert_eq!(options.flush_rows, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Commits as soon as so many flows were appended since the last commit.
    pub flush_rows: u64,
    /// Commits as soon as flows of so many bytes were appended since the last commit.
    pub flush_bytes: u64,
    /// Commits as soon as a flow has waited so long. Zero commits whatever is there, again and again;
    /// [`Duration::MAX`] never commits because of the time.
    pub flush_age: Duration,
    /// Bytes of the flows that wait to be taken in, from 1 to 4,294,967,295; another number counts as the nearest of
    /// these. Who appends more waits.
    pub queue_bytes: u64,
}

impl Default for LiveOptions {
    /// A commit after 1,048,576 flows, 256 MiB or one second; a queue of 64 MiB.
    fn default() -> Self {
        Self { flush_rows: 1 << 20, flush_bytes: 256 << 20, flush_age: Duration::from_secs(1), queue_bytes: 64 << 20 }
    }
}
