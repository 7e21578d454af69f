//! One request to its answer.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts},
};
use futures::FutureExt;
use tokio::time::timeout;
use tracing::{Instrument, Span, field::Empty};

use super::{
    accept::{Coding, Form},
    authorizer::{Authorizer, Grant, PERMISSION},
    export::Export,
    gate::{Gate, Pass},
    link,
    metrics::Metrics,
    problem::Problem,
    render::Renderer,
    shared::{Inner, aside},
};
use crate::{
    archive::{Archive, Snapshot},
    error::{Error, ErrorKind, Result},
    query::{Explain, Page, Query},
    wire::{MAX_QUERY_BYTES, Profile, Request as FlowRequest, Wanted},
};

/// Rows that are written on the spot; more would keep other requests of the thread waiting.
const ROWS_ON_THE_SPOT: usize = 2000;

pub(super) const NEXT_PAGE: HeaderName = HeaderName::from_static("x-next-page");
pub(super) const CURSOR: HeaderName = HeaderName::from_static("x-cursor");
pub(super) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Pages of flows.
    Flows,
    /// What flows add up to.
    Summary,
}

/// Answers a request, whatever happens.
pub(super) async fn answer<A: Authorizer>(inner: Arc<Inner<A>>, asked: Asked, parts: Parts) -> Response<Body> {
    let answered = async move {
        let shared = Arc::clone(&inner.shared);
        let label = String::new();
        let mut watch = Watch { metrics: &shared.metrics, begun: Instant::now(), label, done: false };
        // Some damaged files make the Parquet reader panic; that must be the end of no more than this request.
        let answered = AssertUnwindSafe(inner.try_answer(asked, &parts, &mut watch.label)).catch_unwind().await;
        let answered = answered.unwrap_or_else(|_| {
            tracing::error!("a request ended in a panic");
            Err(Problem::internal())
        });
        let response = answered.unwrap_or_else(Problem::into_response);
        watch.done(response.status());
        response
    };
    answered.instrument(span()).await
}

/// What the log knows of a request: who asked, and what it cost. Not what was asked, nor by which credential: a client
/// may put its secrets anywhere.
fn span() -> Span {
    tracing::info_span!(
        "flow_logs",
        subject = Empty,
        segments = Empty,
        segments_opened = Empty,
        blocks_read = Empty,
        rows_scanned = Empty,
        rows_returned = Empty,
        bytes_read = Empty,
        bytes_cached = Empty,
        budget_spent = Empty,
        search_micros = Empty,
        fetch_micros = Empty,
        count_micros = Empty,
    )
}

/// Notes in the log what a page or a summary has cost.
pub(super) fn note(explain: &Explain) {
    let span = Span::current();
    for (name, number) in [
        ("segments", explain.segments),
        ("segments_opened", explain.segments_opened),
        ("blocks_read", explain.blocks_read),
        ("rows_scanned", explain.rows_scanned),
        ("rows_returned", explain.rows_returned),
        ("bytes_read", explain.bytes_read),
        ("bytes_cached", explain.bytes_cached),
        ("search_micros", micros(explain.search_time)),
        ("fetch_micros", micros(explain.fetch_time)),
        ("count_micros", micros(explain.count_time)),
    ] {
        span.record(name, number);
    }
    span.record("budget_spent", explain.budget_spent);
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Counts a request however it ends; a client that went away ends it by dropping the future.
struct Watch<'a> {
    metrics: &'a Metrics,
    begun: Instant,
    /// That of the grant, once there is one.
    label: String,
    done: bool,
}

impl Watch<'_> {
    fn done(&mut self, status: StatusCode) {
        self.done = true;
        let time = self.begun.elapsed();
        self.metrics.answered(status, time, &self.label);
        tracing::info!(status = status.as_u16(), micros = micros(time), "answered");
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.metrics.left(&self.label);
            tracing::info!("the client went away");
        }
    }
}

