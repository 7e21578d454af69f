//! `flowseek serve`, run as people run it.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::Request;
use flowseek::http::PERMISSION;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

use super::{
    Answer, PATIENCE, archive_of, get, golden_archive,
    jwt::{SECRET, key, now, set, testdata},
    many,
};
use crate::{folder::Folder, support::append};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/archive");

/// The program, serving; it is killed where this is dropped.
struct Serving {
    child: Child,
    said: BufReader<ChildStderr>,
    /// What it said before it listened.
    said_before: String,
    /// What it listens on, and where the operations are where that was asked for.
    url: String,
    operations: Option<String>,
}

fn command(arguments: &[&str]) -> Command {
    command_over(ARCHIVE, arguments)
}

fn command_over(archive: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
    command.args(["serve", archive]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        Self::over(ARCHIVE, arguments)
    }

    fn over(archive: &str, arguments: &[&str]) -> Self {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = command_over(archive, &arguments).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self { child, said, said_before: String::new(), url: String::new(), operations: None };
        while serving.url.is_empty() {
            let mut line = String::new();
            assert!(serving.said.read_line(&mut line).unwrap() > 0, "it ended early");
            match line.trim_end().split_once(" on ") {
                Some(("operations", url)) => serving.operations = Some(url.to_owned()),
                Some(("listening", url)) => serving.url = url.to_owned(),
                _ => serving.said_before += &line,
            }
        }
        serving
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(&format!("{}{path}", self.url), headers)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A request that has begun: the server waits for its body.
    fn begin(&self, query: &str) -> TcpStream {
        let mut stream = self.connect();
        let head = "HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
        write!(stream, "GET /v2/audit/flow-logs?{query} {head}").unwrap();
        let mut told = [0; 25];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Its exit status and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_the_archive_until_it_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let serving = Serving::start(&["--no-auth"]);
        assert!(serving.url.starts_with("http://127.0.0.1:") && !serving.url.ends_with(":0"));
        let answer = serving.get("/v2/audit/flow-logs?dstPort=443&reverse=true&limit=5", &[]);
        assert_eq!(answer.flows().len(), 5);
        assert!(answer.header("x-next-page").is_some());
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
            assert_eq!(serving.get(path, &[]).status, 200, "{path}");
        }
        serving.get("/", &[]).problems(404);
        serving.signal(signal);
        assert_eq!(serving.end(), (Some(0), String::new()));
    }
}

/// What comes until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_stop_lets_begun_requests_end_and_a_second_one_does_not() {
    for (signals, status) in [(1, Some(0)), (2, Some(1))] {
        let serving = Serving::start(&["--no-auth", "--exports", "1", "--operations-listen", "127.0.0.1:0"]);
        let ready = format!("{}/readyz", serving.operations.as_ref().unwrap());
        assert_eq!(get(&ready, &[]).status, 200);
        let mut begun = serving.begin("limit=all");
        serving.signal("TERM");
        let since = Instant::now();
        while TcpStream::connect(serving.address()).is_ok() {
            assert!(since.elapsed() < PATIENCE);
        }
        // Whoever sends clients here is told meanwhile to send them elsewhere.
        assert_eq!(get(&ready, &[]).problems(503), ["the server is about to stop"]);
        if signals == 2 {
            serving.signal("TERM");
            assert_eq!(serving.end().0, status);
            continue;
        }
        write!(begun, "abc").unwrap();
        let answer = rest(&mut begun);
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("0\r\n\r\n"));
        assert_eq!(serving.end(), (status, String::new()));
    }
}

/// Far longer than a test waits.
const LONG: &str = "1000";

#[test]
fn how_slow_a_client_may_be_are_flags_of_their_own() {
    let waits = |arguments: &[&str]| Serving::start(&[&["--no-auth"], arguments].concat());

    let head = waits(&["--head-time", "0.2", "--stall-time", LONG, "--grace", LONG]);
    let mut slow = head.connect();
    write!(slow, "GET / HTTP/1.1\r\nhost: localhost\r\n").unwrap();
    assert_eq!(rest(&mut slow), "");

    let stall = waits(&["--head-time", LONG, "--stall-time", "0.2", "--grace", LONG]);
    assert!(rest(&mut stall.begin("limit=1")).starts_with("HTTP/1.1 408 Request Timeout\r\n"));

    let grace = waits(&["--head-time", LONG, "--stall-time", LONG, "--grace", "0.2"]);
    let _begun = grace.begin("limit=1");
    grace.signal("TERM");
    let (status, said) = grace.end();
    assert_eq!(status, Some(0));
    assert!(said.contains("longer than the time of grace"), "{said}");
}

