//! The accept loop, spoken to over raw sockets: silent, slow, oversized and too many clients, and the drain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

mod support;

use std::time::{Duration, Instant};

use granary_server::serve::limits::Limits;
use granary_server::serve::listener::Drain;
use support::{PATIENCE, Running, limits, read_to_end};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far more than the kernel buffers.
const BODY_BYTES: usize = 64 * 1024 * 1024;
const SHORT: Duration = Duration::from_millis(200);

async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Sends `text`, half-closes nothing, and returns all that comes until the server closes.
async fn exchange(server: &Running, text: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

#[tokio::test]
async fn requests_are_routed_and_health_is_told() {
    let server = Running::start(limits()).await;
    let get = |path: &'static str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    for (path, expected) in [
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/bucket/key", "s3 /bucket/key"),
        ("/_granary/v1/drives", "admin /_granary/v1/drives"),
        ("/health/ready?list-type=2", "s3 /health/ready"),
    ] {
        let answer = exchange(&server, &get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{path}: {answer}");
    }
    let signed = "GET /health/live HTTP/1.1\r\nhost: h\r\nauthorization: x\r\nconnection: close\r\n\r\n";
    assert!(exchange(&server, signed).await.contains("s3 /health/live"));
    let put = "PUT /health/live HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert!(exchange(&server, put).await.contains("s3 /health/live"));
}

#[tokio::test]
async fn a_silent_connection_is_closed_by_the_first_byte_deadline() {
    let server = Running::start(Limits { first_byte_timeout: SHORT, ..limits() }).await;
    let started = Instant::now();
    assert_eq!(exchange(&server, "").await, "");
    assert!(started.elapsed() >= SHORT && started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_started_h2_preface_does_not_hold_a_connection_open() {
    let server = Running::start(Limits { first_byte_timeout: SHORT, ..limits() }).await;
    let started = Instant::now();
    assert_eq!(exchange(&server, "PRI * HT").await, "");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let server = Running::start(Limits { header_timeout: SHORT, ..limits() }).await;
    let mut stream = connect(&server).await;
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    stream.write_all(b"x-a: ").await.unwrap();
    while stream.write_all(b"b").await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "a byte now and then kept the connection open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed() {
    let server = Running::start(Limits { header_timeout: SHORT, ..limits() }).await;
    let answer = exchange(&server, "GET /k HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(answer.contains("s3 /k"), "{answer}");
}

#[tokio::test]
async fn an_admin_body_that_stops_coming_ends_its_request() {
    let server = Running::start(Limits { stall_timeout: SHORT, ..limits() }).await;
    let started = Instant::now();
    let answer =
        exchange(&server, "PUT /_granary/read-body HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc")
            .await;
    assert!(answer.contains("body failed"), "{answer}");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn the_answer_to_a_body_that_nobody_reads_was_lost() {
    let server = Running::start(limits()).await;
    let head = format!("PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
    for _ in 0..4 {
        let mut stream = connect(&server).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // The answer is out and the server has closed its side before most of the body is sent.
        stream.peek(&mut [0]).await.unwrap();
        stream.write_all(&vec![b'x'; BODY_BYTES]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("s3 /k"), "{answer}");
    }
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = Running::start(limits()).await;
    let head = |bytes: usize| {
        format!("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-a: {}\r\n\r\n", "a".repeat(bytes))
    };
    assert!(exchange(&server, &head(15_000)).await.starts_with("HTTP/1.1 200"));
    let refused = |answer: String| {
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("<Code>RequestHeaderSectionTooLarge</Code>"), "{answer}");
        assert!(answer.contains("<MaxSizeAllowed>16384</MaxSizeAllowed>"), "{answer}");
    };
    refused(exchange(&server, &head(17_000)).await);
    // These hyper gives up itself.
    refused(exchange(&server, &head(300_000)).await);
    refused(exchange(&server, &head(2_000_000)).await);
    let target = format!("GET /{} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "k".repeat(17_000));
    refused(exchange(&server, &target).await);
    let many: String = (0..200).map(|n| format!("x-{n}: a\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n");
    refused(exchange(&server, &many).await);
    // And the second request of a connection, after the answer to the first.
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut first = [0; 512];
    let length = stream.read(&mut first).await.unwrap();
    assert!(first[..length].ends_with(b"s3 /k"));
    stream.write_all(many.as_bytes()).await.unwrap();
    refused(read_to_end(&mut stream).await);
}

#[tokio::test]
async fn nonsense_is_answered_and_closed() {
    let server = Running::start(limits()).await;
    let answer = exchange(&server, "\x16\x03\x01 this is no HTTP\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn connections_above_the_limit_get_503_and_room_comes_back() {
    let server = Running::start(Limits { max_connections: 3, ..limits() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let refused = read_to_end(&mut connect(&server).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("Retry-After"), "{refused}");
    drop(held);
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let mut stream = connect(&server).await;
        let request = b"GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        if stream.write_all(request).await.is_ok() && read_to_end(&mut stream).await.contains("s3 /k") {
            return;
        }
    }
    panic!("no room came back");
}

#[tokio::test]
async fn requests_above_the_limit_get_slow_down() {
    let server = Running::start(Limits { max_requests: 1, ..limits() }).await;
    let mut slow = connect(&server).await;
    slow.write_all(b"GET /held HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.held_up(1).await;
    let answer = exchange(&server, "GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("<Code>SlowDown</Code>"), "{answer}");
    let health = exchange(&server, "GET /health/live HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(health.contains("live"), "health must answer under load: {health}");
}

#[tokio::test]
async fn many_connections_are_served_at_once() {
    let server = Running::start(limits()).await;
    let mut streams = Vec::new();
    for _ in 0..500 {
        streams.push(connect(&server).await);
    }
    for stream in &mut streams {
        stream.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
    }
    for stream in &mut streams {
        assert!(read_to_end(stream).await.contains("s3 /k"));
    }
}

#[tokio::test]
async fn a_drain_finishes_requests_and_closes_idle_connections() {
    let server = Running::start(limits()).await;
    let mut silent = connect(&server).await;
    let mut idle = connect(&server).await;
    idle.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut first = [0];
    idle.read_exact(&mut first).await.unwrap();
    let mut busy = connect(&server).await;
    busy.write_all(b"GET /held HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    server.held_up(1).await;
    let (address, open) = (server.address, server.opening());
    let drain = server.stop();
    assert!(read_to_end(&mut idle).await.contains("s3 /k"));
    open();
    assert!(read_to_end(&mut busy).await.contains("s3 /held"));
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_eq!(drain.await, Drain::Complete);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_drain_ends_by_its_timeout() {
    let server = Running::start(Limits { drain_timeout: SHORT, ..limits() }).await;
    let mut stuck = connect(&server).await;
    stuck.write_all(b"PUT /read-body HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
    server.held_up(1).await;
    let started = Instant::now();
    assert_eq!(server.stop().await, Drain::CutOff(1));
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(read_to_end(&mut stuck).await, "");
}

#[tokio::test]
async fn before_the_store_is_open_the_server_is_alive_and_not_ready() {
    let server = Running::start_closed(limits()).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(exchange(&server, &get("/health/live")).await.starts_with("HTTP/1.1 200"));
    for path in ["/health/ready", "/bucket/key", "/_granary/v1/drives"] {
        let answer = exchange(&server, &get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_hung_up_on() {
    let server = Running::start(Limits { stall_timeout: SHORT, max_requests: 1, ..limits() }).await;
    let mut deaf = connect(&server).await;
    deaf.write_all(b"GET /big HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        tokio::time::sleep(SHORT).await;
        let answer = exchange(&server, "GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        if answer.contains("s3 /k") {
            return;
        }
        assert!(answer.contains("SlowDown"), "{answer}");
    }
    panic!("the answer that nobody takes still holds the only permit");
}
