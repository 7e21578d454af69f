//! A query to its page.

use std::{collections::BTreeSet, time::Instant};

use super::{
    Count, Explain, Page, Query, Start, budget::Spending, checkpoint::Checkpoint, count::count, search::Search,
    top_k::Found,
};
use crate::{
    error::Result,
    flow::Field,
    order::{Cursor, Place, Position},
};

/// The largest number of flows that are passed over in one go on the way to a page number.
const LARGEST_SKIP: u128 = 10_000;

/// Answers a query from all segments but some.
pub(super) async fn page(query: &Query, left_out: &BTreeSet<usize>, spending: &mut Spending) -> Result<Page> {
    let started = Instant::now();
    let (start, sweep) = match &query.start {
        Start::First => (Place::default(), None),
        Start::Number(number) => {
            let skip = u128::from(number.saturating_sub(1)) * query.limit as u128;
            (Place { skip, ..Place::default() }, None)
        }
        Start::At(cursor) => {
            let place = cursor.resume(&query.snapshot.seal()?, query.fingerprint(), &query.order)?;
            let sweep = Checkpoint::decode(&place.search);
            (place, sweep)
        }
    };
    let mut search = Search::new(query, start.position, left_out.clone(), spending);
    search.sweep = sweep;
    if query.limit == 0 {
        // A next page would be as empty as this one, and so would every page after it.
        return finish(query, search, Vec::new(), None, started).await;
    }
    let mut skip = start.skip;
    while skip > 0 {
        let step = skip.min(LARGEST_SKIP);
        let passed = search.find(usize::try_from(step).unwrap_or(usize::MAX)).await?;
        skip -= passed.found.len() as u128;
        let stopped = passed.stopped.is_some();
        let exhausted = passed.found.len() as u128 != step && !stopped;
        search.pass(passed);
        if exhausted || stopped {
            let next = stopped.then(|| search.next(query, skip)).transpose()?;
            return finish(query, search, Vec::new(), next, started).await;
        }
    }
    // One more than the page has tells whether there is another page.
    let mut results = search.find(query.limit.saturating_add(1)).await?;
    let full = results.found.len() > query.limit;
    if full {
        results.found.truncate(query.limit);
        results.stopped = None;
    }
    let more = full || results.stopped.is_some();
    let found = search.pass(results);
    let next = more.then(|| search.next(query, 0)).transpose()?;
    finish(query, search, found, next, started).await
}

impl Search<'_> {
    /// The cursor of what is still to be found, from which `skip` flows are passed over.
    fn next(&self, query: &Query, skip: u128) -> Result<Cursor> {
        let position = self.goal.position.clone();
        let mut place = Place { fingerprint: query.fingerprint(), position, skip, search: Vec::new() };
        if let Some(checkpoint) = &self.sweep {
            place.search = checkpoint.encode(place.room()).ok_or_else(Cursor::too_long)?;
        }
        Cursor::new(&query.snapshot.seal()?, &query.order, &place)
    }
}

/// The page: the found flows with all their columns, and their number where it is known or was asked for.
async fn finish(
    query: &Query,
    mut search: Search<'_>,
    found: Vec<Found>,
    mut next: Option<Cursor>,
    started: Instant,
) -> Result<Page> {
    let search_time = started.elapsed();
    let started = Instant::now();
    let batch = search.columns(&found, Field::ALL).await?;
    if let Some(last) = batch.num_rows().checked_sub(1).filter(|last| last + 1 < found.len()) {
        // The time has ended before all of them were fetched.
        search.goal.position = found.get(last).map(|last| Position::after(last.key.clone()));
        search.sweep = None;
        next = Some(search.next(query, 0)?);
        search.explain.budget_spent = true;
    }
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
    let explain = Explain {
        rows_returned: batch.num_rows() as u64,
        search_time,
        fetch_time,
        count_time: started.elapsed(),
        ..search.cost()
    };
    Ok(Page { batch, next, total, gaps: Vec::new(), explain })
}
