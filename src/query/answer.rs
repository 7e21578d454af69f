//! A query to its page.

use std::{collections::BTreeSet, sync::atomic::Ordering as Atomic, time::Instant};

use super::{Count, Page, Query, Start, kept::Found, search::Search};
use crate::{
    error::Result,
    order::{Cursor, Position},
};

/// The largest number of flows that are passed over in one go on the way to a page number.
const LARGEST_SKIP: u128 = 10_000;

/// Answers a query from all segments but some.
pub(super) async fn page(query: &Query, left_out: &BTreeSet<usize>) -> Result<Page> {
    let started = Instant::now();
    let fingerprint = query.fingerprint();
    let seal = query.snapshot.seal()?;
    let cursor = |position: Option<&Position>, skip| Cursor::new(&seal, fingerprint, &query.order, position, skip);
    let (position, mut skip) = match &query.start {
        Start::First => (None, 0),
        Start::Number(number) => (None, u128::from(number.saturating_sub(1)) * query.limit as u128),
        Start::At(cursor) => cursor.resume(&seal, fingerprint, &query.order)?,
    };
    let mut search = Search::new(query, position, started);
    search.left_out.clone_from(left_out);
    if query.limit == 0 {
        // A next page would be as empty as this one, and so would every page after it.
        return search.answer(query, Vec::new(), None).await;
    }
    let mut stopped = false;
    while skip > 0 && !stopped {
        let step = skip.min(LARGEST_SKIP);
        let passed = search.find(usize::try_from(step).unwrap_or(usize::MAX)).await?;
        stopped = passed.stopped_before.is_some();
        skip -= passed.found.len() as u128;
        let exhausted = passed.found.len() as u128 != step && !stopped;
        search.pass(passed);
        if exhausted {
            return search.answer(query, Vec::new(), None).await;
        }
    }
    if stopped {
        let next = cursor(search.goal.position.as_ref(), skip)?;
        return search.answer(query, Vec::new(), Some(next)).await;
    }
    // One more than the page has tells whether there is another page.
    let mut results = search.find(query.limit.saturating_add(1)).await?;
    let more = results.found.len() > query.limit;
    results.found.truncate(query.limit);
    let end = match (more, results.stopped_before.take()) {
        (true, _) => {
            results.found.last().map(|last| Position::after(last.key.clone())).or(search.goal.position.clone())
        }
        (false, Some(frontier)) => Some(Position::before(frontier)),
        (false, None) => return search.answer(query, results.found, None).await,
    };
    let next = cursor(end.as_ref(), 0)?;
    search.answer(query, results.found, Some(next)).await
}

impl Search<'_> {
    /// The page: the found flows with all their columns.
    async fn answer(mut self, query: &Query, found: Vec<Found>, next: Option<Cursor>) -> Result<Page> {
        self.explain.search_time = self.started.elapsed();
        let started = Instant::now();
        let batch = self.fetch(&found).await?;
        self.explain.fetch_time = started.elapsed();
        self.explain.rows_returned = batch.num_rows() as u64;
        let started = Instant::now();
        let complete = query.start == Start::First && next.is_none() && query.limit > 0;
        let total = match query.count {
            Count::None => None,
            _ if !self.left_out.is_empty() => None,
            _ if complete => Some(batch.num_rows() as u64),
            Count::Auto => self.goal.filter.is_all().then(|| self.snapshot.manifest().rows()),
            Count::Exact => Some(self.count().await?),
        };
        self.explain.count_time = started.elapsed();
        self.explain.dropped = self.dropped();
        let counters = self.scanner.reader.counters();
        self.explain.bytes_read = counters.read.load(Atomic::Relaxed);
        self.explain.bytes_cached = counters.cached.load(Atomic::Relaxed);
        Ok(Page { batch, next, total, gaps: Vec::new(), explain: self.explain })
    }
}
