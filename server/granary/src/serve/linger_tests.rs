use std::time::Duration;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::serve::refusal::{Refusing, SinceRequest};

fn stream(server: DuplexStream, unread: Unread) -> Refusing<DuplexStream> {
    Refusing::new(server, 16 * 1024, SinceRequest::default(), unread)
}

/// A client, and a server's end that something is coming to and that is being closed after `answer`.
fn closing(answer: &'static str) -> (DuplexStream, JoinHandle<Duration>) {
    let (client, server) = duplex(64 * 1024);
    let unread = Unread::default();
    unread.begin();
    let mut server = stream(server, unread);
    let closing = tokio::spawn(async move {
        let started = Instant::now();
        server.write_all(answer.as_bytes()).await.unwrap();
        server.shutdown().await.unwrap();
        started.elapsed()
    });
    (client, closing)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_on_reads_its_answer_and_its_end() {
    let (mut client, closing) = closing("no");
    client.write_all(&vec![b'x'; 8 * 1024 * 1024]).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "no");
    assert!(!closing.is_finished(), "what it still sends would reset the connection");
    drop(client);
    assert!(closing.await.unwrap() < SILENCE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_waited_for_briefly() {
    let (client, closing) = closing("no");
    let took = closing.await.unwrap();
    assert!(took >= SILENCE_MAX && took < SILENCE_MAX * 2, "{took:?}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_is_hung_up_on() {
    let (mut client, closing) = closing("no");
    let sending = tokio::spawn(async move {
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SILENCE_MAX / 2).await;
        }
    });
    let took = closing.await.unwrap();
    assert!(took >= LINGER_MAX && took < LINGER_MAX + SILENCE_MAX, "{took:?}");
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_nothing_unread_is_closed_at_once() {
    let (client, server) = duplex(64);
    let unread = Unread::default();
    let body = unread.watch(Full::new(bytes::Bytes::from_static(b"body")));
    assert!(unread.is_some());
    body.collect().await.unwrap();
    let started = Instant::now();
    stream(server, unread).shutdown().await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    drop(client);
}

#[test]
fn an_empty_body_is_not_unread_and_one_that_is_dropped_is() {
    let unread = Unread::default();
    drop(unread.watch(Full::new(bytes::Bytes::from_static(b"body"))));
    assert!(unread.is_some());
    drop(unread.watch(Full::new(bytes::Bytes::new())));
    assert!(!unread.is_some());
}
