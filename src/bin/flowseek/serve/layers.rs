//! What is around all routes: an ID for every request, other origins, and what a request must have.
//!
//! The endpoint itself limits how long a request takes, how many are worked on and what their answers take of memory, catches
//! panics and compresses: it knows what a page costs, and a host that mounts it has all that too.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, Uri,
        header::{ACCEPT, AUTHORIZATION, LINK, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
};
use tracing::{Instrument, info_span};

use super::requests;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest ID that a request may bring with it, in bytes.
const REQUEST_ID_BYTES: usize = 128;
/// How long a browser need not ask again whether an origin is allowed.
const PREFLIGHT_TIME: Duration = Duration::from_secs(3600);

/// Routes with all that is around them. `time` is how long the body of a request may take.
pub fn around(routes: Router, origins: &[HeaderValue], time: Duration) -> Router {
    // The last layer is the outermost: what is refused has an ID and can be read by other origins as well.
    let routes = routes.layer(from_fn_with_state(time, requests::whole));
    let routes = if origins.is_empty() { routes } else { routes.layer(cors(origins)) };
    routes
        .layer(from_fn(log))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(from_fn(choose_id))
}

/// What pages of other origins may do: ask with a token, and read everything of the answer that a client needs.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([ACCEPT, AUTHORIZATION, REQUEST_ID])
        .expose_headers([
            LINK,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            REQUEST_ID,
            HeaderName::from_static("x-cursor"),
            HeaderName::from_static("x-next-page"),
            HeaderName::from_static("x-total-count"),
        ])
        .max_age(PREFLIGHT_TIME)
}

/// Lets a request keep its ID where the log can hold that; else it is given another.
async fn choose_id(mut request: Request, next: Next) -> Response {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let mut ids = request.headers().get_all(REQUEST_ID).iter();
    let is_good = |id: &HeaderValue| (1..=REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
    let is_one = ids.next().is_some_and(is_good) && ids.next().is_none();
    if !is_one {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Has what is logged of a request name its ID.
async fn log(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let span = info_span!("request", id = id.unwrap_or_default());
    next.run(request).instrument(span).await
}

/// Reads an origin as browsers write it.
pub fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || {
        let allowed = "SCHEME://HOST or SCHEME://HOST:PORT, such as https://flows.example";
        format!("an origin is {allowed}; no path, no `*`")
    };
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(wrong()) };
    if !text.ends_with(authority.as_str()) || authority.as_str().contains(['@', '*']) {
        return Err(wrong());
    }
    // Browsers leave out the port that a scheme has by itself.
    let usual = matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    let host = if usual { authority.host() } else { authority.as_str() };
    HeaderValue::try_from(format!("{scheme}://{host}").to_ascii_lowercase()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, expected) in [
            ("https://flows.example", "https://flows.example"),
            ("HTTPS://Flows.Example:443", "https://flows.example"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("moz-extension://abc", "moz-extension://abc"),
        ] {
            assert_eq!(origin(text).unwrap(), expected, "{text}");
        }
        for text in [
            "*",
            "",
            "flows.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://*.a",
            "https://u@a",
            "null",
        ] {
            let error = origin(text).unwrap_err();
            assert!(error.contains("SCHEME://HOST"), "{text}: {error}");
        }
    }
}
