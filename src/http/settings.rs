//! What the endpoint may spend on its clients.

use std::{thread, time::Duration};

use crate::{
    query::Budget,
    setters::setters,
    wire::{FlagsFormat, Limits, Profile, View},
};

/// What the endpoint answers, and what it may spend on that.
///
/// ```
/// use flowseek::{http::EndpointSettings, wire::Limits};
///
/// let settings = EndpointSettings::default().limits(Limits::default().default_rows(100)).exports(2);
/// assert_eq!(settings.limits.largest_rows, 10_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSettings {
    /// How many rows a page has. Whether `limit=all` is one of them is decided by [`exports`](Self::exports).
    pub limits: Limits,
    /// Which fields a page shows that is not asked for certain ones.
    pub profile: Profile,
    /// How TCP flags are written; with [`Profile::Current`] they always are decimal numbers.
    pub flags: FlagsFormat,
    /// What one page or one summary may cost. A search that has used it up answers what it has, and where to go on; a summary
    /// what it has, and which time that covers.
    pub budget: Budget,
    /// Bytes of memory that the groups of one summary may take. One with more ends as if its budget were used up.
    pub group_bytes: u64,
    /// How long a page may take beyond its budget before the request is given up with 503, from when its turn has
    /// come. The budget ends a search; this ends what hangs.
    pub overtime: Duration,
    /// Pages and summaries that are worked on at a time, at least 1.
    pub queries: usize,
    /// Requests that wait for their turn; more are sent away with 503.
    pub queue: usize,
    /// How long a request waits for its turn before it is sent away with 503.
    pub patience: Duration,
    /// Bytes of answers that are in memory until their clients have read them. What would need more waits, and is sent
    /// away with 503 where that takes too long.
    pub answer_bytes: usize,
    /// Answers to `limit=all` that are streamed at a time; with 0 that limit is a wrong query.
    pub exports: usize,
    /// How long an answer to `limit=all` may take. Until then a page of it is asked for again that is
    /// [`Busy`](crate::ErrorKind::Busy). One that takes longer is broken off, so that it does not look whole.
    pub export_time: Duration,
}

setters! {
    EndpointSettings {
        limits: Limits,
        profile: Profile,
        flags: FlagsFormat,
        budget: Budget,
        group_bytes: u64,
        overtime: Duration,
        queries: usize,
        queue: usize,
        patience: Duration,
        answer_bytes: usize,
        exports: usize,
        export_time: Duration,
    }
    optional {}
}

impl EndpointSettings {
    /// How flows are shown where a request does not say.
    pub(super) fn view(&self) -> View {
        View::new(self.profile, self.flags)
    }
}

impl Default for EndpointSettings {
    /// Pages as the contract has them; 4 queries a core at a time, 1,024 waiting for at most 10 seconds; 256 MiB of
    /// answers, and 64 MiB of groups for each summary; no exports.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            profile: Profile::Seed,
            flags: FlagsFormat::Binary,
            budget: Budget::default(),
            group_bytes: 64 << 20,
            overtime: Duration::from_secs(20),
            queries: 4 * thread::available_parallelism().map_or(1, usize::from),
            queue: 1024,
            patience: Duration::from_secs(10),
            answer_bytes: 256 << 20,
            exports: 0,
            export_time: Duration::from_secs(3600),
        }
    }
}