impl<A: Authorizer> Inner<A> {
    async fn try_answer(&self, asked: Asked, parts: &Parts, label: &mut String) -> Result<Response<Body>, Problem> {
        let grant = self.authorizer.authorize(parts).await?;
        grant.label().clone_into(label);
        if !grant.permits(PERMISSION) {
            return Err(Problem::not_permitted(grant.hint));
        }
        if let Some(subject) = &grant.subject {
            Span::current().record("subject", subject.as_str());
        }
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY_BYTES {
            let sentence = format!("the query has {} bytes; allowed: at most {MAX_QUERY_BYTES}", query.len());
            return Err(Problem::new(StatusCode::URI_TOO_LONG, sentence));
        }
        if asked == Asked::Summary {
            return self.summary(parts, query, &grant).await;
        }
        let request = FlowRequest::parse_with(query, &self.limits)?;
        match request.wanted {
            Wanted::Page => self.page(parts, &request, &grant).await,
            Wanted::All => self.export(parts, &request, &grant).await,
        }
    }

    async fn page(&self, parts: &Parts, request: &FlowRequest, grant: &Grant) -> Result<Response<Body>, Problem> {
        let shared = &self.shared;
        let archive = self.archive_of(grant)?;
        let turn = enter(&shared.queries, 1).await?;
        let (form, coding) = (Form::accepted(&parts.headers), Coding::accepted(&parts.headers));
        let view = self.settings.view().with(request.fields.clone());
        let work = async {
            let (_, page) = self.first_page(request, archive, grant).await?;
            let render = move || -> Result<_> {
                let mut renderer = Renderer::new(form, coding, view)?;
                let mut body = renderer.page(&page)?;
                body.extend(renderer.finish()?);
                Ok((body, page))
            };
            if request.limit <= ROWS_ON_THE_SPOT { render() } else { aside(render).await }
        };
        let (body, page) = timed(self, work).await?;
        drop(turn);
        let mut response = self.held(body).await?;
        self.head(&mut response, form, coding);
        let headers = response.headers_mut();
        if let Some(next) = &page.next {
            let cursor = HeaderValue::from_str(&next.to_string()).ok();
            if self.settings.profile == Profile::Current {
                insert(headers, CURSOR, cursor.clone());
            }
            insert(headers, NEXT_PAGE, cursor);
            insert(headers, header::LINK, link::next(parts.uri.query().unwrap_or_default(), next));
        }
        insert(headers, TOTAL_COUNT, page.total.map(HeaderValue::from));
        Ok(response)
    }

    async fn export(&self, parts: &Parts, request: &FlowRequest, grant: &Grant) -> Result<Response<Body>, Problem> {
        let shared = &self.shared;
        let archive = self.archive_of(grant)?;
        let pass = shared.exports.enter(1).await;
        let pass = pass.map_err(|_| Problem::busy("too many exports are running; ask again in a while"))?;
        let (form, coding) = (Form::accepted(&parts.headers), Coding::accepted(&parts.headers));
        // Its first page is there before its head, so that what can be told by a status is.
        let (query, page) = timed(self, self.first_page(request, archive, grant)).await?;
        let total = page.total;
        let renderer = Renderer::new(form, coding, self.settings.view().with(request.fields.clone()))?;
        let time = (self.settings.export_time, Arc::clone(&archive.settings().clock));
        let counted = (Arc::clone(shared), grant.label().to_owned());
        let export = Export::new(query, page, renderer, pass, counted, time);
        let mut response = Response::new(Body::from_stream(export.stream()));
        self.head(&mut response, form, coding);
        insert(response.headers_mut(), TOTAL_COUNT, total.map(HeaderValue::from));
        Ok(response)
    }

    /// The first page of a request, and its query to go on with.
    async fn first_page(&self, request: &FlowRequest, archive: &Archive, grant: &Grant) -> Result<(Query, Page)> {
        let newest = snapshot(archive).await?;
        let version = newest.manifest().version;
        let mut query = grant.query(request, &newest).budget(self.settings.budget);
        let mut page = query.page().await;
        if page.as_ref().is_err_and(is_of_files) {
            // A file that was retired while it was searched for is not in the newest version.
            let newest = snapshot(archive).await?;
            if newest.manifest().version != version {
                query = grant.query(request, &newest).budget(self.settings.budget);
                page = query.page().await;
            }
        }
        let page = page?;
        self.shared.metrics.paid(&page.explain, grant.label());
        note(&page.explain);
        Ok((query, page))
    }

