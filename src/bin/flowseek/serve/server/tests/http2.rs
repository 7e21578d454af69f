//! Clients of HTTP/2, with prior knowledge.

use std::{
    future::ready,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Request, Response, StatusCode},
    routing::get,
};
use futures::future::join_all;
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use tokio::{net::TcpStream, time::sleep};

use super::{AMPLE, Connections, Large, PATIENCE, Running, SHORT, Slow, runtime};

const ONE: &str = "/v2/audit/flow-logs?limit=1";

/// A connection; it ends where the client and all its requests are dropped, or the server ends it.
async fn connect(running: &Running) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(running.address).await.unwrap();
    // An answer that is not taken leaves room for others.
    let (client, connection) = Builder::new().initial_connection_window_size(1 << 20).handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

fn request(running: &Running, path: &str) -> Request<()> {
    Request::get(format!("http://{}{path}", running.address)).body(()).unwrap()
}

/// The head of an answer, and its body to be read.
async fn send(client: &SendRequest<Bytes>, request: Request<()>) -> Result<Response<RecvStream>, h2::Error> {
    let mut client = client.clone().ready().await?;
    client.send_request(request, true)?.0.await
}

async fn body(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend(piece);
    }
    Ok(bytes)
}

#[test]
fn many_requests_go_by_one_connection() {
    let running = Running::open(AMPLE);
    runtime().block_on(async {
        let (client, _connection) = connect(&running).await;
        let answers = (1..=80).map(async |number: usize| {
            let path = format!("/v2/audit/flow-logs?limit={number}");
            let answer = send(&client, request(&running, &path)).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(answer.headers().contains_key("x-next-page") && answer.headers().contains_key("x-request-id"));
            let flows: Vec<serde_json::Value> =
                serde_json::from_slice(&body(answer.into_body()).await.unwrap()).unwrap();
            assert_eq!(flows.len(), number);
        });
        join_all(answers).await;
        let problems = send(&client, request(&running, "/v2/audit/flow-logs?limt=1")).await.unwrap();
        assert_eq!(problems.status(), 422);
        let problems = body(problems.into_body()).await.unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&problems).unwrap().len(), 1);
    });
}