#[test]
fn of_few_connections_an_idle_one_makes_place() {
    let serving = Serving::start(&["--no-auth", "--connections", "1", "--head-time", LONG]);
    let mut idle = serving.connect();
    assert_eq!(serving.get("/v2/audit/flow-logs?limit=1", &[]).flows().len(), 1);
    assert_eq!(rest(&mut idle), "");
}

#[test]
fn what_a_page_may_cost_are_flags() {
    let (directory, archive) = archive_of(&many(5000));
    append(&archive, &[many(5000)]);
    let archive = directory.path().to_str().unwrap();
    // The bound lies in the midst of a block of each of two segments, whose rows have to be looked at.
    let question = "/v2/audit/flow-logs?sTime=500.5&limit=1&count=exact";
    let free = Serving::over(archive, &["--no-auth"]);
    assert_eq!(free.get(question, &[]).header("x-total-count"), Some("8998"));
    for flag in ["--query-rows", "--query-time"] {
        let bound = Serving::over(archive, &["--no-auth", flag, "0"]);
        let problems = bound.get(question, &[]).problems(503);
        assert!(problems[0].contains("too many to count"), "{flag}: {problems:?}");
        // The count goes on where it was interrupted.
        assert_eq!(bound.get(question, &[]).header("x-total-count"), Some("8998"), "{flag}");
        // A page is answered all the same, however short, and leads on.
        let page = bound.get("/v2/audit/flow-logs?sort=sourceBytes:desc&limit=1", &[]);
        assert!(page.flows().len() <= 1 && page.header("x-next-page").is_some(), "{flag}: {page:?}");
    }
    let few = Serving::start(&["--no-auth", "--queries", "3"]);
    assert!(few.get("/metrics", &[]).text().contains("\nflowseek_queries_limit 3\n"));
}

#[test]
fn what_is_logged_is_a_flag() {
    for (level, is_logged) in [("off", false), ("error", false), ("warn", false), ("info", true), ("debug", true)] {
        let serving = Serving::start(&["--no-auth", "--log", level]);
        assert_eq!(serving.get("/v2/audit/flow-logs?limit=1", &[]).status, 200);
        serving.signal("TERM");
        let (status, said) = serving.end();
        assert_eq!((status, said.contains("rows_returned=1")), (Some(0), is_logged), "{level}: {said}");
    }
}

