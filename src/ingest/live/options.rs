//! When a live appender commits by itself, how much it holds, and what it does about old flows.

use std::time::Duration;

use crate::{archive::Effort, setters::setters};

/// When a [`LiveAppender`](super::LiveAppender) commits by itself, how much may wait for it, and how it keeps the archive
/// in order.
///
/// Whichever limit is reached first makes a commit of everything that was appended. The bytes of a flow are those it
/// takes in memory: 116, and those of its names and IDs.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::ingest::LiveOptions;
///
/// // Visible after a quarter of a second at the latest; not more than 16 MiB wait to be taken in; of the last 90 days.
/// let options = LiveOptions::default()
///     .flush_age(Duration::from_millis(250))
///     .queue_bytes(16 << 20)
///     .keep(Duration::from_secs(90 * 86_400));
/// assert_eq!(options.flush_rows, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveOptions {
    /// Commits as soon as so many flows were appended since the last commit.
    pub flush_rows: u64,
    /// Commits as soon as flows of so many bytes were appended since the last commit.
    pub flush_bytes: u64,
    /// Commits as soon as a flow has waited so long. Zero commits whatever is there, again and again;
    /// [`Duration::MAX`] never commits because of the time.
    pub flush_age: Duration,
    /// Bytes of the flows that wait to be taken in, from 1 to 4,294,967,295; another number counts as the nearest of
    /// these. Who appends more waits. However small the calls are, and whatever batch theirs is a slice of, the queue
    /// takes at most half as much memory again, and some hundred kilobytes.
    pub queue_bytes: u64,
    /// How segments are merged after commits, on a thread of its own; `None` leaves them as they are.
    /// [`Effort::Background`] is made for this: the others write the newest flows again with every commit.
    pub compaction: Option<Effort>,
    /// Removes flows that started longer ago, a minute later at the latest: segments whose flows are all so old, by the
    /// clock and beside the newest flow ([`Retention::keeping`](crate::archive::Retention::keeping)). Late flows are no
    /// exception.
    pub keep: Option<Duration>,
    /// Removes the segments with the oldest flows, until all have no more bytes than this.
    pub max_bytes: Option<u64>,
    /// The part of the archive's flows, in hundredths, that [`keep`](field@Self::keep) removes within a day besides those that
    /// grow too old as time passes; 100 removes at once what is too old. It bounds what is lost to a clock that has jumped, and
    /// how fast an archive shrinks for which `keep` is new. As flows come in bursts, such a clock may also remove flows a tenth
    /// of `keep` early, or an hour where that is longer. What is not used of the part adds up, so that a segment goes some time
    /// which has a larger part of the flows. [`LiveStatus::held_back`](super::LiveStatus::held_back) tells what waits.
    pub daily_percent: u8,
    /// How long the files stay of segments that `keep` has removed, and no longer than `keep`:
    /// [`Writer::restore`](crate::archive::Writer::restore) puts them back until then. Where `max_bytes` is set they go at
    /// once, to make room.
    pub grace: Duration,
}

setters! {
    LiveOptions {
        flush_rows: u64,
        flush_bytes: u64,
        flush_age: Duration,
        queue_bytes: u64,
        daily_percent: u8,
        grace: Duration,
    }
    optional { compaction: Effort, keep: Duration, max_bytes: u64 }
}

impl Default for LiveOptions {
    /// A commit after 1,048,576 flows, 256 MiB or one second; a queue of 64 MiB; compaction in the background; nothing
    /// is removed. Where `keep` is set, a fifth of the flows goes a day besides those that grow old, and files stay for a
    /// day.
    fn default() -> Self {
        Self {
            flush_rows: 1 << 20,
            flush_bytes: 256 << 20,
            flush_age: Duration::from_secs(1),
            queue_bytes: 64 << 20,
            compaction: Some(Effort::Background),
            keep: None,
            max_bytes: None,
            daily_percent: 20,
            grace: Duration::from_secs(86_400),
        }
    }
}
