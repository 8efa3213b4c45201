#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::nodes::simulation::calm_nodes;

/// Less than a drain may take.
const SOON: Duration = Duration::from_secs(4);
/// Nothing is concluded from how long it takes to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// With a connection that has begun, and is waited for by a drain.
async fn served() -> (Served, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Served::start(calm_nodes(), listener);
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The first byte of HTTP/2's preface. The server's settings do not wait for the rest.
    stream.write_all(b"P").await.unwrap();
    let begun = timeout(PATIENCE, stream.read_u8()).await;
    begun.unwrap().unwrap();
    (served, stream)
}

async fn end(stream: &mut TcpStream) {
    let mut bytes = [0; 64];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}

#[tokio::test]
async fn dropped_it_went_on_answering_until_it_was_drained() {
    let (served, mut stream) = served().await;
    drop(served);
    timeout(SOON, end(&mut stream)).await.unwrap();
}

#[tokio::test]
async fn stopped_it_waits_for_what_is_under_way() {
    let (served, mut stream) = served().await;
    let stopping = tokio::spawn(served.stop());
    assert!(timeout(Duration::from_millis(200), end(&mut stream)).await.is_err());
    assert!(!stopping.is_finished());
    drop(stream);
    timeout(SOON, stopping).await.unwrap().unwrap();
}
