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
    /// What is asked where a grant names no archive.
    pub(super) archive: Option<Archive>,
    pub(super) authorizer: A,
    pub(super) settings: EndpointSettings,
    /// The limits that queries are held to.
    pub(super) limits: Limits,
    pub(super) shared: Arc<Shared>,
    pub(super) stopping: AtomicBool,
    /// What appends to the archives, where this process does.
    pub(super) appenders: Mutex<Vec<WeakAppender>>,
}

impl<A> Inner<A> {
    /// How those appenders get on that there still are.
    pub(super) fn appending(&self) -> Vec<LiveStatus> {
        let mut appenders = self.appenders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statuses = Vec::new();
        appenders.retain(|appender| appender.status().map(|status| statuses.push(status)).is_some());
        statuses
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
