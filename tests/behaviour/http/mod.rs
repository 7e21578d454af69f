//! The endpoint as its clients see it: over sockets.
#![cfg(feature = "cli")]

mod authorization;
mod command;
mod contract;
mod forms;
mod jwt;
mod openapi;
mod operations;
mod spending;
mod summaries;
mod tenants;

use std::{
    net::SocketAddr,
    sync::mpsc::channel,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderMap, request::Parts},
    serve::ListenerExt,
};
use flowseek::{
    Archive, Flow, Settings as ArchiveSettings,
    archive::SegmentOptions,
    flow::StoredFlow,
    http::{Authorizer, EndpointSettings, FlowLogs, Grant, PERMISSION, Refusal, not_found},
    wire::{FlagsFormat, FlowView},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot};
use ureq::Agent;

use crate::{folder::Folder, golden_queries, support::append};

/// Longer than anything here takes, so that a test that hangs fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Lets everybody in.
pub fn open(_: &Parts) -> Result<Grant, Refusal> {
    Ok(Grant::new([PERMISSION]))
}

/// An archive of the flows of the golden queries, in small segments and blocks.
pub fn golden_archive() -> (Folder, Archive) {
    let flows: Vec<Flow> = golden_queries::flows().into_iter().map(|stored| stored.flow).collect();
    archive_of(&flows)
}

/// An archive of some flows, in small segments and blocks.
pub fn archive_of(flows: &[Flow]) -> (Folder, Archive) {
    archive_in_blocks(flows, 1000)
}

/// An archive of some flows, in small segments and blocks of so many rows.
pub fn archive_in_blocks(flows: &[Flow], block_rows: usize) -> (Folder, Archive) {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(block_rows).row_group_blocks(2);
    let settings = ArchiveSettings::default().segment(segment).segment_rows(10_000);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    append(&archive, &[flows.to_vec()]);
    (directory, archive)
}

/// So many flows, a second apart, each with a long name.
pub fn many(flows: i64) -> Vec<Flow> {
    let flow = |second: i64| Flow {
        src_bytes: Some(second as u64),
        src_node: Some(format!("{second:0200}")),
        ..Flow::starting(flowseek::flow::Timestamp::from_millis(second * 1000).unwrap())
    };
    (0..flows).map(flow).collect()
}

/// A server on a thread of its own. It stops where this is dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    directory: Option<Folder>,
}

impl Running {
    /// The endpoint over the golden flows, for everybody.
    pub fn golden() -> Self {
        Self::with(golden_archive(), open, EndpointSettings::default())
    }

    /// The endpoint over an archive.
    pub fn with((directory, archive): (Folder, Archive), by: impl Authorizer, settings: EndpointSettings) -> Self {
        let logs = FlowLogs::with_settings(archive, by, settings);
        let app = logs.router().merge(logs.document()).merge(logs.operations()).fallback(not_found);
        let mut running = Self::routes(app);
        running.directory = Some(directory);
        running
    }

    /// Any routes, in a server as a host has one.
    pub fn routes(app: Router) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (address, addressed) = channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                address.send(listener.local_addr().unwrap()).unwrap();
                let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
                axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) }).await.unwrap();
            });
        });
        let address = addressed.recv().unwrap();
        Self { address, stop: Some(stop), thread: Some(thread), directory: None }
    }

    /// Asks for a query of the endpoint.
    pub fn ask(&self, query: &str) -> Answer {
        self.get(&format!("/v2/audit/flow-logs?{}", encoded(query)), &[])
    }

    /// Asks for a path.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(&format!("http://{}{path}", self.address), headers)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// What a server has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The flows of a page.
    pub fn flows(&self) -> Vec<Value> {
        assert_eq!((self.status, self.header("content-type")), (200, Some("application/json")), "{}", self.text());
        self.json().as_array().unwrap().clone()
    }

    /// The sentences of an error.
    pub fn problems(&self, status: u16) -> Vec<String> {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/json")), "{}", self.text());
        let problems: Vec<String> = serde_json::from_slice(&self.body).unwrap();
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
        problems
    }
}

/// Asks for a URL.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let agent: Agent =
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
    let request = headers.iter().fold(agent.get(url), |request, (name, value)| request.header(*name, *value));
    let mut response = request.call().unwrap_or_else(|error| panic!("{url:.200}: {error}"));
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: body.unwrap_or_else(|error| panic!("{url:.200}: {error}")),
    }
}

/// A query with everything escaped that a URL cannot hold.
pub fn encoded(query: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    query
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A flow as the endpoint shows it.
pub fn shown(stored: &StoredFlow) -> Value {
    serde_json::to_value(FlowView::new(&stored.flow, FlagsFormat::Binary)).unwrap()
}
