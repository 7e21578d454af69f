//! A controller that keeps the flow logs of its tenants: agents push them, tenants list, export and follow theirs.
//! `cargo run --features http --example host -- flows 127.0.0.1:8080`, then
//!
//! ```text
//! curl -H 'x-agent: blue/1' -H 'x-sequence: 1' --data-binary @flows.ndjson 127.0.0.1:8080/push
//! curl -H 'x-tenant: blue' '127.0.0.1:8080/v2/audit/flow-logs?reverse=true&limit=5'
//! curl -H 'x-tenant: blue' -H 'accept: application/x-ndjson' '127.0.0.1:8080/v2/audit/flow-logs?limit=all'
//! curl -N -H 'x-tenant: blue' 127.0.0.1:8080/tail
//! ```
//!
//! Agents and tenants are believed here: a host has credentials in place of the headers.

use std::{convert::Infallible, error::Error, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flowseek::{
    Archive, FlowId, LiveAppender, LiveOptions, Order, Snapshot, filter,
    flow::Field,
    http::{EndpointSettings, FlowLogs, Grant, PERMISSION, Refusal, problem},
    ingest::Defaults,
    order::{Direction, SortKey},
    wire::{FlagsFormat, Request, write_line},
};
use futures::stream;
use tokio::{net::TcpListener, signal, time::sleep};

/// How long requests have, and the last commits, once the host is to end.
const GRACE: Duration = Duration::from_secs(10);
/// Days for which flows are kept.
const KEPT: u64 = 90;

#[derive(Clone)]
struct Host {
    archive: Archive,
    appender: LiveAppender,
}

/// Flows of an agent, once: it sends them again, under the same number, until it hears 200.
async fn push(State(host): State<Host>, headers: HeaderMap, body: Bytes) -> Result<Response, flowseek::Error> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let sequence = header("x-sequence").and_then(|sequence| sequence.parse().ok());
    let Some((agent, sequence)) = header("x-agent").zip(sequence) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "x-agent and x-sequence are wanted: a name and a number"));
    };
    let defaults = Defaults::default().node_id(agent.to_owned());
    let appended = host.appender.append_json_once(agent, sequence, &body, &defaults).await?;
    appended.receipt.durable().await?;
    let rejected: Vec<String> = appended.rejected.iter().map(ToString::to_string).collect();
    Ok(([("content-type", "application/json")], serde_json::json!({ "rejected": rejected }).to_string())
        .into_response())
}

/// The grant of a tenant: the flows of its nodes. A directory would tell these; nodes join while tenants read.
fn grant(headers: &HeaderMap) -> Result<Grant, Refusal> {
    let tenant = headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
    let tenant = tenant.ok_or_else(|| Refusal::unauthorized("x-tenant is wanted").challenge("Tenant"))?;
    let nodes = (1..=100).map(|node| format!("{tenant}/{node}"));
    Ok(Grant::new([PERMISSION]).only(filter::node_id().any_of(nodes)).scope(tenant))
}

/// New flows of a tenant as lines, from now on, as they are committed.
async fn tail(State(host): State<Host>, headers: HeaderMap) -> Result<Response, Response> {
    let grant = grant(&headers).map_err(IntoResponse::into_response)?;
    let snapshot = host.archive.snapshot().map_err(IntoResponse::into_response)?;
    let last = FlowId::new(snapshot.manifest().next_flow_id - 1);
    let lines = stream::unfold((grant, snapshot, last), async |(grant, snapshot, last)| {
        let snapshot = snapshot.changed().await.ok()?;
        let (lines, last) = after(&grant, &snapshot, last).await.ok()?;
        Some((Ok::<_, Infallible>(lines), (grant, snapshot, last)))
    });
    Ok(Response::new(Body::from_stream(lines)))
}

/// The flows of a grant behind the ID of a flow, and the ID to go on from.
async fn after(grant: &Grant, snapshot: &Snapshot, last: FlowId) -> Result<(Vec<u8>, FlowId), flowseek::Error> {
    let by_id = Order::new([SortKey { field: Field::FlowId, direction: Direction::Ascending }], Direction::Ascending);
    let newer = filter::flow_id().within(FlowId::new(last.get() + 1)..);
    let mut pages = grant.query(&Request::parse("")?, snapshot).only(&newer).order(by_id).pages();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await? {
        for stored in page.flows()? {
            // Memory takes every line.
            let _ = write_line(&mut lines, &stored.flow, FlagsFormat::Binary);
        }
    }
    Ok((lines, FlowId::new(snapshot.manifest().next_flow_id - 1)))
}

async fn interrupted() {
    // Without signals it ends as it is killed, which loses nothing either.
    let _ = signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let argument = |number, default: &str| std::env::args().nth(number).unwrap_or_else(|| default.to_owned());
    let archive = Archive::open_or_create(argument(1, "flows"))?;
    let options = LiveOptions::default().flush_age(Duration::from_millis(250)).keep(Duration::from_secs(KEPT * 86_400));
    // The host before may still be committing.
    let appender = archive.live_appender_when_free(options, Duration::from_secs(30)).await?;
    let host = Host { archive: archive.clone(), appender: appender.clone() };
    let settings = EndpointSettings::default().exports(4);
    let logs = FlowLogs::with_settings(archive, |request: &Parts| grant(&request.headers), settings);
    logs.appending(&appender);
    let app = Router::new()
        .route("/push", post(push).layer(DefaultBodyLimit::max(16 << 20)))
        .route("/tail", get(tail))
        .with_state(host)
        .merge(logs.router())
        .merge(logs.operations());
    let listener = TcpListener::bind(argument(2, "127.0.0.1:8080")).await?;
    let serve = axum::serve(listener, app).with_graceful_shutdown(interrupted());
    tokio::select! {
        served = serve => served?,
        // Who follows does not end.
        () = async { interrupted().await; sleep(GRACE).await } => {}
    }
    let shutdown = appender.shutdown(GRACE).await;
    println!("not stored: {} flows", shutdown.uncommitted + shutdown.unknown);
    Ok(())
}
