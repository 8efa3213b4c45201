//! SSDs and disks in the real binary: objects move to the disks by rules, whatever dies in the middle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, CompletedMultipartUpload, CompletedPart, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, Transition, TransitionStorageClass,
};
use granary_tests::client::decided;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::mount::Mount;
use granary_tests::{Server, ServerConfig};

const BUCKET: &str = "tiers";
const DEADLINE: Duration = Duration::from_secs(60);
const SMALL: usize = 60;
const SMALL_BYTES: usize = 10_000;
const LARGE_BYTES: usize = 3_000_000;
const PART_BYTES: usize = 6 << 20;

fn config() -> ServerConfig {
    let config = ServerConfig { hdds: 4, ..ServerConfig::drives(7) };
    config
        .env("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", "1")
        .env("GRANARY_GRACE_MS", "500")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "100")
}

/// Everything moves to instant retrieval after a day, however small it is.
async fn set_rule(client: &Client) {
    let filter = LifecycleRuleFilter::builder().object_size_greater_than(1).build();
    let transition = Transition::builder().days(1).storage_class(TransitionStorageClass::GlacierIr).build();
    let rule = LifecycleRule::builder().filter(filter).status(ExpirationStatus::Enabled);
    let rule = rule.transitions(transition).build().unwrap();
    let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
    let put = client.put_bucket_lifecycle_configuration().bucket(BUCKET).lifecycle_configuration(rules);
    put.send().await.unwrap();
}

/// The keys and what they hold.
fn contents() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> =
        (0..SMALL).map(|n| (format!("small/{n:03}"), seeded_bytes(n as u64, SMALL_BYTES))).collect();
    all.push(("large".to_owned(), seeded_bytes(1_000, LARGE_BYTES)));
    all.push(("parts".to_owned(), seeded_bytes(2_000, 2 * PART_BYTES)));
    all
}

async fn put_all(client: &Client) {
    for (key, body) in contents() {
        if key == "parts" {
            put_parts(client, &key, &body).await;
            continue;
        }
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body)).send().await.unwrap();
    }
}

async fn put_parts(client: &Client, key: &str, body: &[u8]) {
    let begun = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let upload = begun.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, bytes) in (1..).zip(body.chunks(PART_BYTES)) {
        let part = client.upload_part().bucket(BUCKET).key(key).upload_id(upload).part_number(number);
        let part = part.body(ByteStream::from(bytes.to_vec())).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let done = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
    complete.multipart_upload(done).send().await.unwrap();
}

async fn is_moved(client: &Client) -> bool {
    let page = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let objects = page.contents.unwrap_or_default();
    objects.len() == contents().len()
        && objects
            .iter()
            .all(|object| object.storage_class().is_some_and(|class| class.as_str() == "GLACIER_IR"))
}

async fn check_all(client: &Client) {
    for (key, body) in contents() {
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == body, "{key}");
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut reached: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What lives on drives of a class.
async fn live_bytes(server: &Server, class: &str) -> u64 {
    let output = server.admin_output(&["tier", "list", "--json"]).await.unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tiers = list["tiers"].as_array().unwrap();
    tiers.iter().filter(|tier| tier["class"] == class).filter_map(|tier| tier["live_bytes"].as_u64()).sum()
}

#[tokio::test]
async fn a_move_that_dies_at_any_step_goes_on_and_loses_nothing() {
    for point in [
        "tier.after_copy_before_verify",
        "tier.after_verify_before_commit",
        "tier.after_blob",
        "tier.after_commit",
    ] {
        let mut server = Server::start(config()).await.unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        put_all(&client).await;
        server.stop().await.unwrap();
        let mut env = config().env;
        env.push(("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1")));
        server.set_env(env);
        server.launch().await.unwrap();
        set_rule(&server.client().unwrap()).await;
        until(point, || std::future::ready(server.try_wait().unwrap().is_some())).await;
        server.kill().unwrap();
        server.set_env(config().env);
        server.launch().await.unwrap();
        let client = server.client().unwrap();
        check_all(&client).await;
        until("everything is moved", || is_moved(&client)).await;
        check_all(&client).await;
        let total: usize = contents().iter().map(|(_, body)| body.len()).sum();
        let server = &server;
        until("nothing lives twice", || async {
            (live_bytes(server, "ssd").await, live_bytes(server, "hdd").await) == (0, total as u64)
        })
        .await;
        check_all(&client).await;
    }
}

