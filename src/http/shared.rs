//! What the answers to all requests share.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

use super::{gate::Gate, metrics::Metrics, settings::EndpointSettings};
use crate::{
    archive::Archive,
    error::Result,
    ingest::{LiveStatus, WeakAppender},
    resources::{RuntimeWorkers, blocking},
    wire::Limits,
};

/// The path of the endpoint.
pub const PATH: &str = "/v2/audit/flow-logs";
/// The path of its summaries.
pub const SUMMARY_PATH: &str = "/v2/audit/flow-logs/summary";

#[derive(Debug)]
pub(super) struct Inner<A> {
    pub(super) archive: Archive,
    pub(super) authorizer: A,
    pub(super) settings: EndpointSettings,
    /// The limits that queries are held to.
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    pub(super) stopping: AtomicBool,
    /// What appends to the archive, where this process does.
    pub(super) appender: Mutex<Option<WeakAppender>>,
}

impl<A> Inner<A> {
    /// How the appender gets on, while there is one.
    pub(super) fn appending(&self) -> Option<LiveStatus> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.status()
    }
}

/// What outlives a request, because its answer may.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queries: Gate,
    /// A place is a KiB of an answer.
    pub(super) answers: Gate,
    pub(super) exports: Gate,
    pub(super) metrics: Metrics,
}

/// Runs on a thread that may be kept waiting.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    blocking(&RuntimeWorkers, work).await
}
