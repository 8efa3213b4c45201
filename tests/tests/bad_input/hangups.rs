//! Clients that are slow, silent, or gone.

use std::time::{Duration, Instant};

use granary_tests::ServerConfig;
use granary_tests::raw::{connect, head_of};
use granary_tests::signer::UNSIGNED_PAYLOAD;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{BUCKET, Target};

const SILENT_CONNECTIONS: usize = 300;
const HANGING_UPLOADS: usize = 60;
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

fn impatient() -> ServerConfig {
    ServerConfig::drives(2)
        .env("GRANARY_FIRST_BYTE_TIMEOUT_MS", "1000")
        .env("GRANARY_HEADER_TIMEOUT_MS", "1000")
        .env("GRANARY_STALL_TIMEOUT_MS", "2000")
}

#[tokio::test]
async fn silent_and_slow_connections_are_closed_and_others_are_served() {
    let target = Target::start_with(impatient()).await;
    let host = target.server.host();
    let mut silent = Vec::new();
    for number in 0..SILENT_CONNECTIONS {
        let mut stream = connect(&host, None).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-unfin").await.unwrap();
        }
        silent.push(stream);
    }
    let before = Instant::now();
    target.assert_unharmed().await;
    assert!(before.elapsed() < Duration::from_secs(5), "others wait for the silent");
    for mut stream in silent {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(CLOSED_WITHIN, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a silent connection stays open");
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_not_stored() {
    let target = Target::start_with(impatient()).await;
    let mut request = target.put("stalled").header("content-length", "1000000");
    target.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
    let mut stream = connect(&target.server.host(), None).await.unwrap();
    stream.write_all(&head_of(&request)).await.unwrap();
    stream.write_all(&[7; 500_000]).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(CLOSED_WITHIN, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "a stalled body is waited for without end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn clients_that_hang_up_leave_nothing_behind() {
    let target = Target::start().await;
    let host = target.server.host();
    for round in 0..3 {
        let mut streams = Vec::new();
        for number in 0..HANGING_UPLOADS {
            let key = format!("gone-{round}-{number}");
            let mut request = target.put(&key).header("content-length", "8000000");
            target.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
            let mut stream = connect(&host, None).await.unwrap();
            stream.write_all(&head_of(&request)).await.unwrap();
            stream.write_all(&[9; 200_000]).await.unwrap();
            streams.push(stream);
        }
        drop(streams);
    }
    target.assert_unharmed().await;

    // And downloads nobody reads to the end.
    let client = target.server.client().unwrap();
    let body = vec![5; 16 << 20];
    client.put_object().bucket(BUCKET).key("big").body(body.into()).send().await.unwrap();
    for _ in 0..HANGING_UPLOADS {
        let mut request = target.request("GET", &format!("/{BUCKET}/big"));
        target.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
        let mut stream = connect(&host, None).await.unwrap();
        stream.write_all(&head_of(&request)).await.unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).await.unwrap();
    }
    client.delete_object().bucket(BUCKET).key("big").send().await.unwrap();
    target.assert_unharmed().await;
}
