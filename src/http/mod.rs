//! The endpoint over HTTP: a router that any axum server mounts, and who may use it.
//!
//! ```no_run
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, http::request::Parts};
//! use flowseek::{Archive, http::{FlowLogs, Grant, PERMISSION, Refusal}};
//!
//! let logs = FlowLogs::new(Archive::open("flows")?, |request: &Parts| {
//!     let session = request.extensions.get::<String>().ok_or(Refusal::unauthorized("log in first"))?;
//!     Ok(Grant::new([PERMISSION]).subject(session))
//! });
//! let app: Router = Router::new().merge(logs.router());
//! # Ok(())
//! # }
//! ```
//!
//! # What is answered
//!
//! `GET` [`PATH`] with the [parameters](crate::wire::PARAMETERS) answers a page: 200 and a JSON array of objects with the
//! [fields](crate::wire::Profile::fields) of the profile in the [`EndpointSettings`], or those that `fields` names; or what `Accept` prefers of `application/x-ndjson`, `text/csv` and
//! `application/vnd.apache.arrow.stream`; compressed with gzip or zstd where `Accept-Encoding` names them.
//!
//! | header | when |
//! |---|---|
//! | `x-next-page` | there may be more: the cursor to hand in as `page` |
//! | `x-cursor` | likewise with [`Profile::Current`](crate::wire::Profile::Current): the same |
//! | `link` | likewise: the query of the next page, with `rel="next"`; left out where it is longer than 2 KiB |
//! | `x-total-count` | the number of all matches is known |
//!
//! A request is looked at in this order, and the first that is wrong is answered: credential (401), permission (403),
//! length (414), every parameter at once (422). 503 with `Retry-After` says that there is too much to do at the moment.
//! Each of these is a JSON array of sentences. 500 says nothing of its cause, which the log has.
//!
//! `limit=all`, where [`EndpointSettings::exports`] allows it, answers every match of one moment as a stream, a page of it in
//! memory at a time. It has no `x-next-page`. One that cannot be finished is broken off before its end: a client sees
//! an incomplete body (no last chunk, no closing bracket), never a short one that looks whole.
//!
//! # Summaries
//!
//! `GET` [`SUMMARY_PATH`] with the parameters that filter, and `by`, `measure`, `top`, `every` and `fields`
//! ([`Parameter::of_summaries`](crate::wire::Parameter::of_summaries)) answers what the flows that match add up to, as a
//! [`SummaryView`](crate::wire::SummaryView): always JSON. Who may ask, of which flows, what it may cost and how it is
//! refused is as for pages. Where its budget ends it, or the memory for its groups
//! ([`EndpointSettings::group_bytes`]), `complete` is false, and `searchedFrom` and `searchedTo` say which start times it covers.
//! It is exact for these; the same with `eTime` at `searchedFrom` and `eTimeOp=lt` tells of the rest.
//!
//! A client that goes away ends its search: the server drops the future of its request. What is logged, by `tracing`, has no
//! tokens and no queries in it.
//!
//! # The server
//!
//! The module has no server. A host serves the router as its own routes, with `axum::serve` or with `hyper-util`, and gives its
//! connections limits, TLS, an `x-request-id`, and other origins as it does for them. What the router limits by itself
//! are the things that a server cannot: how many pages are worked on, what a page costs, and the memory of answers
//! ([`EndpointSettings`]). [`problem`] and [`not_found`] answer what a host refuses in the form of the endpoint, [`FlowLogs::register`]
//! adds its metrics to those of the host, and [`Watched`] reads a certificate again when its file changes.

mod accept;
mod answer;
mod authorizer;
mod export;
mod gate;
mod gauges;
mod jwt;
mod link;
mod metrics;
pub mod openapi;
mod problem;
mod render;
mod service;
mod settings;
mod shared;
mod summary;
mod watched;

pub use authorizer::{Authorizer, Grant, Loopback, PERMISSION, Refusal};
pub use jwt::{Jwt, KeySource};
pub use problem::problem;
pub use service::{FlowLogs, not_found};
pub use settings::EndpointSettings;
pub use shared::{PATH, SUMMARY_PATH};
pub use watched::Watched;
