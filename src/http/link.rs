//! The link to the next page.

use axum::http::{HeaderValue, Uri};

use crate::order::Cursor;

/// The value of `Link` that leads on from the page at `uri`: the same query, from the cursor on.
///
/// It names no host: behind a proxy the server does not know by which name it was asked.
pub(super) fn next(uri: &Uri, cursor: &Cursor) -> Option<HeaderValue> {
    let mut target = uri.path().to_owned();
    let mut separator = '?';
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_page(pair));
    for pair in pairs {
        target.push(separator);
        target.push_str(pair);
        separator = '&';
    }
    HeaderValue::from_str(&format!("<{}{separator}page={cursor}>; rel=\"next\"", escaped(&target))).ok()
}

/// Whether this is the parameter that the link gives anew, however its name is escaped.
fn is_page(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let mut letters = name.bytes();
    let mut decoded = Vec::new();
    while let Some(letter) = letters.next() {
        let digits = (letter == b'%').then(|| [letters.next(), letters.next()]);
        decoded.push(match digits {
            None => letter,
            Some([Some(high), Some(low)]) => {
                let hex = [high, low];
                std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(letter)
            }
            Some(_) => letter,
        });
    }
    decoded == b"page"
}

/// What a browser sends as it is and a URL in a header may not hold, escaped.
fn escaped(target: &str) -> String {
    let mut escaped = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_everything_of_the_query_but_its_page() {
        let cursor: Cursor = "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        for (uri, expected) in [
            ("/v2", "/v2?"),
            ("/v2?", "/v2?"),
            ("/v2?page=2", "/v2?"),
            ("/v2?p%61ge=2&&limit=5", "/v2?limit=5&"),
            ("/v2?dstPort=80&page=2&limit=5&pages=3", "/v2?dstPort=80&limit=5&pages=3&"),
            ("http://host:80/v2?srcNode={a}", "/v2?srcNode=%7Ba%7D&"),
        ] {
            let link = next(&uri.parse().unwrap(), &cursor).unwrap();
            assert_eq!(link.to_str().unwrap(), format!("<{expected}page={cursor}>; rel=\"next\""), "{uri}");
        }
    }
}
