//! A query to its page, without the segments that cannot be read where it may do without them.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use super::{Gap, Gaps, Page, Pruning, Query, answer, budget::Spending};
use crate::{
    archive::SegmentEntry,
    error::{Error, ErrorKind, Result},
};

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
    let named = |entry: &SegmentEntry| Path::new(&entry.path).file_name() == Some(name);
    query.snapshot.manifest().segments.iter().position(named)
}
