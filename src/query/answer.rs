//! A query to its page.

use std::{collections::BTreeSet, sync::atomic::Ordering as Atomic, time::Instant};

use super::{
    Count, Explain, Page, Query, Start, budget::Spending, count::count, fetch::fetch, search::Search, top_k::Found,
};
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
    let spending = Spending::new(query.budget, started);
    let mut search = Search::new(query, position, left_out.clone(), spending);
    if query.limit == 0 {
        // A next page would be as empty as this one, and so would every page after it.
        return finish(query, search, Vec::new(), None, started).await;
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
            return finish(query, search, Vec::new(), None, started).await;
        }
    }
    if stopped {
        let next = cursor(search.goal.position.as_ref(), skip)?;
        return finish(query, search, Vec::new(), Some(next), started).await;
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
        (false, None) => return finish(query, search, results.found, None, started).await,
    };
    let next = cursor(end.as_ref(), 0)?;
    finish(query, search, results.found, Some(next), started).await
}

/// The page: the found flows with all their columns, and their number where it is known or was asked for.
async fn finish(
    query: &Query,
    mut search: Search<'_>,
    found: Vec<Found>,
    next: Option<Cursor>,
    started: Instant,
) -> Result<Page> {
    let search_time = started.elapsed();
    let started = Instant::now();
    let batch = fetch(&found, &mut search.segments, &search.scanner).await?;
    let fetch_time = started.elapsed();
    let started = Instant::now();
    let complete = query.start == Start::First && next.is_none() && query.limit > 0;
    let total = match query.count {
        Count::None => None,
        _ if !search.left_out.is_empty() => None,
        _ if complete => Some(batch.num_rows() as u64),
        Count::Auto => search.goal.filter.is_all().then(|| query.snapshot.manifest().rows()),
        Count::Exact => Some(count(&mut search).await?),
    };
    let counters = search.scanner.reader.counters();
    let explain = Explain {
        segments_opened: search.segments.opened(),
        rows_returned: batch.num_rows() as u64,
        dropped: search.pruner.dropped(&search.goal.filter),
        bytes_read: counters.read.load(Atomic::Relaxed),
        bytes_cached: counters.cached.load(Atomic::Relaxed),
        search_time,
        fetch_time,
        count_time: started.elapsed(),
        ..search.explain
    };
    Ok(Page { batch, next, total, gaps: Vec::new(), explain })
}
