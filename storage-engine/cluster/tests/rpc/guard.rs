//! Bounds that the server keeps against whoever connects.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Node, PATIENCE, server_options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_and_says_nothing_is_hung_up_on() {
    let mut options = server_options();
    options.progress_deadline = Duration::from_millis(300);
    let node = Node::start_with(options).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let begun = Instant::now();
    let read = stream.read(&mut [0; 16]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_something_else_is_hung_up_on() {
    let node = Node::start().await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE / 2, stream.read_to_end(&mut said)).await;
    assert!(read.is_ok(), "the connection is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded() {
    let mut options = server_options();
    options.connections_max = 2;
    let node = Node::start_with(options).await;
    let _first = TcpStream::connect(node.address).await.unwrap();
    let _second = TcpStream::connect(node.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut third = TcpStream::connect(node.address).await.unwrap();
    let read = tokio::time::timeout(PATIENCE / 2, third.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_told_why_and_their_bodies_are_not_read() {
    let node = Node::start().await;
    let stream = TcpStream::connect(node.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // The header of a request of version 9, in hexadecimal, and one that is none.
    for (header, status, reason) in [
        ("0900", 505, "this node speaks version 1 of the protocol, not version 9"),
        ("zz", 401, "no authentication that can be read"),
        ("01", 401, "no authentication that can be read"),
    ] {
        let request = Request::post("http://granary/granary/append")
            .header("granary-rpc", header)
            .body(Full::new(Bytes::from(vec![0; 1 << 20])))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(reason), "{body:?}");
    }
}
