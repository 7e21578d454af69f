//! The first head of a connection, read before HTTP takes over.
//!
//! The HTTP library refuses what it cannot read with a status and nothing else. What is refused here has the form of all
//! errors. Where the head of a later request begins only the library knows.

use std::{io, time::Duration};

use axum::{
    body::{Bytes, to_bytes},
    http::{Method, StatusCode, Uri},
};
use flowseek::http::problem;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{activity::Activity, stream::LINGER};

/// The longest head of a request, in bytes.
pub const HEAD_BYTES: usize = 96 << 10;
/// The most fields in the head of a request.
pub const HEAD_FIELDS: usize = 100;
/// The longest URL that the HTTP library reads, in bytes.
const URL_BYTES: usize = 65_534;
/// More than a method and a version have.
const BESIDE_URL: usize = 64;
/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Preface {
    /// With a request or the preface of HTTP/2, and perhaps more.
    Http(Bytes),
    /// With what is no request.
    Refused(Refused),
    /// It ends before it has begun.
    Ended,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NoRequest,
    UrlTooLong,
    HeadTooLong,
}

/// Reads until there is a head.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), activity: &Activity) -> io::Result<Preface> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let before = bytes.len();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Preface::Ended);
        }
        activity.read();
        // A head is parsed when it is complete, not once more for every byte that comes: an empty line ends it.
        let tail = bytes.get(before.saturating_sub(3)..).unwrap_or_default();
        let is_complete = tail.windows(2).any(|two| two == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n");
        let checked = if before == 0 || is_complete { check(&bytes) } else { Ok(false) };
        match checked.and_then(|is_head| if is_head { Ok(true) } else { is_short(&bytes).map(|()| false) }) {
            Ok(true) => return Ok(Preface::Http(bytes.into())),
            Ok(false) => {}
            Err(refused) => return Ok(Preface::Refused(refused)),
        }
    }
}

/// Whether this is a whole head, rather than the beginning of one.
fn check(bytes: &[u8]) -> Result<bool, Refused> {
    if bytes.starts_with(HTTP_2) || HTTP_2.starts_with(bytes) {
        return Ok(bytes.len() >= HTTP_2.len());
    }
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes);
    if request.path.is_some_and(|url| url.len() > URL_BYTES) {
        return Err(Refused::UrlTooLong);
    }
    match parsed {
        Ok(httparse::Status::Partial) => Ok(false),
        Ok(httparse::Status::Complete(HEAD_BYTES..)) => Err(Refused::HeadTooLong),
        Ok(httparse::Status::Complete(_)) => {
            let is_method = request.method.is_some_and(|method| method.parse::<Method>().is_ok());
            let is_url = request.path.is_some_and(|url| url.parse::<Uri>().is_ok());
            if is_method && is_url { Ok(true) } else { Err(Refused::NoRequest) }
        }
        Err(httparse::Error::TooManyHeaders) => Err(Refused::HeadTooLong),
        Err(_) => Err(Refused::NoRequest),
    }
}

/// Whether the beginning of a head may go on.
fn is_short(bytes: &[u8]) -> Result<(), Refused> {
    let first_line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    match bytes.len() {
        _ if first_line > URL_BYTES + BESIDE_URL => Err(Refused::UrlTooLong),
        HEAD_BYTES.. => Err(Refused::HeadTooLong),
        _ => Ok(()),
    }
}

/// Answers what was refused.
pub async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, refused: Refused, time: Duration) {
    let written = async {
        stream.write_all(&refused.answer().await).await?;
        stream.shutdown().await
    };
    if let Ok(Ok(())) = timeout(time, written).await {
        let rest = async { while stream.read(&mut [0; 4096]).await.is_ok_and(|bytes| bytes > 0) {} };
        // What a client sends longer than this it sends in vain.
        let _ = timeout(LINGER, rest).await;
    }
}

impl Refused {
    async fn answer(self) -> Vec<u8> {
        let (status, sentence) = match self {
            Self::NoRequest => (StatusCode::BAD_REQUEST, "the request is not one of HTTP/1.1 or HTTP/2".to_owned()),
            Self::UrlTooLong => {
                (StatusCode::URI_TOO_LONG, format!("the URL is too long; allowed: at most {URL_BYTES} bytes"))
            }
            Self::HeadTooLong => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("the header fields are too long; allowed: at most {HEAD_BYTES} bytes and {HEAD_FIELDS} fields"),
            ),
        };
        let (head, body) = problem(status, sentence).into_parts();
        // It is in memory, and short.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let mut answer =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in &head.headers {
            answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        answer.extend([b"\r\n", body.as_ref()].concat());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of bytes that come in pieces of a length.
    async fn read_in_pieces(bytes: &[u8], length: usize) -> Preface {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let pieces: Vec<Vec<u8>> = bytes.chunks(length).map(<[u8]>::to_vec).collect();
        let writes = tokio::spawn(async move {
            for piece in pieces {
                if client.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let time = Duration::from_secs(1);
        let activity =
            Activity::new(super::super::Connections { most: 1, head_time: time, stall_time: time, grace: time });
        let preface = read(&mut server, &activity).await.unwrap();
        writes.await.unwrap();
        preface
    }

    #[tokio::test]
    async fn a_head_is_told_from_what_is_none_however_it_comes() {
        let of_length = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1));
        let fields = |number: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(number));
        for (text, refused) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), None),
            ("\r\n\nGET / HTTP/1.0\n\n".to_owned(), None),
            ("BREW http://pot/ HTTP/1.1\r\nhost: pot\r\n\r\n".to_owned(), None),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), None),
            ("hello\r\n\r\n".to_owned(), Some(Refused::NoRequest)),
            ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_owned(), Some(Refused::NoRequest)),
            ("GET / HTTP/9.9\r\n\r\n".to_owned(), Some(Refused::NoRequest)),
            ("GET <> HTTP/1.1\r\n\r\n".to_owned(), Some(Refused::NoRequest)),
            ("GET / HTTP/1.1\r\na b: c\r\n\r\n".to_owned(), Some(Refused::NoRequest)),
            (of_length(URL_BYTES), None),
            (of_length(URL_BYTES + 1), Some(Refused::UrlTooLong)),
            (of_length(1_000_000), Some(Refused::UrlTooLong)),
            (fields(HEAD_FIELDS), None),
            (fields(HEAD_FIELDS + 1), Some(Refused::HeadTooLong)),
            (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(HEAD_BYTES)), Some(Refused::HeadTooLong)),
        ] {
            for length in [1, 7, 1 << 20] {
                let length = length.max(text.len() / 1000);
                match read_in_pieces(text.as_bytes(), length).await {
                    Preface::Http(read) => {
                        assert!(refused.is_none() && text.as_bytes().starts_with(&read), "{text:.80}")
                    }
                    told => assert_eq!(told, refused.map_or(Preface::Ended, Preface::Refused), "{text:.80}"),
                }
            }
        }
        assert_eq!(read_in_pieces(b"GET / HTTP/1.1\r\n", 5).await, Preface::Ended);
    }
}
