//! The endpoint over an archive, as routes.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{self, HeaderValue, Method, Response, StatusCode, header},
    routing::get,
};

use prometheus_client::{
    encoding::prometheus_text::{CONTENT_TYPE, encode},
    registry::Registry,
};
use tower_service::Service;

use super::{
    answer::{self, Asked},
    authorizer::Authorizer,
    gate::Gate,
    gauges::Gauges,
    metrics::Metrics,
    openapi,
    problem::Problem,
    settings::EndpointSettings,
    shared::{Inner, PATH, SUMMARY_PATH, Shared, aside},
};
use crate::{
    archive::Archive,
    error::{Error, ErrorKind},
    ingest::LiveAppender,
    wire::{Exports, Limits},
};

/// The endpoint over an archive: make routes of it, and mount them into a server.
///
/// ```
/// use axum::{Router, http::request::Parts};
/// use flowseek::{Archive, http::{FlowLogs, Grant, PERMISSION}};
///
/// let archive = Archive::open("testdata/archive")?;
/// let logs = FlowLogs::new(archive, |_: &Parts| Ok(Grant::new([PERMISSION]))); // your authorization
/// let app: Router = Router::new().merge(logs.router()).merge(logs.operations());
/// # Ok::<(), flowseek::Error>(())
/// ```
///
/// It answers on the runtime of its server. Clones share their limits and metrics.
#[derive(Debug)]
pub struct FlowLogs<A> {
    pub(super) inner: Arc<Inner<A>>,
}

impl<A> Clone for FlowLogs<A> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<A: Authorizer> FlowLogs<A> {
    /// The endpoint over `archive` for those that `authorizer` lets in, with the default [`EndpointSettings`].
    pub fn new(archive: Archive, authorizer: A) -> Self {
        Self::with_settings(archive, authorizer, EndpointSettings::default())
    }

    /// The endpoint with settings.
    pub fn with_settings(archive: Archive, authorizer: A, settings: EndpointSettings) -> Self {
        Self::over(Some(archive), authorizer, settings)
    }

    /// The endpoint over the archive that each [grant](super::Grant::archive) names, with one set of limits and metrics for all of them.
    /// A grant that names none is a mistake of the host: 500, and the log says so. Archives of one process
    /// best [share](crate::Settings::shared) their memory and files.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use axum::{Router, http::request::Parts};
    /// use flowseek::{Archive, Settings, http::{EndpointSettings, FlowLogs, Grant, PERMISSION, Refusal}};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let settings = Settings::default().shared();
    /// let mut archives = HashMap::new();
    /// for tenant in ["blue", "green"] {
    ///     archives.insert(tenant, Archive::open_or_create_with(directory.path().join(tenant), settings.clone())?);
    /// }
    /// let authorizer = move |request: &Parts| {
    ///     let tenant = request.headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
    ///     let (tenant, archive) = tenant
    ///         .and_then(|tenant| archives.get_key_value(tenant))
    ///         .ok_or(Refusal::unauthorized("x-tenant names no tenant"))?;
    ///     Ok(Grant::new([PERMISSION]).archive(archive.clone()).counted_as(*tenant))
    /// };
    /// let logs = FlowLogs::by_grant(authorizer, EndpointSettings::default());
    /// let app: Router = Router::new().nest_service("/flows", logs.clone()).merge(logs.operations());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by_grant(authorizer: A, settings: EndpointSettings) -> Self {
        Self::over(None, authorizer, settings)
    }

    fn over(archive: Option<Archive>, authorizer: A, settings: EndpointSettings) -> Self {
        let exports = if settings.exports > 0 { Exports::Allowed } else { Exports::Refused };
        let shared = Shared {
            queries: Gate::new(settings.queries, settings.queue, settings.patience),
            answers: Gate::new(settings.answer_bytes >> 10, settings.queue, settings.patience),
            exports: Gate::new(settings.exports, 0, settings.patience),
            metrics: Metrics::new(),
        };
        let limits = Limits { exports, ..settings.limits };
        let stopping = AtomicBool::new(false);
        let shared = Arc::new(shared);
        let appenders = Mutex::default();
        Self { inner: Arc::new(Inner { archive, authorizer, settings, limits, shared, stopping, appenders }) }
    }

    /// The routes of the endpoint, [`PATH`] and [`SUMMARY_PATH`]. It is a service, too, that answers wherever it is mounted.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let answer = |asked| {
            let inner = Arc::clone(&self.inner);
            get(move |request: Request| answer::answer(inner, asked, request.into_parts().0)).fallback(not_allowed)
        };
        Router::new().route(PATH, answer(Asked::Flows)).route(SUMMARY_PATH, answer(Asked::Summary))
    }

    /// Routes for those who run the server. Nobody is asked for a credential here.
    ///
    /// - `/healthz`: 200 while the process answers.
    /// - `/readyz`: 200 while the archive can be read, where it has one, and 503 where it cannot, what is [appended](Self::appending) cannot be
    ///   committed, or the server is about to stop.
    /// - `/metrics`: counters and times as Prometheus reads them.
    pub fn operations<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let ready = Arc::clone(&self.inner);
        let mut registry = Registry::default();
        self.register(&mut registry);
        let registry = Arc::new(registry);
        Router::new()
            .route("/healthz", get(async || text("application/json", "{\"status\":\"ok\"}")).fallback(not_allowed))
            .route("/readyz", get(move || ready.ready()).fallback(not_allowed))
            .route("/metrics", get(move || metrics(registry)).fallback(not_allowed))
    }

    /// Has a registry of your own write the metrics of the endpoint, under names that begin with `flowseek_`. Once is
    /// enough for all clones. To write them reads the newest manifest of the archive, and so waits for the file system.
    ///
    /// ```
    /// use flowseek::{Archive, http::{FlowLogs, Loopback}};
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    ///
    /// let logs = FlowLogs::new(Archive::open("testdata/archive")?, Loopback);
    /// let mut registry = Registry::default();
    /// logs.register(&mut registry);
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// assert!(text.contains("flowseek_pages_total 0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("flowseek");
        self.inner.shared.metrics.register(registry);
        registry.register_collector(Box::new(Gauges(Arc::clone(&self.inner))));
    }

    /// The route of the endpoint's OpenAPI document, `/openapi.json`, with the limits in force.
    pub fn document<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let document = openapi::text(&openapi::document(&self.inner.limits));
        let answer = get(async move || text("application/json", document)).fallback(not_allowed);
        Router::new().route("/openapi.json", answer)
    }

    /// From now on `/readyz` and `/metrics` tell of an appender, too: how much waits to be committed, for how long, and whether
    /// commits fail. Of several they tell the sum, and the longest time. They keep it no longer than others do.
    ///
    /// ```
    /// use flowseek::{Archive, LiveOptions, http::{FlowLogs, Loopback}};
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let appender = archive.live_appender(LiveOptions::default())?;
    /// let logs = FlowLogs::new(archive, Loopback);
    /// logs.appending(&appender);
    /// let mut registry = Registry::default();
    /// logs.register(&mut registry);
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// assert!(text.contains("flowseek_appender_uncommitted_flows 0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn appending(&self, appender: &LiveAppender) {
        self.inner.appenders.lock().unwrap_or_else(PoisonError::into_inner).push(appender.downgrade());
    }

    /// From now on `/readyz` says that the server is about to stop, so that no new clients are sent to it.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }
}

