//! Requests that are refused before they are read to their end.
//!
//! The HTTP library answers them by itself, with a status and nothing else. Its answer is known by that: every other
//! answer of this server has a body.

/// The longest answer that the library gives by itself, in bytes.
const LONGEST: usize = 256;
/// The longest URL that the library reads, in bytes.
const URL_BYTES: usize = 65_534;

/// How much of the next request's first line was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FirstLine {
    bytes: usize,
    ended: bool,
}

impl FirstLine {
    /// More of the request was read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if !self.ended {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.ended = end.is_some();
            self.bytes = self.bytes.saturating_add(end.unwrap_or(bytes.len()));
        }
    }

    /// Whether it is this line that makes a request too long.
    fn is_too_long(self) -> bool {
        !self.ended || self.bytes > URL_BYTES
    }
}

/// The answer to give in place of what the library writes; `None` where that is no refusal.
pub(super) fn replaced(written: &[u8], line: FirstLine) -> Option<Vec<u8>> {
    if written.len() > LONGEST || !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let text = std::str::from_utf8(written).ok()?;
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5))?;
    text.contains("\r\ncontent-length: 0\r\n").then_some(())?;
    let (status, sentence) = match (status, line.is_too_long()) {
        ("414", _) | ("431", true) => ("414 URI Too Long", "the URL is too long; allowed: at most 65534 bytes"),
        ("431", false) => (
            "431 Request Header Fields Too Large",
            "the header fields are too long; allowed: at most 98304 bytes and 100 fields",
        ),
        ("400", _) => ("400 Bad Request", "the request is not one of HTTP/1.1"),
        _ => return None,
    };
    let body = format!("[\"{sentence}\"]");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_the_library_are_replaced() {
        let bare = |status: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let answered = |written: &str, is_long| {
            let mut line = FirstLine::default();
            line.read(if is_long { b"GET /a" } else { b"GET / HTTP/1.1\r\n" });
            let answer = String::from_utf8(replaced(written.as_bytes(), line)?).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())));
            assert!(serde_json::from_str::<Vec<String>>(body).is_ok());
            Some(head.get(9..12).unwrap().to_owned())
        };
        assert_eq!(answered(&bare("414 URI Too Long"), true).as_deref(), Some("414"));
        assert_eq!(answered(&bare("431 Request Header Fields Too Large"), true).as_deref(), Some("414"));
        assert_eq!(answered(&bare("431 Request Header Fields Too Large"), false).as_deref(), Some("431"));
        assert_eq!(answered(&bare("400 Bad Request"), false).as_deref(), Some("400"));
        for other in [bare("200 OK"), bare("404 Not Found"), "HTTP/1.1 400 Bad Request\r\n\r\n[]".to_owned()] {
            assert_eq!(answered(&other, false), None, "{other}");
        }
        assert_eq!(answered(&format!("{}[]", bare("400 Bad Request")), false), None);
    }
}
