//! Drives that run full: a PUT is refused cleanly, reads and deletes go on, nothing is corrupted,
//! and there is room again after deleting. Mounts small tmpfs drives, and so needs root.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::client::decided;
use granary_tests::content::seeded_bytes;
use granary_tests::mount::Mount;
use granary_tests::{Server, ServerConfig};

const BUCKET: &str = "full";
const DRIVE_BYTES: u64 = 40 << 20;
const OBJECT_BYTES: usize = 300_000;
const ROOM_DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_full_disk_refuses_cleanly_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..6).map(|number| dir.path().join(format!("d{number}"))).collect();
    let mounts: Vec<_> = paths.iter().map(|path| Mount::tmpfs(path, DRIVE_BYTES).unwrap()).collect();
    let config = ServerConfig { drive_paths: paths, ..ServerConfig::default() };
    // Volumes as small beside these drives as the default ones are beside real drives: what was deleted first
    // leaves whole volumes dead. And freed data is kept for ten minutes by default; this test does not wait as long.
    let config = config
        .env("GRANARY_VOLUME_LIMIT_BYTES", "2097152")
        .env("GRANARY_GRACE_MS", "500")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "200");
    let mut server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();

    let kept = fill(&client).await;
    assert!(kept > 50, "only {kept} objects fitted");
    verify(&client, 0..kept).await;
    assert!(put(&client, "tiny-or-refused", 7, 10).await.is_ok_or_full());

    server.kill_and_restart().await.unwrap();
    let client = server.client().unwrap();
    verify(&client, 0..kept).await;
    for number in 0..kept / 2 {
        client.delete_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
    }
    verify(&client, kept / 2..kept).await;

    let deadline = Instant::now() + ROOM_DEADLINE;
    while !matches!(put(&client, "again", 1000, OBJECT_BYTES).await, Put::Stored) {
        assert!(Instant::now() < deadline, "no room came back\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    verify(&client, kept / 2..kept).await;
    drop(server);
    drop(mounts);
}

enum Put {
    Stored,
    Full,
}

impl Put {
    fn is_ok_or_full(&self) -> bool {
        matches!(self, Self::Stored | Self::Full)
    }
}

async fn put(client: &Client, key: &str, seed: u64, length: usize) -> Put {
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(seeded_bytes(seed, length)));
    match decided(put.send().await).unwrap() {
        Ok(_) => Put::Stored,
        Err(refusal) => {
            assert!(matches!(refusal.status, 503 | 507), "a full disk is {refusal:?}");
            Put::Full
        }
    }
}

/// Puts objects until several in a row are refused; returns how many were acknowledged.
async fn fill(client: &Client) -> u64 {
    let mut stored = 0;
    let mut refused = 0;
    while refused < 5 {
        match put(client, &stored.to_string(), stored, OBJECT_BYTES).await {
            Put::Stored => stored += 1,
            Put::Full => refused += 1,
        }
        assert!(stored < 2_000, "the drives never ran full");
    }
    stored
}

async fn verify(client: &Client, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let got = client.get_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
        assert!(
            got.body.collect().await.unwrap().to_vec() == seeded_bytes(number, OBJECT_BYTES),
            "{number} differs"
        );
    }
}
