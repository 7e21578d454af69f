//! What is looked at of a request before a route has it: its host, and a body that is short.

use std::{future::poll_fn, mem::take, pin::Pin, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, Request, StatusCode, Version, header::HOST, uri::Authority},
};
use futures::{StreamExt, stream};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::http::problem::Problem;

/// The longest body that is read before its request is answered, in bytes.
const BODY_BYTES: usize = 64 << 10;

/// What is left of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All of it was read.
    Read,
    /// A route may read on; else the client sends what nobody reads.
    Unread,
}

/// A request with its body, where that is short and comes within a time.
///
/// # Errors
/// What the client is told instead of an answer of a route.
pub(super) async fn read(request: Request<Incoming>, time: Duration) -> Result<(Request<Body>, Rest), Problem> {
    let (head, mut body) = request.into_parts();
    if let Some(wrong) = wrong_host(head.version, &head.headers) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, wrong));
    }
    if body.is_end_stream() {
        return Ok((Request::from_parts(head, Body::empty()), Rest::Read));
    }
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Ok((Request::from_parts(head, Body::new(body)), Rest::Unread));
    }
    let (begin, rest) = match timeout(time, beginning(&mut body)).await {
        Ok(begun) => begun?,
        Err(_) => {
            let late = format!("the body of the request has not come within {} seconds", time.as_secs_f64());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, late));
        }
    };
    let begin = stream::iter(begin.into_iter().map(Ok::<_, axum::Error>));
    let body = match rest {
        Rest::Read => Body::from_stream(begin),
        Rest::Unread => Body::from_stream(begin.chain(Body::new(body).into_data_stream())),
    };
    Ok((Request::from_parts(head, body), rest))
}

/// The first pieces of a body: all of them, or a little more than [`BODY_BYTES`].
async fn beginning(body: &mut Incoming) -> Result<(Vec<Bytes>, Rest), Problem> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    while bytes <= BODY_BYTES {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok((take(&mut pieces), Rest::Read)),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    bytes += piece.len();
                    pieces.push(piece);
                }
            }
            Some(Err(_)) => {
                return Err(Problem::new(StatusCode::BAD_REQUEST, "the body of the request is not one of HTTP/1.1"));
            }
        }
    }
    Ok((pieces, Rest::Unread))
}

/// What is wrong with how a request names its host (RFC 9112, section 3.2).
fn wrong_host(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => None,
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
            assert!(is_right(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["a b", "user@localhost", "localhost/path", "[::1"] {
            assert!(!is_right(Version::HTTP_11, &[host]), "{host}");
            assert!(!is_right(Version::HTTP_10, &[host]), "{host}");
        }
        assert!(!is_right(Version::HTTP_11, &[]) && is_right(Version::HTTP_10, &[]));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert!(!is_right(version, &["localhost", "localhost"]) && !is_right(version, &["a", "b"]));
        }
    }
}
