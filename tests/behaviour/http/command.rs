//! `flowseek serve`, run as people run it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use flowseek::http::PERMISSION;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    Answer, PATIENCE, get,
    jwt::{now, testdata},
};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/archive");

/// The program, serving; it is killed where this is dropped.
struct Serving {
    child: Child,
    said: BufReader<ChildStderr>,
    /// What it listens on, and where the operations are where that was asked for.
    url: String,
    operations: Option<String>,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
    command.args(["serve", ARCHIVE]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["--listen", "127.0.0.1:0"], arguments].concat()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self { child, said, url: String::new(), operations: None };
        while serving.url.is_empty() {
            let mut line = String::new();
            assert!(serving.said.read_line(&mut line).unwrap() > 0, "it ended early");
            match line.trim_end().split_once(" on ") {
                Some(("operations", url)) => serving.operations = Some(url.to_owned()),
                Some(("listening", url)) => serving.url = url.to_owned(),
                _ => {}
            }
        }
        serving
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(&format!("{}{path}", self.url), headers)
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

#[test]
fn a_stop_lets_begun_requests_end_and_a_second_one_does_not() {
    for (signals, status) in [(1, Some(0)), (2, Some(1))] {
        let serving = Serving::start(&["--no-auth", "--exports", "1"]);
        let mut stream = TcpStream::connect(serving.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Half a head is no request yet, and does not hold the server up for longer than it may take.
        write!(stream, "GET /v2/audit/flow-logs?limit=all HTTP/1.1\r\nhost: localhost\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        serving.signal("TERM");
        let since = Instant::now();
        while TcpStream::connect(serving.address()).is_ok() {
            assert!(since.elapsed() < PATIENCE);
        }
        if signals == 2 {
            serving.signal("TERM");
            assert_eq!(serving.end().0, status);
            continue;
        }
        write!(stream, "\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("0\r\n\r\n"));
        assert_eq!(serving.end(), (status, String::new()));
    }
}

#[test]
fn wrong_usage_has_its_exit_status_and_sentence() {
    let secret = testdata("rsa.pem");
    let secret = secret.to_str().unwrap();
    for (arguments, status, sentence) in [
        (&[][..], 2, "--no-auth"),
        (&["--no-auth", "--jwt-secret-file", secret], 2, "cannot be used with"),
        (&["--no-auth", "--jwt-issuer", "x"], 2, "cannot be used with"),
        (&["--no-auth", "--listen", "0.0.0.0:0"], 2, "loopback addresses only"),
        (&["--no-auth", "--listen", "[::]:0"], 2, "loopback addresses only"),
        (&["--no-auth", "--listen", "nonsense"], 2, "no address to listen on"),
        (&["--no-auth", "--tls-cert", secret], 2, "--tls-key"),
        (&["--no-auth", "--grace", "soon"], 2, "seconds are a number"),
        (&["--jwt-secret-file", "/no/such/file"], 1, "/no/such/file"),
        (&["--jwt-public-key", secret], 1, "private key"),
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
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, "the secret of this test\n").unwrap();
    let serving = Serving::start(&[
        "--jwt-secret-file",
        path.to_str().unwrap(),
        "--jwt-issuer",
        "issuer",
        "--jwt-audience",
        "here",
        "--jwt-permissions-claim",
        "scope",
        "--jwt-leeway",
        "5",
        "--log",
        "debug",
    ]);
    let claims = json!({"iss": "issuer", "aud": "here", "exp": now() + 60, "scope": PERMISSION, "sub": "alice"});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"the secret of this test")).unwrap();
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
    for part in token.split('.').chain(["the secret of this test", "access_token"]) {
        assert!(!said.contains(part), "{part} in {said}");
    }
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
        "--query-time",
        "0.5",
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
fn it_speaks_tls() {
    let (certificate, key) = (testdata("certificate.pem"), testdata("p256.pem"));
    let serving =
        Serving::start(&["--no-auth", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    assert!(serving.url.starts_with("https://"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(serving.address()).unwrap());
    write!(stream, "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
    // Who does not speak it is no harm.
    let mut plain = TcpStream::connect(serving.address()).unwrap();
    write!(plain, "GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    serving.signal("TERM");
    assert_eq!(serving.end().0, Some(0));
}