/// Some of the disks are lost in the middle of a move: what is moved is right nevertheless.
#[tokio::test]
async fn a_disk_lost_in_the_middle_of_a_move_loses_nothing() {
    let server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put_all(&client).await;
    set_rule(&client).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let lost = server.drive_paths().last().unwrap().clone();
    while std::fs::remove_dir_all(&lost).is_err() && lost.exists() {}
    check_all(&client).await;
    until("everything is moved", || is_moved(&client)).await;
    check_all(&client).await;
}

/// SSDs that run full: writes are refused, or go to the disks if the operator says so, and come back right. Mounts small tmpfs
/// drives, and so needs root.
#[tokio::test]
async fn full_ssds_refuse_or_spill_and_corrupt_nothing() {
    const OBJECT_BYTES: usize = 400_000;
    const OBJECTS: u64 = 300;
    for (policy, fits_all) in [("refuse", false), ("spill", true)] {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..7).map(|number| dir.path().join(format!("d{number}"))).collect();
        let ssds = paths.iter().take(3);
        let mounts: Vec<_> = ssds.map(|path| Mount::tmpfs(path, 40 << 20).unwrap()).collect();
        let config = ServerConfig { drive_paths: paths, hdds: 4, ..ServerConfig::default() };
        let config = config
            .env("GRANARY_WHEN_SSD_FULL", policy)
            .env("GRANARY_VOLUME_LIMIT_BYTES", "1048576")
            .env("GRANARY_MAINTENANCE_INTERVAL_MS", "200");
        let server = Server::start(config).await.unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        let mut stored = Vec::new();
        for number in 0..OBJECTS {
            let body = ByteStream::from(seeded_bytes(number, OBJECT_BYTES));
            let put = client.put_object().bucket(BUCKET).key(number.to_string()).body(body).send().await;
            match decided(put).unwrap() {
                Ok(_) => stored.push(number),
                Err(refusal) => assert_eq!(refusal.status, 503),
            }
        }
        assert!(stored.len() > 20, "{policy}: {stored:?}");
        // While the SSDs fill up, a write that has begun there may be refused.
        let most = stored.len() as u64 > OBJECTS - 10;
        assert_eq!(most, fits_all, "{policy}: {} stored", stored.len());
        for number in stored {
            let got = client.get_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
            assert!(got.body.collect().await.unwrap().into_bytes() == seeded_bytes(number, OBJECT_BYTES));
        }
        assert_eq!(live_bytes(&server, "hdd").await > 0, fits_all, "{policy}");
        drop(server);
        drop(mounts);
    }
}

/// Three nodes, each with an SSD and a disk: whoever moves may die, and another goes on.
#[tokio::test]
async fn nodes_move_for_each_other() {
    let mut cluster = Cluster::empty().unwrap();
    for _ in 0..3 {
        let mut node = ServerConfig { hdds: 1, ..cluster.node_config(2) };
        node.env.extend(config().env);
        cluster.nodes.push(Server::start(node).await.unwrap());
    }
    cluster.wait_for(3).await.unwrap();
    let client = cluster.nodes[1].client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put_all(&client).await;
    assert!(live_bytes(&cluster.nodes[2], "hdd").await < live_bytes(&cluster.nodes[2], "ssd").await);
    set_rule(&client).await;
    // The first node holds the lease of what one does for all.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    cluster.nodes[0].kill().unwrap();
    check_all(&client).await;
    until("everything is moved", || is_moved(&client)).await;
    cluster.nodes[0].launch().await.unwrap();
    cluster.wait_for(3).await.unwrap();
    for node in &cluster.nodes {
        check_all(&node.client().unwrap()).await;
    }
    let total: usize = contents().iter().map(|(_, body)| body.len()).sum();
    let node = &cluster.nodes[2];
    until("nothing lives twice", || async {
        (live_bytes(node, "ssd").await, live_bytes(node, "hdd").await) == (0, total as u64)
    })
    .await;
    cluster.wait_complete(1).await.unwrap();
}
