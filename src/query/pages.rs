//! All pages of a query, one after the other.

use std::{sync::Arc, time::Duration};

use super::{Count, Page, Query, Start};
use crate::{error::Result, resources::Deadline};

/// How long a page is asked for again that is [`Busy`](crate::ErrorKind::Busy), unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first and the longest wait before it is asked for again; each is twice as long as the one before.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The pages of a query, one after the other: every match of one snapshot, a page of them in memory at a time.
///
/// Each page has the budget of the query. A page that is [`Busy`](crate::ErrorKind::Busy), as the system or other queries
/// leave it no memory or descriptors at that moment, is asked for again in a while.
///
/// ```
/// use flowseek::{Archive, Order, filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let mut pages = snapshot.query(filter::dst_port().eq(443)).order(Order::newest_first()).limit(100).pages();
/// let mut flows = 0;
/// while let Some(page) = pages.next().await? {
///     flows += page.batch.num_rows();
/// }
/// assert!(flows > 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Pages {
    query: Query,
    /// Where the next page begins; `None` behind the last.
    start: Option<Start>,
    patience: Duration,
}

impl Query {
    /// All pages from [`start`](Self::start) on. Matches are counted with the first alone, if at all.
    pub fn pages(self) -> Pages {
        let start = Some(self.start.clone());
        Pages { query: self, start, patience: PATIENCE }
    }
}

impl Pages {
    /// For how long a page is asked for again that is [`Busy`](crate::ErrorKind::Busy): 60 seconds unless said otherwise.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Those that follow on a page which the query has answered.
    #[cfg(feature = "http")]
    pub(crate) fn behind(mut self, page: &Page) -> Self {
        self.follow(page);
        self
    }

    fn follow(&mut self, page: &Page) {
        self.start = page.next.clone().map(Start::At);
        self.query.count = Count::None;
    }

    /// Where the next page begins, which is the cursor of the page before; `None` behind the last page. After an error
    /// that is the page which could not be answered.
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The next page; `None` behind the last. A page may be short, even empty, and not be the last.
    ///
    /// # Errors
    /// As [`Query::page`]; the next call asks for the same page again. [`Busy`](crate::ErrorKind::Busy) only where that has
    /// lasted for as long as the [`patience`](Self::patience), by the clock of the archive.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        let Some(start) = &self.start else { return Ok(None) };
        let page = self.ask(&self.query.clone().start(start.clone())).await?;
        self.follow(&page);
        Ok(Some(page))
    }

    /// A page, as soon as it is not busy.
    async fn ask(&self, query: &Query) -> Result<Page> {
        let clock = &query.snapshot.archive().settings().clock;
        let end = Deadline::after(self.patience, Arc::clone(clock));
        let (mut wait, longest) = WAITS;
        loop {
            match query.page().await {
                Err(error) if error.is_retryable() && !end.is_over() => {
                    let pause = Deadline::after(wait, Arc::clone(clock));
                    let _ = end.wait(pause.passed()).await;
                    wait = (wait * 2).min(longest);
                }
                page => return page,
            }
        }
    }
}