    /// The archive of which a grant is.
    pub(super) fn archive_of<'a>(&'a self, grant: &'a Grant) -> Result<&'a Archive, Problem> {
        let archive = grant.archive.as_ref().or(self.archive.as_ref());
        archive.ok_or_else(|| {
            tracing::error!("a grant names no archive, and the endpoint has none of its own");
            Problem::internal()
        })
    }

    /// An answer of these bytes, as soon as there is memory for them.
    pub(super) async fn held(&self, body: Vec<u8>) -> Result<Response<Body>, Problem> {
        let held = enter(&self.shared.answers, body.len().div_ceil(1024)).await?;
        Ok(Response::new(Body::from(Bytes::from_owner(Held { body, _held: held }))))
    }

    pub(super) fn head(&self, response: &mut Response<Body>, form: Form, coding: Coding) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, authorization"));
        insert(headers, header::CONTENT_ENCODING, coding.name().map(HeaderValue::from_static));
    }
}

/// An archive as it is now. Finding out waits for the file system.
pub(super) async fn snapshot(archive: &Archive) -> Result<Snapshot> {
    let archive = archive.clone();
    aside(move || archive.snapshot()).await
}

fn insert(headers: &mut axum::http::HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// The bytes of an answer, which are counted until the last of them has left.
struct Held {
    body: Vec<u8>,
    _held: Pass,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

pub(super) fn is_of_files(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::NotFound | ErrorKind::Damaged)
}

pub(super) async fn enter(gate: &Gate, places: usize) -> Result<Pass, Problem> {
    gate.enter(places).await.map_err(|_| Problem::busy("too many requests are waiting; ask again in a while"))
}

/// The end of `work`, or 503 where its time has run out.
pub(super) async fn timed<A, T>(inner: &Inner<A>, work: impl Future<Output = Result<T>>) -> Result<T, Problem> {
    let time = inner.settings.budget.time.saturating_add(inner.settings.overtime);
    match timeout(time, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Problem::busy("the time for this request has run out; narrow the filter")),
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use futures::StreamExt;

    use super::*;
    use crate::{
        archive::{Archive, Settings as ArchiveSettings},
        generate::Generator,
        http::{EndpointSettings, FlowLogs, Refusal},
        query::Budget,
        segment::SegmentOptions,
        wire::Limits,
    };

    fn logs(settings: EndpointSettings) -> FlowLogs<impl Authorizer> {
        let open = |_: &Parts| -> Result<Grant, Refusal> { Ok(Grant::new([PERMISSION])) };
        FlowLogs::with_settings(Archive::open("testdata/archive").unwrap(), open, settings)
    }

    async fn ask<A: Authorizer>(logs: &FlowLogs<A>, query: &str) -> Response<Body> {
        let request = Request::get(format!("/v2/audit/flow-logs?{query}")).body(Body::empty()).unwrap();
        answer(Arc::clone(&logs.inner), Asked::Flows, request.into_parts().0).await
    }

    async fn assert_busy<A: Authorizer>(logs: &FlowLogs<A>, query: &str) {
        let response = ask(logs, query).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{query}");
        assert_eq!(response.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from_static("1")));
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&body).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn pages_are_limited_in_number_and_who_finds_no_place_is_told_to_come_again() {
        for queue in [0, 1] {
            let logs = logs(EndpointSettings {
                queries: 2,
                queue,
                patience: Duration::from_millis(1),
                ..EndpointSettings::default()
            });
            let queries = &logs.inner.shared.queries;
            let others = (queries.enter(1).await.unwrap(), queries.enter(1).await.unwrap());
            // With a queue it is patience that ends, and it leaves no trace.
            for _ in 0..3 {
                assert_busy(&logs, "limit=1").await;
            }
            drop(others.0);
            assert_eq!(ask(&logs, "limit=1").await.status(), StatusCode::OK);
            assert_eq!((queries.taken(), queries.waiting()), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_page_keeps_its_place_until_it_is_made_and_no_longer() {
        let (mut has_held, mut has_left) = (false, false);
        // A page whose reads are done at once is not seen to hold its place: then it is asked for once more, with empty caches.
        for _ in 0..1000 {
            let logs = logs(EndpointSettings { queries: 1, ..EndpointSettings::default() });
            let queries = &logs.inner.shared.queries;
            // A client that goes away in the midst gives its place up.
            let mut page = Box::pin(ask(&logs, "sort=destBytes:desc&limit=10"));
            while queries.taken() == 0 && futures::FutureExt::now_or_never(&mut page).is_none() {
                tokio::task::yield_now().await;
            }
            has_left |= queries.taken() == 1;
            drop(page);
            assert_eq!(queries.taken(), 0);
            let mut page = Box::pin(ask(&logs, "sort=destBytes:desc&limit=10"));
            while futures::FutureExt::now_or_never(&mut page).is_none() {
                has_held |= queries.taken() == 1;
                tokio::task::yield_now().await;
            }
            assert_eq!(queries.taken(), 0);
            if has_held && has_left {
                return;
            }
        }
        panic!("no page was seen to hold its place");
    }

    #[tokio::test]
    async fn an_export_reads_a_page_when_its_client_takes_one_and_no_more_of_it_than_its_budget() {
        let directory = tempfile::tempdir().unwrap();
        let segment = SegmentOptions { block_rows: 16, row_group_blocks: 4 };
        let archive = Archive::open_or_create_with(directory.path(), ArchiveSettings::default().segment(segment));
        let mut appender = archive.as_ref().unwrap().appender().unwrap();
        Generator::new(7).flows(3000).for_each(|flow| appender.push(&flow).unwrap());
        let _ = appender.commit().unwrap();
        let budget = Budget { rows: 100, ..Budget::default() };
        let limits = Limits::default().largest_rows(300);
        let settings = EndpointSettings { exports: 1, budget, limits, ..EndpointSettings::default() };
        let open = |_: &Parts| -> Result<Grant, Refusal> { Ok(Grant::new([PERMISSION])) };
        let logs = FlowLogs::with_settings(archive.unwrap(), open, settings);
        for sort in ["", "&sort=destBytes:desc"] {
            let mut before = logs.inner.shared.metrics.rows();
            let all = before.1 + 3000;
            let mut body = ask(&logs, &format!("limit=all{sort}")).await.into_body().into_data_stream();
            loop {
                let now = logs.inner.shared.metrics.rows();
                // A budget, and a round of blocks.
                assert!(now.0 - before.0 <= 100 + 64 * 16 && now.1 - before.1 <= 300, "{before:?} {now:?}");
                before = now;
                if body.next().await.transpose().unwrap().is_none() {
                    break;
                }
            }
            assert_eq!(before.1, all);
        }
    }

    #[tokio::test]
    async fn answers_are_counted_until_they_are_read() {
        let settings = EndpointSettings { answer_bytes: 100 << 10, queue: 0, ..EndpointSettings::default() };
        let logs = logs(settings);
        let answers = &logs.inner.shared.answers;
        let unread = ask(&logs, "limit=100").await;
        let bytes = axum::body::HttpBody::size_hint(unread.body()).lower() as usize;
        assert_eq!(answers.taken(), bytes.div_ceil(1024));
        // One that is larger than all that may be held is answered alone.
        assert_busy(&logs, "limit=2000").await;
        drop(unread);
        assert_eq!(answers.taken(), 0);
        let alone = ask(&logs, "limit=2000").await;
        assert_eq!((alone.status(), answers.taken()), (StatusCode::OK, 100));
        assert_busy(&logs, "limit=1").await;
        let body = axum::body::to_bytes(alone.into_body(), usize::MAX).await.unwrap();
        assert!(body.len() > 100 << 10);
        drop(body);
        assert_eq!(ask(&logs, "limit=1").await.status(), StatusCode::OK);
    }
}