#[test]
fn wrong_usage_has_its_exit_status_and_sentence() {
    let secret = testdata("rsa.pem");
    let secret = secret.to_str().unwrap();
    let weak = testdata("rsa-1024-public.pem");
    let weak = weak.to_str().unwrap();
    for (arguments, status, sentence) in [
        (&[][..], 2, "--no-auth"),
        (&["--no-auth", "--jwt-secret-file", secret], 2, "cannot be used with"),
        (&["--no-auth", "--jwt-issuer", "x"], 2, "cannot be used with"),
        (&["--no-auth", "--listen", "0.0.0.0:0"], 2, "loopback addresses only"),
        (&["--no-auth", "--listen", "[::]:0"], 2, "loopback addresses only"),
        (&["--no-auth", "--listen", "nonsense"], 2, "no address to listen on"),
        (&["--no-auth", "--tls-cert", secret], 2, "--tls-key"),
        (&["--no-auth", "--grace", "soon"], 2, "seconds are a number"),
        (&["--no-auth", "--cors-origin", "*"], 2, "SCHEME://HOST"),
        (&["--no-auth", "--cors-origin", "https://flows.example/app"], 2, "no path"),
        (&["--jwt-secret-file", "/no/such/file"], 1, "/no/such/file"),
        (&["--jwt-public-key", secret], 1, "private key"),
        (&["--jwt-public-key", weak], 1, "the RSA key has 1024 bits"),
        (&["--jwt-jwks", secret], 1, "not JSON"),
        (&["--no-auth", "--tls-cert", secret, "--tls-key", secret], 1, "do not go together"),
    ] {
        let output = command(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(sentence) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(!said.contains("BEGIN"), "{said}");
    }
}

#[test]
fn a_token_opens_it_and_is_never_logged() {
    let directory = Folder::new();
    let path = directory.path().join("secret");
    fs::write(&path, [SECRET, b"\n"].concat()).unwrap();
    let serving = Serving::start(&["--jwt-secret-file", path.to_str().unwrap(), "--log", "debug"]);
    let claims = json!({"exp": now() + 60, "permissions": PERMISSION, "sub": "alice"});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(serving.get("/v2/audit/flow-logs?limit=2", &[("authorization", &bearer)]).flows().len(), 2);
    serving.get("/v2/audit/flow-logs?limit=2", &[]).problems(401);
    serving.get(&format!("/v2/audit/flow-logs?access_token={token}"), &[("authorization", &bearer)]).problems(422);
    assert_eq!(serving.get("/healthz", &[]).status, 200);
    serving.signal("TERM");
    let (status, said) = serving.end();
    assert_eq!(status, Some(0));
    for logged in ["subject=\"alice\"", "rows_returned=2", "status=401", "status=200"] {
        assert!(said.contains(logged), "{logged} in {said}");
    }
    for part in token.split('.').chain([std::str::from_utf8(SECRET).unwrap(), "access_token"]) {
        assert!(!said.contains(part), "{part} in {said}");
    }
}

#[test]
fn who_is_let_in_and_to_what_are_flags() {
    let directory = Folder::new();
    let secret = directory.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let nodes: Vec<String> =
        crate::golden_queries::flows().into_iter().filter_map(|stored| stored.flow.node_id).collect();
    let of_first = nodes.iter().filter(|node| **node == nodes[0]).count();
    let (archive, _archive) = golden_archive();
    let all = crate::golden_queries::flows().len();
    // A flag; the claims that it asks for, and how many flows they show; and claims that it refuses, with the status.
    for (flags, good, flows, refused) in [
        (&["--jwt-issuer", "us"][..], json!({"iss": "us"}), all, vec![(json!({"iss": "them"}), 401), (json!({}), 401)]),
        (
            &["--jwt-issuer", "us", "--jwt-issuer", "friends"],
            json!({"iss": "friends"}),
            all,
            vec![(json!({"iss": "them"}), 401)],
        ),
        (
            &["--jwt-audience", "here"],
            json!({"aud": "here"}),
            all,
            vec![(json!({"aud": "there"}), 401), (json!({}), 401)],
        ),
        (
            &["--jwt-audience", "here", "--jwt-audience", "too"],
            json!({"aud": ["too"]}),
            all,
            vec![(json!({"aud": "there"}), 401)],
        ),
        (
            &["--jwt-nodes-claim", "nodes"],
            json!({"nodes": [nodes[0]]}),
            of_first,
            vec![(json!({}), 403), (json!({"nodes": []}), 403)],
        ),
        (
            &["--jwt-permissions-claim", "scope"],
            json!({"permissions": null, "scope": PERMISSION}),
            all,
            vec![(json!({}), 403)],
        ),
        (&["--jwt-leeway", "60"], json!({"exp": now() - 20}), all, vec![(json!({"exp": now() - 90}), 401)]),
        (&[], json!({}), all, vec![(json!({"exp": now() - 20}), 401), (json!({"permissions": []}), 403)]),
    ] {
        let arguments = [&["--jwt-secret-file", secret.to_str().unwrap()], flags].concat();
        let serving = Serving::over(archive.path().to_str().unwrap(), &arguments);
        let ask = |more: &Value| {
            let mut claims = json!({"exp": now() + 600, "permissions": [PERMISSION]});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap();
            serving.get("/v2/audit/flow-logs", &[("authorization", &format!("Bearer {token}"))])
        };
        assert_eq!(ask(&good).flows().len(), flows, "{flags:?}");
        for (claims, status) in refused {
            ask(&claims).problems(status);
        }
    }
}

#[test]
fn keys_are_flags() {
    let directory = Folder::new();
    let jwks = directory.path().join("keys.json");
    fs::write(&jwks, set(&[("rsa", Algorithm::RS256), ("ec", Algorithm::ES256)]).to_string()).unwrap();
    let path = |name: &str| testdata(name).to_str().unwrap().to_owned();
    for (flag, file, good) in [
        ("--jwt-public-key", path("rsa-public.pem"), &[Algorithm::RS256][..]),
        ("--jwt-public-key", path("p256-public.pem"), &[Algorithm::ES256]),
        ("--jwt-public-key", path("ed25519-public.pem"), &[Algorithm::EdDSA]),
        ("--jwt-jwks", jwks.to_str().unwrap().to_owned(), &[Algorithm::RS256, Algorithm::ES256]),
    ] {
        let serving = Serving::start(&[flag, &file]);
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256] {
            let claims = json!({"exp": now() + 600, "permissions": [PERMISSION]});
            let token = encode(&Header::new(algorithm), &claims, &key(algorithm)).unwrap();
            let answer = serving.get("/v2/audit/flow-logs?limit=1", &[("authorization", &format!("Bearer {token}"))]);
            assert_eq!(answer.status, if good.contains(&algorithm) { 200 } else { 401 }, "{flag} {file} {algorithm:?}");
        }
    }
}

