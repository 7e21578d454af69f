//! Which version of an archive a table answers from.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use datafusion::catalog::Session;

use crate::{
    archive::{Archive, Snapshot, WeakSnapshot},
    error::Result,
};

#[derive(Debug)]
pub(super) enum Version {
    Of(Snapshot),
    Newest(Newest),
}

impl Version {
    /// The snapshot for a query of `session`.
    pub(super) fn of(&self, session: &dyn Session) -> Result<Snapshot> {
        match self {
            Self::Of(snapshot) => Ok(snapshot.clone()),
            Self::Newest(newest) => newest.of(session.execution_props().query_execution_start_time),
        }
    }
}

/// The newest version when a query is planned. A table that a query names more than once is one version for it: what
/// tells queries apart is the time at which they began, and the version is kept by their plans.
#[derive(Debug)]
pub(super) struct Newest {
    archive: Archive,
    last: Mutex<Option<(DateTime<Utc>, WeakSnapshot)>>,
}

impl Newest {
    pub(super) fn new(archive: Archive) -> Self {
        Self { archive, last: Mutex::default() }
    }

    fn of(&self, query: Option<DateTime<Utc>>) -> Result<Snapshot> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = last.as_ref().filter(|(began, _)| query == Some(*began));
        if let Some(snapshot) = planned.and_then(|(_, snapshot)| snapshot.upgrade()) {
            return Ok(snapshot);
        }
        let snapshot = self.archive.snapshot()?;
        *last = query.map(|began| (began, snapshot.downgrade()));
        Ok(snapshot)
    }
}
