//! What may go wrong in the middle of a move between tiers, in the real binary: the server dies at every step of it, the power
//! fails, drives are lost, and clients overwrite, delete, copy and lock what is moved.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ObjectLockLegalHold, ObjectLockLegalHoldStatus, StorageClass, TransitionStorageClass,
};
use granary_tests::client::decided;
use granary_tests::content::seeded_bytes;
use granary_tests::load::{self, Ledger, Load, OnFailure};
use granary_tests::mount::Mount;
use granary_tests::server::binary;
use granary_tests::tiers::{
    BUCKET, HDDS, check_all, complete, config, content_bytes, count_classes, live_bytes, put_all, set_rule,
    wait, wait_among_on_disks, wait_collected, wait_live, wait_moved, wait_on_disks,
};
use granary_tests::{PATIENCE, Server, ServerConfig};
use tokio::task::JoinSet;

const IR: TransitionStorageClass = TransitionStorageClass::GlacierIr;
const IMAGE_BYTES: u64 = 2 << 30;

/// Every step of a move: of packed objects, of large ones, and of what only changes its class.
const STEPS: [&str; 7] = [
    "tier.after_pack_before_verify",
    "tier.after_pack_verify_before_commit",
    "tier.after_pack_commit",
    "tier.after_copy_before_verify",
    "tier.after_blob",
    "tier.after_verify_before_commit",
    "tier.after_commit",
];

/// Starts with everything written and no rule yet; the next life dies at `point`.
async fn filled(config: ServerConfig, point: Option<&str>) -> Server {
    let mut server = Server::start(config).await.unwrap();
    put_all(&server.client().unwrap()).await.unwrap();
    server.stop().await.unwrap();
    let mut env = self::config().env;
    env.extend(point.map(|point| ("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1"))));
    server.set_env(env);
    server.launch().await.unwrap();
    server
}

/// Everything is there while it moves, and moved in the end, once, with all its shards and nothing else.
async fn is_moved_whole(server: &Server) {
    let client = server.client().unwrap();
    check_all(&client).await.unwrap();
    wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    check_all(&client).await.unwrap();
    wait_on_disks(server, content_bytes()).await.unwrap();
    wait_collected(server, 1).await.unwrap();
    check_all(&client).await.unwrap();
}

#[tokio::test]
async fn a_move_that_is_killed_at_any_step_goes_on_and_loses_nothing() {
    for point in STEPS {
        let mut server = filled(config(), Some(point)).await;
        set_rule(&server.client().unwrap(), BUCKET, IR).await.unwrap();
        let death = server.wait_exit(PATIENCE).await;
        death.unwrap_or_else(|error| panic!("{point} was not reached: {error:#}"));
        server.set_env(config().env);
        server.launch().await.unwrap();
        is_moved_whole(&server).await;
    }
}

/// The power fails at each step, and at some other times: what was not flushed is gone.
#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_move_loses_nothing() {
    let steps = STEPS.into_iter().map(Some).chain([None; 3]);
    for (number, point) in (0_u64..).zip(steps) {
        let dir = tempfile::tempdir().unwrap();
        let (image, mounted) = (dir.path().join("image"), dir.path().join("disk"));
        Mount::make_ext4(&image, IMAGE_BYTES).unwrap();
        let mut mount = Mount::ext4(&mounted, &image).unwrap();
        let drive_paths = (0..3 + HDDS).map(|drive| mounted.join(format!("d{drive}"))).collect();
        let mut server = filled(ServerConfig { drive_paths, ..config() }, point).await;
        set_rule(&server.client().unwrap(), BUCKET, IR).await.unwrap();
        match point {
            Some(_) => drop(server.wait_exit(PATIENCE).await.unwrap()),
            None => tokio::time::sleep(Duration::from_millis(1_000 + 150 * number)).await,
        }
        mount.cut_power().unwrap();
        server.kill().unwrap();
        mount = remount(mount, &mounted, &image);
        server.set_env(config().env);
        server.launch().await.unwrap();
        is_moved_whole(&server).await;
        drop(server);
        drop(mount);
    }
}

fn remount(mount: Mount, mounted: &Path, image: &Path) -> Mount {
    drop(mount);
    Mount::ext4(mounted, image).unwrap()
}