#[test]
fn why_a_key_or_a_claim_is_of_no_use_is_logged_once() {
    let directory = Folder::new();
    let (secret, jwks) = (directory.path().join("secret"), directory.path().join("keys.json"));
    let mut keys = set(&[("good", Algorithm::ES256), ("signs", Algorithm::RS256)]);
    keys["keys"][1]["key_ops"] = json!(["sign"]);
    let weak = json!({"kty": "oct", "kid": "weak", "k": "YQ"});
    keys["keys"].as_array_mut().unwrap().push(weak);
    fs::write(&jwks, keys.to_string()).unwrap();
    let said = Serving::start(&["--jwt-jwks", jwks.to_str().unwrap()]).said_before.clone();
    for why in ["signs", "its key_ops lack verify", "weak", "the secret has 1 bytes; allowed: at least 32"] {
        assert!(said.contains(why), "{why} in {said}");
    }

    fs::write(&secret, SECRET).unwrap();
    let claim = ["--jwt-permissions-claim", "realm_access.roles"];
    let serving = Serving::start(&[&["--jwt-secret-file", secret.to_str().unwrap()], &claim[..]].concat());
    let claims = json!({"exp": now() + 600, "realm_access": {"roles": [PERMISSION]}});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap();
    let ask = || serving.get("/v2/audit/flow-logs", &[("authorization", &format!("Bearer {token}"))]);
    (0..3).for_each(|_| drop(ask().problems(403)));
    // A file that is gone or too short is told once, and changes nothing.
    fs::remove_file(&secret).unwrap();
    (0..10).for_each(|_| drop(ask().problems(403)));
    fs::write(&secret, "short").unwrap();
    (0..10).for_each(|_| drop(ask().problems(403)));
    serving.signal("TERM");
    let (_, said) = serving.end();
    assert_eq!(said.matches("/realm_access/roles").count(), 1, "{said}");
    assert_eq!(said.matches("stays in force").count(), 2, "{said}");
    assert!(said.contains("the secret has 5 bytes"), "{said}");
}

#[test]
fn operations_may_be_elsewhere() {
    let serving = Serving::start(&["--no-auth", "--operations-listen", "127.0.0.1:0"]);
    let operations = serving.operations.clone().unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(&format!("{operations}{path}"), &[]).status, 200);
        serving.get(path, &[]).problems(404);
    }
    get(&format!("{operations}/v2/audit/flow-logs"), &[]).problems(404);
    serving.signal("TERM");
    assert_eq!(serving.end().0, Some(0));
}

#[test]
fn settings_are_flags() {
    let serving = Serving::start(&[
        "--no-auth",
        "--default-limit",
        "2",
        "--max-limit",
        "3",
        "--tcp-flags",
        "decimal",
        "--exports",
        "1",
    ]);
    assert_eq!(serving.get("/v2/audit/flow-logs", &[]).flows().len(), 2);
    serving.get("/v2/audit/flow-logs?limit=4", &[]).problems(422);
    let flows = serving.get("/v2/audit/flow-logs?tcpFlags=1&limit=all", &[]).flows();
    assert!(flows.len() > 3 && flows.iter().all(|flow| flow["tcpFlags"].as_str().unwrap().parse::<u8>().is_ok()));
    let limit = serving.get("/openapi.json", &[]).json()["paths"]["/v2/audit/flow-logs"]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|parameter| parameter["name"] == "limit")
        .unwrap()["schema"]
        .clone();
    assert_eq!(limit["anyOf"][0]["maximum"], 3);
}

