//! Drives that run full: a PUT is refused cleanly, reads and deletes go on, nothing is corrupted,
//! and there is room again after deleting. Mounts small tmpfs drives, and so needs root.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use granary_tests::client::decided;
use granary_tests::content::seeded_bytes;
use granary_tests::mount::Mount;
use granary_tests::{Server, ServerConfig, sound};

const BUCKET: &str = "full";
const DRIVE_BYTES: u64 = 40 << 20;
/// Volumes of smaller drives hold less than the background work compacts.
const COMPACTED_DRIVE_BYTES: u64 = 64 << 20;
const OBJECT_BYTES: usize = 300_000;
const SMALL_BYTES: usize = 20_000;
/// So many small objects, which are packed, lie among the others.
const SMALL: u64 = 100;
const PART_BYTES: usize = 5 << 20;
const ROOM_DEADLINE: Duration = Duration::from_secs(120);

/// A server on six small drives.
async fn start(drive_bytes: u64) -> (Server, Vec<Mount>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..6).map(|number| dir.path().join(format!("d{number}"))).collect();
    let mounts: Vec<_> = paths.iter().map(|path| Mount::tmpfs(path, drive_bytes).unwrap()).collect();
    let config = ServerConfig { drive_paths: paths, ..ServerConfig::default() };
    // Volumes as small beside these drives as the default ones are beside real drives: what was deleted first
    // leaves whole volumes dead. And freed data is kept for ten minutes by default; this test does not wait as long.
    let config = config
        .env("GRANARY_VOLUME_LIMIT_BYTES", "2097152")
        .env("GRANARY_GRACE_MS", "500")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "200");
    let server = Server::start(config).await.unwrap();
    server.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
    (server, mounts, dir)
}

#[tokio::test]
async fn a_full_disk_refuses_cleanly_and_recovers() {
    let (mut server, mounts, _dir) = start(DRIVE_BYTES).await;
    let client = server.client().unwrap();
    for number in 0..SMALL {
        let stored = put(&client, &format!("small/{number}"), number, SMALL_BYTES).await;
        assert!(matches!(stored, Put::Stored));
    }
    let upload = Upload::begin(&client).await;
    assert!(upload.part(&client, 1).await.is_some(), "there is room for a part");

    let kept = fill(&client).await;
    assert!(kept > 50, "only {kept} objects fitted");
    verify(&client, 0..kept).await;
    assert!(put(&client, "tiny-or-refused", 7, 10).await.is_ok_or_full());
    // Taken or refused: what was begun and refused may be given back meanwhile.
    upload.part(&client, 2).await;
    takes_nothing_without_a_record(&server, &client).await;

    server.kill_and_restart().await.unwrap();
    let client = server.client().unwrap();
    verify(&client, 0..kept).await;
    for number in 0..kept / 2 {
        client.delete_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
    }
    verify(&client, kept / 2..kept).await;

    wait_for_room(&server, &client).await;
    verify(&client, kept / 2..kept).await;
    upload.finish(&client).await;
    server.stop_and_restart().await.unwrap();
    let client = server.client().unwrap();
    verify(&client, kept / 2..kept).await;
    upload.verify(&client).await;
    sound::wait_complete(&server, 2).await.unwrap();
    sound::scrub(&server).await.unwrap();
    drop(server);
    drop(mounts);
}

/// What is deleted here and there leaves no volume dead: compaction takes of the reserve to give room back.
#[tokio::test]
async fn a_full_disk_recovers_when_every_volume_is_half_dead() {
    let (server, mounts, _dir) = start(COMPACTED_DRIVE_BYTES).await;
    let client = server.client().unwrap();
    let kept = fill(&client).await;
    for number in (0..kept).step_by(2) {
        client.delete_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
    }
    refill(&server, &client, kept / 8).await;
    for number in (1..kept).step_by(2) {
        verify_one(&client, &number.to_string(), number, OBJECT_BYTES).await;
    }
    sound::wait_complete(&server, 2).await.unwrap();
    sound::scrub(&server).await.unwrap();
    drop(server);
    drop(mounts);
}

/// A full drive is no lost drive: nothing is stored with less redundancy because of it.
#[tokio::test]
async fn one_full_disk_of_six_refuses_cleanly_and_recovers() {
    let (server, mounts, _dir) = start(DRIVE_BYTES).await;
    let client = server.client().unwrap();
    let upload = Upload::begin(&client).await;
    assert!(upload.part(&client, 1).await.is_some());
    for number in 0..20 {
        assert!(matches!(put(&client, &number.to_string(), number, OBJECT_BYTES).await, Put::Stored));
        let small = put(&client, &format!("small/{number}"), number, SMALL_BYTES).await;
        assert!(matches!(small, Put::Stored));
    }
    // The last drive, which has no part of the metadata.
    let other = server.drive_paths()[5].join("of-somebody-else");
    let mut filler = std::fs::File::create(&other).unwrap();
    while std::io::Write::write_all(&mut filler, &[7; 64 << 10]).is_ok() {}
    // What was measured before may let a few more in.
    let (refused, kept) = refused_in_a_row(&client, 20).await;
    assert!(refused, "a full drive is gone around");
    assert!(put(&client, "small/refused", 7, SMALL_BYTES).await.is_ok_or_full());
    assert!(upload.part(&client, 2).await.is_none(), "a part goes around a full drive");
    verify(&client, 0..kept).await;
    for number in 0..10 {
        client.delete_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
    }
    verify(&client, 10..kept).await;

    drop(filler);
    std::fs::remove_file(&other).unwrap();
    wait_for_room(&server, &client).await;
    verify(&client, 10..kept).await;
    upload.finish(&client).await;
    upload.verify(&client).await;
    sound::wait_complete(&server, 2).await.unwrap();
    sound::scrub(&server).await.unwrap();
    drop(server);
    drop(mounts);
}

