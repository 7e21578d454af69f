//! What is looked at of a request before a route has it: its host, and its body.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode, Version,
        header::{CONNECTION, HOST},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use flowseek::http::problem;
use futures::StreamExt;
use tokio::time::timeout;

use super::server::Answering;

/// The longest body of a request, in bytes. No route reads one: it is read so that the connection can go on.
const BODY_BYTES: usize = 64 << 10;

/// Hands a request on once it has come whole, within a time.
pub async fn whole(State(time): State<Duration>, request: Request, next: Next) -> Response {
    let version = request.version();
    match read(request, time).await {
        Ok(request) => {
            if let Some(answering) = request.extensions().get::<Arc<Answering>>() {
                answering.work();
            }
            next.run(request).await
        }
        Err((status, sentence)) => {
            let mut response = problem(status, sentence);
            // What is left of the body is not read; in HTTP/2 that ends no more than the request.
            if version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// A request whose body has come. Nobody wants to have it.
async fn read(request: Request, time: Duration) -> Result<Request, (StatusCode, String)> {
    let (head, body) = request.into_parts();
    if let Some(wrong) = wrong_host(head.version, &head.headers) {
        return Err((StatusCode::BAD_REQUEST, wrong.to_owned()));
    }
    let too_long = || {
        let sentence = format!("the body of the request is too long; allowed: at most {BODY_BYTES} bytes");
        Err((StatusCode::PAYLOAD_TOO_LARGE, sentence))
    };
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return too_long();
    }
    match timeout(time, length(body)).await {
        Ok(Ok(..=BODY_BYTES)) => Ok(Request::from_parts(head, Body::empty())),
        Ok(Ok(_)) => too_long(),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body of the request is not one of HTTP".to_owned())),
        Err(_) => {
            let late = format!("the body of the request has not come within {} seconds", time.as_secs_f64());
            Err((StatusCode::REQUEST_TIMEOUT, late))
        }
    }
}

/// How long a body is, or a little more than it may be.
async fn length(body: Body) -> Result<usize, axum::Error> {
    let mut pieces = body.into_data_stream();
    let mut bytes = 0;
    while bytes <= BODY_BYTES
        && let Some(piece) = pieces.next().await
    {
        bytes += piece?.len();
    }
    Ok(bytes)
}

/// What is wrong with how a request names its host (RFC 9112, section 3.2; in HTTP/2 its URL may name it instead).
fn wrong_host(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version != Version::HTTP_11 => None,
        (None, _) => Some("the request has no field Host, which HTTP/1.1 wants"),
        (Some(_), Some(_)) => Some("the request has the field Host more than once; allowed: once"),
        (Some(host), None) => {
            let is_host = |text: &str| {
                text.is_empty() || text.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'))
            };
            let is_host = host.to_str().is_ok_and(is_host);
            (!is_host).then_some("the field Host of the request is no host; allowed: NAME or NAME:PORT")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_host_once() {
        let is_right = |version, hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| (HOST, host.parse().unwrap()));
            let mut headers = HeaderMap::new();
            headers.extend(hosts);
            wrong_host(version, &headers).is_none()
        };
        for host in ["localhost", "localhost:80", "127.0.0.1:8080", "[::1]:80", "", "a.example."] {
            assert!(is_right(Version::HTTP_11, &[host]) && is_right(Version::HTTP_2, &[host]), "{host}");
        }
        for host in ["a b", "user@localhost", "localhost/path", "[::1"] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert!(!is_right(version, &[host]), "{host}");
            }
        }
        assert!(!is_right(Version::HTTP_11, &[]));
        assert!(is_right(Version::HTTP_10, &[]) && is_right(Version::HTTP_2, &[]));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!is_right(version, &["localhost", "localhost"]) && !is_right(version, &["a", "b"]));
        }
    }
}
