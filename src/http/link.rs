//! The link to the next page.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::order::Cursor;

/// The longest value of `Link`, in bytes. HTTP libraries refuse an answer whose head is long, the rest of it and all.
const MOST_BYTES: usize = 2048;

/// What a browser sends as it is and a URL in a header may not hold: it is escaped.
const UNSENDABLE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'<').add(b'>').add(b'"').add(b'{').add(b'}').add(b'|').add(b'\\').add(b'^').add(b'`');

/// The value of `Link` that leads on from the page with this query: the same query, from the cursor on. `None` where it
/// would be long; the cursor is in another header as well.
///
/// It is a reference of the query alone, as in `<?dstPort=443&page=...>`. Behind a proxy the server knows neither by
/// which name nor under which path it was asked.
pub(super) fn next(query: &str, cursor: &Cursor) -> Option<HeaderValue> {
    let mut target = String::from("?");
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !is_page(pair)) {
        target.push_str(pair);
        target.push('&');
    }
    let link = format!("<{}page={cursor}>; rel=\"next\"", utf8_percent_encode(&target, UNSENDABLE));
    HeaderValue::from_str(&link).ok().filter(|link| link.len() <= MOST_BYTES)
}

/// Whether this is the parameter that the link gives anew, however its name is escaped.
fn is_page(pair: &str) -> bool {
    let name = percent_decode_str(pair.split('=').next().unwrap_or_default());
    ["page", "cursor"].iter().any(|page| name.clone().eq(page.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        format!("Ag{}", "A".repeat(60)).parse().unwrap()
    }

    #[test]
    fn a_link_has_everything_of_the_query_but_its_page() {
        let cursor = cursor();
        for (query, expected) in [
            ("", "?"),
            ("page=2", "?"),
            ("p%61ge=2&&limit=5", "?limit=5&"),
            ("cursor=2&limit=5&cursors=3", "?limit=5&cursors=3&"),
            ("dstPort=80&page=2&limit=5&pages=3", "?dstPort=80&limit=5&pages=3&"),
            ("srcNode={a}", "?srcNode=%7Ba%7D&"),
        ] {
            let link = next(query, &cursor).unwrap();
            assert_eq!(link.to_str().unwrap(), format!("<{expected}page={cursor}>; rel=\"next\""), "{query}");
        }
    }

    #[test]
    fn a_long_link_is_left_out() {
        let cursor = cursor();
        let around = next("srcNode=", &cursor).unwrap().len();
        let link = |letters: usize, letter: &str| next(&format!("srcNode={}", letter.repeat(letters)), &cursor);
        assert_eq!(link(2048 - around, "a").unwrap().len(), 2048);
        assert_eq!(link(2049 - around, "a"), None);
        // What counts is its length once it is escaped.
        assert_eq!(link((2049 - around).div_ceil(3), "|"), None);
    }
}