#[test]
fn a_profile_is_a_flag() {
    let serving = Serving::start(&["--no-auth", "--profile", "current"]);
    let answer = serving.get("/v2/audit/flow-logs?tcpFlags=1&limit=1", &[]);
    assert!(answer.header("x-cursor").is_some() && answer.header("x-cursor") == answer.header("x-next-page"));
    assert!(answer.flows()[0]["tcpFlags"].as_str().unwrap().parse::<u8>().is_ok());
}

/// A client that trusts this certificate and speaks these protocols.
fn trusting(certificate: &Path, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A connection of a client that trusts this certificate.
fn tls_stream(serving: &Serving, certificate: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let connection = ClientConnection::new(trusting(certificate, &[]), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, serving.connect())
}

/// What the server answers over TLS to a client that trusts this certificate.
fn ask_by_tls(serving: &Serving, certificate: &Path) -> Result<String, io::Error> {
    let mut stream = tls_stream(serving, certificate);
    write!(stream, "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn it_speaks_tls() {
    let (certificate, key) = (testdata("certificate.pem"), testdata("p256.pem"));
    let serving =
        Serving::start(&["--no-auth", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    assert!(serving.url.starts_with("https://"));
    let answer = ask_by_tls(&serving, &certificate).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
    // Who says that he sends no more is answered as well.
    let mut ending = tls_stream(&serving, &certificate);
    write!(ending, "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    ending.conn.send_close_notify();
    ending.flush().unwrap();
    let mut answer = String::new();
    ending.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
    // Who does not speak it is no harm.
    let mut plain = TcpStream::connect(serving.address()).unwrap();
    write!(plain, "GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    serving.signal("TERM");
    assert_eq!(serving.end().0, Some(0));
}

/// The status and body of an answer by HTTP/2 over any stream.
async fn ask_by_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, url: &str) -> (u16, Vec<u8>) {
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(url).body(()).unwrap();
    let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    let (head, mut body) = answer.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        bytes.extend(piece.unwrap());
    }
    (head.status.as_u16(), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_http_2_where_its_client_chooses_that() {
    let (certificate, key) = (testdata("certificate.pem"), testdata("p256.pem"));
    let serving =
        Serving::start(&["--no-auth", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    // What a client offers, and what is chosen.
    for (offered, chosen) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = tokio::net::TcpStream::connect(serving.address()).await.unwrap();
        let connector = TlsConnector::from(trusting(&certificate, offered));
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        let url =
            format!("https://localhost:{}/v2/audit/flow-logs?limit=1", serving.address().rsplit(':').next().unwrap());
        if chosen == Some(b"h2") {
            let (status, body) = ask_by_http2(stream, &url).await;
            assert!(status == 200 && body.ends_with(b"}]"));
            continue;
        }
        let request = "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authorization_a_client_of_http_2_asks_for_loopback_as_well() {
    let serving = Serving::start(&["--no-auth"]);
    for (host, expected) in [("localhost", 200), ("127.0.0.1", 200), ("evil.example", 403)] {
        let stream = tokio::net::TcpStream::connect(serving.address()).await.unwrap();
        let (status, _) = ask_by_http2(stream, &format!("http://{host}/v2/audit/flow-logs?limit=1")).await;
        assert_eq!(status, expected, "{host}");
    }
}

/// The answer to a request of a method, with headers.
fn send(serving: &Serving, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = Request::builder().method(method).uri(format!("{}{path}", serving.url));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let mut response = agent.run(request.body(()).unwrap()).unwrap();
    let body = response.body_mut().read_to_vec().unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

#[test]
fn pages_of_allowed_origins_may_read_the_answers() {
    let path = "/v2/audit/flow-logs?limit=1";
    let allowed = ["https://flows.example", "http://localhost:3000"];
    let serving =
        Serving::start(&["--no-auth", "--cors-origin", "https://Flows.Example:443", "--cors-origin", allowed[1]]);
    let listed = |answer: &Answer, name: &str| -> Vec<String> {
        answer.header(name).unwrap_or_default().split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
    };
    for (origin, is_allowed) in
        [(allowed[0], true), (allowed[1], true), ("https://evil.example", false), ("null", false)]
    {
        let expected = is_allowed.then_some(origin);
        // A browser asks first, without a credential; what it is not told it forbids the page.
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = send(&serving, "OPTIONS", path, &preflight);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, expected), "{origin}");
        assert_eq!(listed(&answer, "access-control-allow-methods"), ["get", "head"]);
        assert!(listed(&answer, "access-control-allow-headers").contains(&"authorization".to_owned()));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        // Errors can be read as well.
        for (path, status) in [(path, 200), ("/v2/audit/flow-logs?limt=1", 422), ("/nowhere", 404)] {
            let answer = serving.get(path, &[("origin", origin)]);
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, expected), "{origin}");
            let varies: Vec<_> = answer.headers.get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect();
            assert!(varies.join(",").contains("origin"), "{varies:?}");
            for header in ["x-next-page", "x-cursor", "x-total-count", "link", "retry-after", "x-request-id"] {
                assert!(listed(&answer, "access-control-expose-headers").contains(&header.to_owned()), "{header}");
            }
        }
    }
    // Without the flag no page of another origin reads anything, and OPTIONS is no method of the endpoint.
    let closed = Serving::start(&["--no-auth"]);
    assert_eq!(closed.get(path, &[("origin", allowed[0])]).header("access-control-allow-origin"), None);
    send(&closed, "OPTIONS", path, &[("origin", allowed[0])]).problems(405);
}

#[test]
fn every_request_has_an_id_which_the_log_knows() {
    let serving = Serving::start(&["--no-auth", "--log", "info"]);
    let id = |path: &str, given: &[(&str, &str)]| {
        let answer = serving.get(path, given);
        answer.header("x-request-id").unwrap_or_else(|| panic!("{path} {given:?}")).to_owned()
    };
    let path = "/v2/audit/flow-logs?limit=1";
    let made =
        [id(path, &[]), id(path, &[]), id("/nowhere", &[]), id("/v2/audit/flow-logs?limt=1", &[]), id("/healthz", &[])];
    assert!(made.iter().all(|id| id.len() == 36) && made[0] != made[1], "{made:?}");
    // One that a proxy gave is kept where it is a word.
    assert_eq!(id(path, &[("x-request-id", "proxy-7/abc:1")]), "proxy-7/abc:1");
    let long = "x".repeat(129);
    for bad in ["", "two words", "a\"b", &long] {
        let other = id(path, &[("x-request-id", bad)]);
        assert!(other != bad && other.len() == 36, "{other} for {bad}");
    }
    let other = id(path, &[("x-request-id", "one"), ("x-request-id", "two")]);
    assert_eq!(other.len(), 36);
    serving.signal("TERM");
    let (status, said) = serving.end();
    assert_eq!(status, Some(0));
    for id in [&made[0], &made[3], "proxy-7/abc:1"] {
        let line = said.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{id} in {said}"));
        assert!(line.contains("answered"), "{line}");
    }
    assert!(!said.contains("two words") && !said.contains(&long));
}

#[test]
fn a_certificate_is_exchanged_while_tls_is_served() {
    let directory = Folder::new();
    let (certificate, key) = (directory.path().join("certificate"), directory.path().join("key"));
    let place = |name: &str, path: &Path| {
        let new = directory.path().join("new");
        fs::copy(testdata(name), &new).unwrap();
        fs::rename(new, path).unwrap();
    };
    let [first, second] = ["certificate.pem", "other-certificate.pem"].map(testdata);
    place("certificate.pem", &certificate);
    place("p256.pem", &key);
    let serving =
        Serving::start(&["--no-auth", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let is_trusted = |root: &Path| ask_by_tls(&serving, root).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 OK"));
    assert!(is_trusted(&first) && !is_trusted(&second));
    // While only one of the two is there they do not go together, and what was read before stays in force.
    place("other-certificate.pem", &certificate);
    assert!(is_trusted(&first) && !is_trusted(&second));
    place("ed25519.pem", &key);
    assert!(is_trusted(&second) && !is_trusted(&first));
}