/// A copy by reference, which needs no room but that of its record, was made without one: lost with the metadata.
async fn takes_nothing_without_a_record(server: &Server, client: &Client) {
    let copy = client.copy_object().bucket(BUCKET).key("copy-or-refused").copy_source(format!("{BUCKET}/0"));
    if let Err(refusal) = decided(copy.send().await).unwrap() {
        assert!(matches!(refusal.status, 503 | 507), "a full disk is {refusal:?}");
    }
    assert!(put(client, "empty-or-refused", 7, 0).await.is_ok_or_full());
    assert_eq!(server.metric("granary_records_left_out_total").await.unwrap(), 0.0);
}

/// Puts objects from number `next` on until five in a row are refused. Gives back whether they were, and the number behind the
/// last one that was stored.
async fn refused_in_a_row(client: &Client, mut next: u64) -> (bool, u64) {
    let mut refused = 0;
    for _ in 0..100 {
        match put(client, &next.to_string(), next, OBJECT_BYTES).await {
            Put::Stored => {
                next += 1;
                refused = 0;
            }
            Put::Full => refused += 1,
        }
        if refused == 5 {
            return (true, next);
        }
    }
    (false, next)
}

async fn wait_for_room(server: &Server, client: &Client) {
    let deadline = Instant::now() + ROOM_DEADLINE;
    while !matches!(put(client, "again", 1000, OBJECT_BYTES).await, Put::Stored) {
        assert!(Instant::now() < deadline, "no room came back\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits for room for so many objects: for one there may be some without that anything is freed.
async fn refill(server: &Server, client: &Client, count: u64) {
    let deadline = Instant::now() + ROOM_DEADLINE;
    for number in 0..count {
        let key = format!("again/{number}");
        while !matches!(put(client, &key, 1000 + number, OBJECT_BYTES).await, Put::Stored) {
            let room = "there came back room for";
            assert!(Instant::now() < deadline, "{room} {number} of {count}\n{}", server.log_tail());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// An upload of two parts, in progress while the drives run full.
struct Upload {
    id: String,
}

impl Upload {
    const KEY: &'static str = "parts";

    async fn begin(client: &Client) -> Self {
        let begun = client.create_multipart_upload().bucket(BUCKET).key(Self::KEY).send().await.unwrap();
        Self { id: begun.upload_id.unwrap() }
    }

    /// Uploads a part; `None` if there is no room for it.
    async fn part(&self, client: &Client, number: i32) -> Option<String> {
        let body = seeded_bytes(u64::try_from(number).unwrap(), PART_BYTES);
        let part = client.upload_part().bucket(BUCKET).key(Self::KEY).upload_id(&self.id).part_number(number);
        match decided(part.body(ByteStream::from(body)).send().await).unwrap() {
            Ok(part) => part.e_tag,
            Err(refusal) => {
                assert!(matches!(refusal.status, 503 | 507), "a full disk is {refusal:?}");
                None
            }
        }
    }

    /// Uploads the second part again, while there is room, and completes both.
    async fn finish(&self, client: &Client) {
        let deadline = Instant::now() + ROOM_DEADLINE;
        let second = loop {
            match self.part(client, 2).await {
                Some(tag) => break tag,
                None => assert!(Instant::now() < deadline, "no room for a part"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let listed =
            client.list_parts().bucket(BUCKET).key(Self::KEY).upload_id(&self.id).send().await.unwrap();
        let first = listed.parts()[0].e_tag.clone().unwrap();
        let parts = [(1, first), (2, second)];
        let parts =
            parts.map(|(number, tag)| CompletedPart::builder().part_number(number).e_tag(tag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        let complete = client.complete_multipart_upload().bucket(BUCKET).key(Self::KEY).upload_id(&self.id);
        complete.multipart_upload(parts).send().await.unwrap();
    }

    async fn verify(&self, client: &Client) {
        let got = client.get_object().bucket(BUCKET).key(Self::KEY).send().await.unwrap();
        let body = [seeded_bytes(1, PART_BYTES), seeded_bytes(2, PART_BYTES)].concat();
        assert!(got.body.collect().await.unwrap().to_vec() == body, "the uploaded object differs");
    }
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
        verify_one(client, &number.to_string(), number, OBJECT_BYTES).await;
    }
    let small = client.list_objects_v2().bucket(BUCKET).prefix("small/").send().await.unwrap();
    for object in small.contents() {
        let key = object.key().unwrap();
        let Ok(number) = key.trim_start_matches("small/").parse() else { continue };
        verify_one(client, key, number, SMALL_BYTES).await;
    }
}

async fn verify_one(client: &Client, key: &str, seed: u64, length: usize) {
    let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    assert!(got.body.collect().await.unwrap().to_vec() == seeded_bytes(seed, length), "{key} differs");
}