/// A disk that is written, and an SSD that is read, are lost in the middle of a move.
#[tokio::test]
async fn a_drive_lost_in_the_middle_of_a_move_loses_nothing() {
    for slot in [0, 6] {
        let server = Server::start(config()).await.unwrap();
        let client = server.client().unwrap();
        put_all(&client).await.unwrap();
        set_rule(&client, BUCKET, IR).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let lost = server.drive_paths()[slot].clone();
        while std::fs::remove_dir_all(&lost).is_err() && lost.exists() {}
        check_all(&client).await.unwrap();
        wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
        check_all(&client).await.unwrap();
        // A new drive in its place takes its share.
        std::fs::create_dir_all(&lost).unwrap();
        let mut left = None;
        let healed = wait("the census is complete", PATIENCE, async || {
            // What was being moved or sealed is for the next heal.
            server.admin_output(&["heal"]).await?;
            left = complete(&server, 1).await.err();
            Ok(left.is_none())
        });
        healed.await.with_context(|| format!("{left:?}")).unwrap();
        // Not with heals going on: each seals what is open, which is compacted then.
        wait_collected(&server, 1).await.unwrap();
        wait_live(&server, content_bytes()).await.unwrap();
        check_all(&client).await.unwrap();
    }
}

/// Clients put, overwrite, delete, upload in parts and read what rules move under them.
#[tokio::test]
async fn a_load_on_what_is_moved_never_sees_a_wrong_byte() {
    let mut server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(load::BUCKET).send().await.unwrap();
    set_rule(&client, load::BUCKET, IR).await.unwrap();
    let ledger = Arc::new(Ledger::default());
    for seed in 0..3 {
        let load = Load::start(&server.client().unwrap(), &ledger, 8, seed, OnFailure::Stop);
        tokio::time::sleep(Duration::from_secs(4)).await;
        if seed == 1 {
            server.kill().unwrap();
        }
        load.finish().await.unwrap();
        if seed == 1 {
            server.launch().await.unwrap();
        }
        ledger.verify(&server.client().unwrap()).await.unwrap();
    }
    let counts = count_classes(&server.client().unwrap(), load::BUCKET, &["STANDARD", "GLACIER_IR"]).await;
    assert!(counts.unwrap()[1] > 0, "nothing was moved under the load");
    // Parts of uploads that the death cut off stay where they are, until they are given up. The rule moves nothing that is empty.
    let client = server.client().unwrap();
    let uploads = client.list_multipart_uploads().bucket(load::BUCKET).send().await.unwrap();
    for upload in uploads.uploads() {
        let abort = client.abort_multipart_upload().bucket(load::BUCKET);
        let abort = abort.set_key(upload.key.clone()).set_upload_id(upload.upload_id.clone());
        abort.send().await.unwrap();
    }
    let moved =
        wait("what is not empty is moved", PATIENCE, async || Ok(live_bytes(&server, "ssd").await? == 0));
    moved.await.unwrap();
    ledger.verify(&client).await.unwrap();
    // Copies share the bytes of large objects, and may go on sharing them on the disks.
    wait_among_on_disks(&server, ledger.distinct_bytes()..=ledger.settled_bytes()).await.unwrap();
    wait_collected(&server, 1).await.unwrap();
    ledger.verify(&client).await.unwrap();
}

/// Objects are copied and locked while they are moved. Locks move with them and hold.
#[tokio::test]
async fn copies_and_locks_race_the_moves() {
    const OBJECTS: u64 = 24;
    let server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    let bucket = client.create_bucket().bucket(BUCKET).object_lock_enabled_for_bucket(true);
    bucket.send().await.unwrap();
    let body = |n: u64| seeded_bytes(n, if n.is_multiple_of(2) { 9_000 } else { 400_000 });
    for n in 0..OBJECTS {
        let put = client.put_object().bucket(BUCKET).key(format!("o{n}"));
        put.body(ByteStream::from(body(n))).send().await.unwrap();
    }
    set_rule(&client, BUCKET, IR).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut racers = JoinSet::new();
    for n in 0..OBJECTS {
        racers.spawn(race_one(client.clone(), n, body(n).len()));
    }
    let held: BTreeMap<String, Option<String>> = racers.join_all().await.into_iter().collect();
    for key in held.keys().cloned().chain((0..OBJECTS).map(|n| format!("copy{n}"))) {
        let n: u64 = key.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let moved = wait(&key, PATIENCE, async || {
            let head = client.head_object().bucket(BUCKET).key(&key).send().await?;
            Ok(head.storage_class() == Some(&StorageClass::GlacierIr))
        });
        moved.await.unwrap();
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == body(n), "{key}");
    }
    for (key, version) in &held {
        let delete = client.delete_object().bucket(BUCKET).key(key).set_version_id(version.clone());
        assert_eq!(decided(delete.send().await).unwrap().unwrap_err().status, 403, "{key} is held");
    }
    wait("nothing is left on the SSDs", PATIENCE, async || Ok(live_bytes(&server, "ssd").await? == 0))
        .await
        .unwrap();
    // A copy of a large object shares its bytes, unless it was made when these lay elsewhere already.
    let lengths = |parity: u64| (parity..OBJECTS).step_by(2).map(|n| body(n).len() as u64).sum::<u64>();
    let (small, large, live) = (lengths(0), lengths(1), live_bytes(&server, "hdd").await.unwrap());
    assert!((2 * small + large..=2 * (small + large)).contains(&live), "{small} {large} {live}");
    wait_collected(&server, 1).await.unwrap();
}

