//! Answers that are errors: JSON arrays of sentences.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};

use super::authorizer::{PERMISSION, Refusal};
use crate::{
    error::{Error, ErrorKind},
    wire::problem_list,
};

/// How soon a client may ask again that was sent away, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An answer with a status and sentences that say why.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    sentences: Vec<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentences: vec![sentence.into()], header: None }
    }

    /// 503: not now.
    pub(super) fn busy(sentence: impl Into<String>) -> Self {
        let header = Some((header::RETRY_AFTER, RETRY_AFTER));
        Self { header, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence) }
    }

    /// 403, for want of the permission; and why that may be, where it is known.
    pub(super) fn not_permitted(hint: Option<String>) -> Self {
        let challenge = format!("Bearer realm=\"flow-logs\", error=\"insufficient_scope\", scope=\"{PERMISSION}\"");
        let header = HeaderValue::from_str(&challenge).ok().map(|value| (header::WWW_AUTHENTICATE, value));
        let sentences = std::iter::once(format!("the permission {PERMISSION} is needed")).chain(hint).collect();
        Self { status: StatusCode::FORBIDDEN, sentences, header }
    }

    /// 500, of which the log knows more than the client.
    pub(super) fn internal() -> Self {
        let sentence = "the flows cannot be read because of an error in the server, whose log has the cause";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    }

    /// 405 on a path that can only be read.
    pub(super) fn not_allowed() -> Self {
        let header = Some((header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "allowed: GET, HEAD") }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        // A sentence is text, which always is JSON.
        let body = serde_json::to_vec(&self.sentences).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}

/// An error in the form of all errors of the endpoint, for what a server refuses before a route has it: a JSON array of one
/// sentence.
///
/// ```
/// use axum::http::StatusCode;
/// use flowseek::http::problem;
///
/// let response = problem(StatusCode::PAYLOAD_TOO_LARGE, "the body has 2 MB; allowed: at most 64 KiB");
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
pub fn problem(status: StatusCode, sentence: impl Into<String>) -> Response<Body> {
    Problem::new(status, sentence).into_response()
}

/// As the endpoint answers it: a wrong query, cursor or flow with 422 and everything that is wrong, what may pass by itself with
/// 503, and everything else with 500 and nothing that only the log should tell.
///
/// ```
/// use axum::{http::StatusCode, response::IntoResponse};
/// use flowseek::wire::Request;
///
/// let response = Request::parse("dstPrt=443").unwrap_err().into_response();
/// assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
/// ```
impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        Problem::from(self).into_response()
    }
}

/// As the endpoint answers it: 401, 403 or 503, with the reason.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        Problem::from(self).into_response()
    }
}

impl From<Error> for Problem {
    /// A wrong query is told as it is; of everything else only the log is told.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidQuery | ErrorKind::InvalidCursor => {
                Self { status: StatusCode::UNPROCESSABLE_ENTITY, sentences: problem_list(&error), header: None }
            }
            ErrorKind::InvalidInput => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            ErrorKind::Closed | ErrorKind::Locked => {
                tracing::warn!(%error, "flows could not be appended for now");
                Self::busy("the server takes no flows at the moment; send them again in a while")
            }
            ErrorKind::Busy if !error.problems().is_empty() => {
                Self { sentences: problem_list(&error), ..Self::busy(String::new()) }
            }
            ErrorKind::Busy => {
                tracing::warn!(%error, "a page could not be answered for now");
                Self::busy("the server is short of resources; ask again in a while")
            }
            _ => {
                tracing::error!(%error, "a page could not be answered");
                Self::internal()
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized { challenge, reason } => {
                let challenge = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"));
                let header = Some((header::WWW_AUTHENTICATE, challenge));
                Self { header, ..Self::new(StatusCode::UNAUTHORIZED, reason) }
            }
            Refusal::Forbidden(reason) => Self::new(StatusCode::FORBIDDEN, reason),
            Refusal::Unavailable(reason) => Self::busy(reason),
        }
    }
}
