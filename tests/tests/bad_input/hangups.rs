//! Clients that are slow, silent, or gone.

use std::time::{Duration, Instant};

use granary_tests::census::shard_files;
use granary_tests::raw::{connect, head_of};
use granary_tests::signer::{Request, UNSIGNED_PAYLOAD};
use granary_tests::{PATIENCE, Server, ServerConfig};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{BUCKET, Target};

const SILENT_CONNECTIONS: usize = 300;
const HANGING_UPLOADS: usize = 60;
/// What may stay on all drives: a volume that was just begun.
const LEFT_BYTES_MAX: u64 = 64 << 10;

fn impatient() -> ServerConfig {
    ServerConfig::drives(2)
        .env("GRANARY_FIRST_BYTE_TIMEOUT_MS", "1000")
        .env("GRANARY_HEADER_TIMEOUT_MS", "1000")
        .env("GRANARY_STALL_TIMEOUT_MS", "4000")
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
    assert!(before.elapsed() < Duration::from_secs(30), "others wait for the silent");
    for mut stream in silent {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
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
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
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

/// Where an upload is cut off.
#[derive(Clone, Copy)]
enum Cut {
    Head,
    /// After so many bytes of the body.
    Body(usize),
}

impl Target {
    async fn cut_off(&self, request: Request, length_bytes: usize, cut: Cut) {
        let mut request = request.header("content-length", &length_bytes.to_string());
        self.signer.sign(&mut request, UNSIGNED_PAYLOAD, OffsetDateTime::now_utc());
        let head = head_of(&request);
        let mut stream = connect(&self.server.host(), None).await.unwrap();
        match cut {
            Cut::Head => stream.write_all(&head[..head.len() / 2]).await.unwrap(),
            Cut::Body(sent_bytes) => {
                stream.write_all(&head).await.unwrap();
                stream.write_all(&vec![3; sent_bytes]).await.unwrap();
            }
        }
        stream.flush().await.unwrap();
        // What was sent gets there before the end of the connection does.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What volumes take on the drives.
fn volume_bytes(server: &Server) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = server.drive_paths().iter().flat_map(|drive| shard_files(drive).unwrap());
    files.filter_map(|file| Some(std::fs::metadata(file).ok()?.blocks() * 512)).sum()
}

/// Objects and parts, small and large, cut off from the head to before the last byte; parts of uploads that are given up.
#[tokio::test]
async fn uploads_that_are_cut_off_at_any_point_give_their_room_back() {
    let quick =
        ServerConfig::drives(2).env("GRANARY_GRACE_MS", "500").env("GRANARY_MAINTENANCE_INTERVAL_MS", "200");
    let mut target = Target::start_with(quick).await;
    let client = target.server.client().unwrap();
    for length in [20_000, 3_000_000] {
        let body = [0, 1, length / 3, length / 2, length - 1].map(Cut::Body);
        for (number, cut) in std::iter::once(Cut::Head).chain(body).enumerate() {
            let key = format!("cut-{length}-{number}");
            target.cut_off(target.put(&key), length, cut).await;
            let begun = client.create_multipart_upload().bucket(BUCKET).key(&key).send().await.unwrap();
            let upload = begun.upload_id().unwrap();
            let part = client.upload_part().bucket(BUCKET).key(&key).upload_id(upload).part_number(1);
            part.body(vec![4; length].into()).send().await.unwrap();
            let part = target.put(&key).query("partNumber", "2").query("uploadId", upload);
            target.cut_off(part, length, cut).await;
            client.abort_multipart_upload().bucket(BUCKET).key(&key).upload_id(upload).send().await.unwrap();
        }
    }
    target.assert_unharmed().await;
    let written = volume_bytes(&target.server);
    assert!(written > 10 << 20, "only {written} bytes were written");
    // What is open goes when it is sealed.
    target.server.stop_and_restart().await.unwrap();
    let begun = Instant::now();
    while volume_bytes(&target.server) > LEFT_BYTES_MAX {
        let left = volume_bytes(&target.server);
        assert!(begun.elapsed() < PATIENCE, "{left} bytes of {written} are still taken");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    target.assert_unharmed().await;
}