/// Puts a hold on an object, copies it elsewhere, and gives back the version that is held.
async fn race_one(client: Client, n: u64, length: usize) -> (String, Option<String>) {
    let key = format!("o{n}");
    tokio::time::sleep(Duration::from_millis(n * 17 % 200)).await;
    let hold = ObjectLockLegalHold::builder().status(ObjectLockLegalHoldStatus::On).build();
    let put = client.put_object_legal_hold().bucket(BUCKET).key(&key).legal_hold(hold);
    put.send().await.unwrap();
    let source = format!("{BUCKET}/{key}");
    let copy = client.copy_object().bucket(BUCKET).key(format!("copy{n}")).copy_source(&source);
    copy.send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
    assert_eq!(head.content_length(), Some(i64::try_from(length).unwrap()));
    (key, head.version_id)
}

/// The database and its copies are gone after everything was moved: the blocks tell the classes.
#[tokio::test]
async fn without_the_database_moved_objects_keep_their_class() {
    let config = || config().env("GRANARY_METADATA_BACKUPS_KEPT", "0");
    let mut server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    put_all(&client).await.unwrap();
    client
        .put_object()
        .bucket(BUCKET)
        .key("empty-ish")
        .body(ByteStream::from_static(b"ab"))
        .send()
        .await
        .unwrap();
    set_rule(&client, BUCKET, IR).await.unwrap();
    wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    // Of the same drives: only the class changes.
    set_rule(&client, BUCKET, TransitionStorageClass::Glacier).await.unwrap();
    wait_moved(&client, BUCKET, "GLACIER_IR", "GLACIER").await.unwrap();
    server.admin(&["volume", "compact"]).await.unwrap();
    server.kill().unwrap();
    for path in server.drive_paths() {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
        let _none = std::fs::remove_dir_all(path.join("backups"));
    }
    let mut command = Command::new(binary().unwrap());
    command.args(["--json", "recover", "--from-drives", "--apply", "--candidates", "suggested"]);
    for path in server.drive_paths() {
        command.arg("--data").arg(path);
    }
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    let counts = count_classes(&client, BUCKET, &["STANDARD", "GLACIER"]).await.unwrap();
    assert_eq!(counts, [0, granary_tests::tiers::contents().len() + 1]);
}

/// What only changes its class dies with a record of it written: the next walk tells it again.
#[tokio::test]
async fn a_change_of_class_alone_that_is_killed_goes_on() {
    let mut server = Server::start(config()).await.unwrap();
    put_all(&server.client().unwrap()).await.unwrap();
    set_rule(&server.client().unwrap(), BUCKET, IR).await.unwrap();
    wait_moved(&server.client().unwrap(), BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    server.stop().await.unwrap();
    let mut env = config().env;
    env.push(("GRANARY_CRASH_POINT".to_owned(), "tier.after_labels:1".to_owned()));
    server.set_env(env);
    server.launch().await.unwrap();
    set_rule(&server.client().unwrap(), BUCKET, TransitionStorageClass::Glacier).await.unwrap();
    server.wait_exit(PATIENCE).await.unwrap();
    server.set_env(config().env);
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    wait_moved(&client, BUCKET, "GLACIER_IR", "GLACIER").await.unwrap();
    wait_on_disks(&server, content_bytes()).await.unwrap();
    wait_collected(&server, 1).await.unwrap();
}
