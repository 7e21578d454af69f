//! Segments that cannot be read.

use std::{collections::BTreeSet, sync::Arc};

use super::{Page, Pruning, Query, answer, budget::Spending};
use crate::{
    archive::SegmentEntry,
    error::{Error, ErrorKind, Result},
    flow::{FlowId, Timestamp},
};

/// What to do about a segment that a page needs and that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gaps {
    /// The page is an error, which names it.
    #[default]
    Error,
    /// The page is answered from the other segments, and [`Page::gaps`] names it.
    ///
    /// A walk by cursors goes on: each flow that it answers comes once, in order, and each page names what it left out.
    /// A segment of which only parts are damaged is left out of the pages for which one of these would have to be read.
    Skip,
}

/// A segment that was left out of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Its file, from the archive's directory on, with `/`.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
    /// Their least and their greatest start time.
    pub start_time: (Timestamp, Timestamp),
    /// Their least and their greatest ID.
    pub flow_id: (FlowId, FlowId),
    /// Why it cannot be read.
    pub reason: String,
}

impl Gap {
    fn new(entry: &SegmentEntry, reason: &Error) -> Self {
        let (first, last) = entry.flow_id;
        Self {
            path: entry.path.clone(),
            rows: entry.rows,
            start_time: entry.start_times(),
            flow_id: (FlowId::new(first), FlowId::new(last)),
            reason: reason.to_string(),
        }
    }
}

/// Answers a query.
pub(super) async fn page(query: &Query) -> Result<Page> {
    let mut left_out = BTreeSet::new();
    let mut gaps = Vec::new();
    // All turns together have the budget of the page.
    let mut spending = match query.pruning {
        Pruning::On => Spending::new(query.budget, Arc::clone(&query.snapshot.archive().settings().clock)),
        Pruning::Off => Spending::unlimited(),
    };
    loop {
        match answer::page(query, &left_out, &mut spending).await {
            Ok(page) => return Ok(Page { gaps, ..page }),
            Err(error) => {
                let Some(segment) = unreadable(query, &error) else { return Err(error) };
                let entry = query.snapshot.manifest().segments.get(segment);
                // What is left out is not read again, so each turn leaves out one more.
                let Some(entry) = entry.filter(|_| left_out.insert(segment)) else { return Err(error) };
                gaps.push(Gap::new(entry, &error));
            }
        }
    }
}

/// The segment that is to be left out because of an error.
fn unreadable(query: &Query, error: &Error) -> Option<usize> {
    let is_of_a_file = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io | ErrorKind::Unsupported);
    let name = error.file().filter(|_| query.gaps == Gaps::Skip && is_of_a_file)?.file_name()?;
    let named = |entry: &SegmentEntry| std::path::Path::new(&entry.path).file_name() == Some(name);
    query.snapshot.manifest().segments.iter().position(named)
}