#[test]
fn an_answer_that_is_longer_than_a_window_comes_whole() {
    let text: String = ('a'..='z').cycle().take(3_000_000).collect();
    let expected = text.clone();
    let running = Running::routes(Router::new().route("/long", get(move || ready(text.clone()))), AMPLE);
    runtime().block_on(async {
        let (client, _connection) = connect(&running).await;
        let answer = send(&client, request(&running, "/long")).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "3000000");
        assert!(body(answer.into_body()).await.unwrap() == expected.as_bytes());
        let head = Request::head(format!("http://{}/long", running.address)).body(()).unwrap();
        let answer = send(&client, head).await.unwrap();
        assert_eq!((answer.status(), answer.body().is_end_stream()), (StatusCode::OK, true));
    });
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_cut_off() {
    let held = Arc::new(AtomicUsize::new(0));
    let holds = Arc::clone(&held);
    let app =
        Router::new().route("/large", get(move || ready(Large::bytes(&holds)))).route("/small", get(async || "small"));
    let running = Running::routes(app, Connections { stall_time: SHORT * 3, ..AMPLE });
    runtime().block_on(async {
        let (client, connection) = connect(&running).await;
        let answer = send(&client, request(&running, "/large")).await.unwrap();
        assert_eq!(held.load(Ordering::SeqCst), 1);
        // That it goes on with others is no excuse.
        let mut others = 0;
        while !connection.is_finished() {
            if let Ok(small) = send(&client, request(&running, "/small")).await {
                others += usize::from(body(small.into_body()).await.is_ok());
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert!(others > 0);
        drop(answer);
        // One that only is slow is not cut off.
        let (client, _connection) = connect(&running).await;
        let mut slow = send(&client, request(&running, "/large")).await.unwrap().into_body();
        let mut bytes = 0;
        while bytes < 300_000 {
            let piece = slow.data().await.unwrap().unwrap();
            bytes += piece.len();
            slow.flow_control().release_capacity(piece.len()).unwrap();
            sleep(Duration::from_millis(50)).await;
        }
    });
    super::until(|| held.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_connection_that_is_idle_is_closed_and_one_that_works_is_not() {
    let authorizer = Slow::new();
    let running = Running::by(authorizer.clone(), Connections { head_time: SHORT, ..AMPLE });
    runtime().block_on(async {
        let (client, idle) = connect(&running).await;
        let path = "/healthz";
        assert_eq!(send(&client, request(&running, path)).await.unwrap().status(), 200);
        // It is told so: what it has asked for meanwhile it may ask for anew.
        tokio::time::timeout(PATIENCE, idle).await.unwrap().unwrap().unwrap();
        let (client, _connection) = connect(&running).await;
        let waits = send(&client, request(&running, ONE));
        let let_in = async {
            sleep(SHORT * 3).await;
            authorizer.let_in.add_permits(1);
        };
        let (answer, ()) = tokio::join!(waits, let_in);
        assert_eq!(answer.unwrap().status(), 200);
    });
}

#[test]
fn a_request_that_is_given_up_ends_its_work_and_no_other() {
    let authorizer = Slow::new();
    let running = Running::by(authorizer.clone(), AMPLE);
    runtime().block_on(async {
        let (client, _connection) = connect(&running).await;
        let mut client = client.ready().await.unwrap();
        let (answer, mut gives_up) = client.send_request(request(&running, ONE), true).unwrap();
        let mut client = client.ready().await.unwrap();
        let (kept, _) = client.send_request(request(&running, ONE), true).unwrap();
        let waits_for = async |number| {
            while authorizer.waiting() != number {
                sleep(Duration::from_millis(5)).await;
            }
        };
        waits_for(2).await;
        gives_up.send_reset(h2::Reason::CANCEL);
        drop(answer);
        waits_for(1).await;
        authorizer.let_in.add_permits(1);
        assert_eq!(kept.await.unwrap().status(), 200);
    });
    let metrics = running.get("/metrics");
    assert!(metrics.contains("flowseek_requests_total{status=\"499\"} 1\n"), "{metrics}");
}

#[test]
fn a_server_that_stops_ends_what_was_begun() {
    let authorizer = Slow::new();
    let mut running = Running::by(authorizer.clone(), AMPLE);
    runtime().block_on(async {
        let (client, connection) = connect(&running).await;
        let (_idle, ended) = connect(&running).await;
        let waits = tokio::spawn(async move {
            let answer = send(&client, Request::get(format!("http://localhost{ONE}")).body(()).unwrap()).await.unwrap();
            (answer.status(), body(answer.into_body()).await.unwrap())
        });
        while authorizer.waiting() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        running.tell_to_stop();
        ended.await.unwrap().unwrap();
        authorizer.let_in.add_permits(1);
        let (status, body) = waits.await.unwrap();
        assert!(status == 200 && body.ends_with(b"}]"));
        connection.await.unwrap().unwrap();
    });
    assert!(running.has_ended(PATIENCE));
}

#[test]
fn the_body_of_a_request_is_limited_and_its_connection_goes_on() {
    let running = Running::open(Connections { stall_time: SHORT, ..AMPLE });
    runtime().block_on(async {
        let (client, _connection) = connect(&running).await;
        for (length, is_whole, expected) in [(60_000, true, 405), (70_000, true, 413), (3, false, 408)] {
            let mut client = client.clone().ready().await.unwrap();
            let post = Request::post(format!("http://{}{ONE}", running.address)).body(()).unwrap();
            let (answer, mut sends) = client.send_request(post, false).unwrap();
            // What does not fit into the window is not sent before it is refused.
            sends.send_data(vec![b'x'; length].into(), is_whole).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), expected, "{length}");
            let problems = body(answer.into_body()).await.unwrap();
            assert_eq!(serde_json::from_slice::<Vec<String>>(&problems).unwrap().len(), 1);
        }
        assert_eq!(send(&client, request(&running, ONE)).await.unwrap().status(), 200);
    });
}

#[test]
fn long_heads_are_refused_and_their_connection_goes_on() {
    let running = Running::open(AMPLE);
    runtime().block_on(async {
        let (client, _connection) = connect(&running).await;
        let with = |bytes: usize| {
            let mut headers = HeaderMap::new();
            headers.insert("x-long", "y".repeat(bytes).parse().unwrap());
            let mut request = request(&running, ONE);
            *request.headers_mut() = headers;
            request
        };
        assert_eq!(send(&client, with(60_000)).await.unwrap().status(), 200);
        assert_eq!(send(&client, with(100_000)).await.unwrap().status(), 431);
        assert_eq!(send(&client, with(1)).await.unwrap().status(), 200);
    });
}

#[test]
fn a_preface_that_is_never_ended_is_cut_off() {
    let running = Running::open(Connections { head_time: SHORT, ..AMPLE });
    let mut stream = running.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
    // One that says nothing behind its preface is as idle.
    let mut stream = running.connect();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}