/// Answers at whatever path it is mounted: what is asked for ends in `/summary`, or is a page. Where a host nests it, the host decides
/// which paths lead here.
///
/// ```
/// use axum::{Router, http::request::Parts};
/// use flowseek::{Archive, http::{FlowLogs, Grant, PERMISSION}};
///
/// let logs = FlowLogs::new(Archive::open("testdata/archive")?, |_: &Parts| Ok(Grant::new([PERMISSION])));
/// let app: Router = Router::new()
///     .route_service("/tenants/{tenant}/flows", logs.clone())
///     .route_service("/tenants/{tenant}/flows/summary", logs);
/// # Ok::<(), flowseek::Error>(())
/// ```
impl<A: Authorizer, B: Send + 'static> Service<http::Request<B>> for FlowLogs<A> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// It always is ready: who has to wait, waits for the answer.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            if parts.method != Method::GET && parts.method != Method::HEAD {
                return Ok(not_allowed().await);
            }
            let is_summary = parts.uri.path().trim_end_matches('/').ends_with("/summary");
            let asked = if is_summary { Asked::Summary } else { Asked::Flows };
            Ok(answer::answer(inner, asked, parts).await)
        })
    }
}

impl<A: Authorizer> Inner<A> {
    async fn ready(self: Arc<Self>) -> Response<Body> {
        if self.stopping.load(Ordering::Relaxed) {
            return Problem::busy("the server is about to stop").into_response();
        }
        if let Some(failure) = self.appending().into_iter().find_map(|status| status.commit_failure) {
            tracing::error!(error = %failure, "what is appended cannot be committed");
            return Problem::busy("what is appended cannot be committed; the server's log has the cause")
                .into_response();
        }
        // Opened anew: what is open already would not miss its directory.
        let path = self.archive.as_ref().map(|archive| archive.path().to_owned());
        match aside(move || path.map(Archive::open).transpose()).await {
            Ok(_) => text("application/json", "{\"status\":\"ready\"}"),
            Err(error) => {
                tracing::error!(%error, "the archive cannot be read");
                Problem::busy("the archive cannot be read; the server's log has the cause").into_response()
            }
        }
    }
}

async fn metrics(registry: Arc<Registry>) -> Response<Body> {
    let written = aside(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map_err(Error::with(ErrorKind::Internal, "the metrics cannot be written"))?;
        Ok(text)
    });
    match written.await {
        Ok(written) => text(CONTENT_TYPE, written),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// What is answered on every path that leads nowhere: 404, as all errors are.
///
/// ```
/// let app: axum::Router = axum::Router::new().fallback(flowseek::http::not_found);
/// ```
pub async fn not_found() -> Response<Body> {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing here; the flow logs are at {PATH}")).into_response()
}

async fn not_allowed() -> Response<Body> {
    Problem::not_allowed().into_response()
}

fn text(media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
