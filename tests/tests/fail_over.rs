//! The database fails over to an asynchronous standby that had not received all: what was acknowledged and lost is committed
//! again from the blocks, or reported, and nothing is freed before that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, Tag, Tagging, VersioningConfiguration,
};
use granary_tests::census::shard_files;
use granary_tests::client::decided;
use granary_tests::cluster::{Cluster, Replication};
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::{Flushing, PostgresCluster, Stop, url_of};
use granary_tests::{PATIENCE, Server, ServerConfig};

const WORKERS: u64 = 8;
const VERSIONED: &str = "versioned";
const LOAD_TIME: Duration = Duration::from_millis(1500);
/// What is freed is removed at once, so that what is freed wrongly is missed.
const QUICK: [(&str, &str); 2] = [("GRANARY_GRACE_MS", "1000"), ("GRANARY_MAINTENANCE_INTERVAL_MS", "200")];

async fn started(nodes: usize) -> (Cluster, Vec<Client>) {
    started_with(nodes, &QUICK).await
}

async fn started_with(nodes: usize, settings: &[(&str, &str)]) -> (Cluster, Vec<Client>) {
    let cluster = Cluster::start_replicated(nodes, Replication::Asynchronous, settings).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    (cluster, clients)
}

async fn put(client: &Client, key: &str, seed: u64, length: usize) {
    let body = ByteStream::from(seeded_bytes(seed, length));
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
}

async fn get(client: &Client, bucket: &str, key: &str) -> Option<Vec<u8>> {
    match decided(client.get_object().bucket(bucket).key(key).send().await).unwrap() {
        Ok(got) => Some(got.body.collect().await.unwrap().to_vec()),
        Err(refusal) => {
            assert_eq!(refusal.status, 404, "{key}: {refusal:?}");
            None
        }
    }
}

fn small(seed: u64) -> ByteStream {
    ByteStream::from(seeded_bytes(seed, 100))
}

async fn holds(clients: &[Client], key: &str, seed: u64, length: usize) {
    for client in clients {
        let found = get(client, BUCKET, key).await;
        assert!(
            found.as_deref() == Some(&seeded_bytes(seed, length)),
            "{key} is {:?}",
            found.map(|f| f.len())
        );
    }
}

async fn multipart(client: &Client, key: &str, seed: u64) -> Vec<u8> {
    let body = seeded_bytes(seed, (5 << 20) + 1234);
    let created = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let upload = created.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, part) in (1..).zip(body.chunks(5 << 20)) {
        let request = client.upload_part().bucket(BUCKET).key(key).upload_id(upload).part_number(number);
        let sent = request.body(ByteStream::from(part.to_vec())).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
    }
    let completed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let request = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
    request.multipart_upload(completed).send().await.unwrap();
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_standby_had_not_received_is_committed_again_or_reported() {
    // What clients write through each node lives in volumes of its own. One of which little lives would be compacted soon after, and its
    // files removed.
    let apart = [QUICK[0], QUICK[1], ("GRANARY_PACK_ALONE", "true")];
    let (mut cluster, clients) = started_with(3, &apart).await;
    keep(&clients).await;
    cluster.standby_has_all().unwrap();
    cluster.cut_standby_off().unwrap();
    let whole = write_what_will_be_lost(&clients).await;

    let files = || cluster.drives().iter().map(|drive| shard_files(drive).unwrap()).collect::<Vec<_>>();
    let before = files();
    cluster.fail_over().unwrap();
    cluster.wait_for(3).await.unwrap();
    cluster.wait_settled().await.unwrap();
    is_there_again(&clients, &whole).await;
    only_what_no_block_tells_is_reported(&cluster).await;
    for (left, drive) in before.iter().zip(cluster.drives()) {
        let now = shard_files(&drive).unwrap();
        assert!(left.iter().all(|file| now.contains(file)), "a shard was removed: {left:?}, now {now:?}");
    }
    goes_on(&mut cluster, &before).await;
}

/// What the standby has.
async fn keep(clients: &[Client]) {
    clients[0].create_bucket().bucket(VERSIONED).send().await.unwrap();
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let enabling = clients[0].put_bucket_versioning().bucket(VERSIONED);
    enabling.versioning_configuration(enabled).send().await.unwrap();
    clients[0].put_object().bucket(VERSIONED).key("v").body(small(40)).send().await.unwrap();
    for number in 0..6 {
        put(&clients[number % 3], &format!("kept/{number}"), number as u64, 50_000).await;
    }
}

/// What it has not. Returns the bytes of an object of two parts.
async fn write_what_will_be_lost(clients: &[Client]) -> Vec<u8> {
    for number in 0..6 {
        put(&clients[number % 3], &format!("new/{number}"), 100 + number as u64, 50_000).await;
    }
    // Long enough for a second volume, of which the standby knows nothing.
    put(&clients[1], "large", 200, 3_000_000).await;
    put(&clients[2], "kept/1", 201, 40_000).await;
    put(&clients[0], "twice", 202, 100).await;
    put(&clients[1], "twice", 203, 100).await;
    put(&clients[1], "gone again", 204, 100).await;
    clients[2].delete_object().bucket(BUCKET).key("gone again").send().await.unwrap();
    clients[1].delete_object().bucket(BUCKET).key("kept/0").send().await.unwrap();
    clients[1].delete_object().bucket(BUCKET).key("kept/2").send().await.unwrap();
    // On a condition that holds because of the delete.
    let anew = clients[1].put_object().bucket(BUCKET).key("kept/2").if_none_match("*");
    anew.body(ByteStream::from(seeded_bytes(205, 100))).send().await.unwrap();
    let tags =
        Tagging::builder().tag_set(Tag::builder().key("a").value("b").build().unwrap()).build().unwrap();
    clients[0].put_object_tagging().bucket(BUCKET).key("kept/3").tagging(tags).send().await.unwrap();
    let whole = multipart(&clients[0], "parts", 206).await;
    clients[1].put_object().bucket(VERSIONED).key("v").body(small(41)).send().await.unwrap();
    clients[2].delete_object().bucket(VERSIONED).key("m").send().await.unwrap();
    clients[0].create_bucket().bucket("late").send().await.unwrap();
    clients[0].put_object().bucket("late").key("k").body(small(50)).send().await.unwrap();
    whole
}

async fn is_there_again(clients: &[Client], whole: &[u8]) {
    for number in 0..6 {
        holds(clients, &format!("new/{number}"), 100 + number, 50_000).await;
    }
    for number in 3..6 {
        holds(clients, &format!("kept/{number}"), number, 50_000).await;
    }
    holds(clients, "large", 200, 3_000_000).await;
    holds(clients, "kept/1", 201, 40_000).await;
    holds(clients, "twice", 203, 100).await;
    holds(clients, "kept/2", 205, 100).await;
    for client in clients {
        assert_eq!(get(client, BUCKET, "gone again").await, None);
        assert!(get(client, BUCKET, "parts").await.unwrap() == *whole);
        assert!(get(client, VERSIONED, "v").await.unwrap() == seeded_bytes(41, 100));
        assert!(get(client, "late", "k").await.unwrap() == seeded_bytes(50, 100));
    }
    let versions = clients[0].list_object_versions().bucket(VERSIONED).send().await.unwrap();
    assert_eq!((versions.versions().len(), versions.delete_markers().len()), (2, 1));
    // The delete is undone.
    holds(clients, "kept/0", 0, 50_000).await;
}

/// The delete, and tags.
async fn only_what_no_block_tells_is_reported(cluster: &Cluster) {
    let losses = cluster.losses().await.unwrap();
    let reported = |key: &str, kind: &str| losses.contains(&(key.to_owned(), kind.to_owned()));
    assert!(reported("kept/0", "delete") && reported("kept/3", "change"), "{losses:?}");
    for (key, kind) in &losses {
        let is_expected = key == "kept/0" || kind == "change" || kind == "part";
        assert!(is_expected, "{key} {kind} is reported: {losses:?}");
    }
}

/// What is deleted from now on is deleted and freed, and nothing is lost when the nodes begin anew.
async fn goes_on(cluster: &mut Cluster, before: &[Vec<PathBuf>]) {
    let clients = cluster.clients().unwrap();
    let listed = clients[0].list_objects_v2().bucket(BUCKET).send().await.unwrap();
    for object in listed.contents() {
        clients[1].delete_object().bucket(BUCKET).key(object.key().unwrap()).send().await.unwrap();
    }
    put(&clients[2], "after", 300, 1000).await;
    for node in &mut cluster.nodes {
        node.stop_and_restart().await.unwrap();
    }
    cluster.wait_for(3).await.unwrap();
    let clients = cluster.clients().unwrap();
    holds(&clients, "after", 300, 1000).await;
    let dismissed = cluster.nodes[0].admin(&["metadata", "losses", "--dismiss"]).await.unwrap();
    assert!(dismissed.contains("dismissed"), "{dismissed}");
    assert_eq!(cluster.losses().await.unwrap(), []);
    let begun = Instant::now();
    while before.iter().flatten().all(|file| file.exists()) {
        assert!(begun.elapsed() < PATIENCE, "nothing is freed any more");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Under load, of which the standby receives the first half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_acknowledged_write_is_there_or_reported() {
    let (mut cluster, clients) = started(6).await;
    let ledger = Arc::new(Ledger::default());
    let mut load = Load::spread(&clients, &ledger, WORKERS, 1, OnFailure::AcceptLoss);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.cut_standby_off().unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    let at_death = ledger.acknowledged();
    cluster.fail_over().unwrap();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    load.goes_on(at_death).await.unwrap();
    load.finish().await.unwrap();
    cluster.wait_settled().await.unwrap();
    let losses = cluster.losses().await.unwrap();
    let reported: BTreeSet<String> = losses.into_iter().map(|(key, _)| key).collect();
    assert!(reported.len() < ledger.keys().len() / 2, "most is lost: {reported:?}");
    for client in &clients {
        ledger.verify_but(client, &reported).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

/// The node that was answered dies with the database: the others find what it wrote on their drives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_wrote_that_died_with_the_database_is_found_by_the_others() {
    let (mut cluster, clients) = started(6).await;
    put(&clients[0], "kept", 1, 50_000).await;
    cluster.standby_has_all().unwrap();
    cluster.cut_standby_off().unwrap();
    for number in 0..4 {
        put(&clients[0], &format!("new/{number}"), 10 + number, 50_000).await;
    }
    // The first large object opens a volume that the standby does not know.
    put(&clients[0], "large", 20, 3_000_000).await;
    put(&clients[1], "other", 21, 50_000).await;
    cluster.nodes[0].kill().unwrap();
    cluster.fail_over().unwrap();
    cluster.wait_for(5).await.unwrap();
    cluster.wait_settled().await.unwrap();
    let others = cluster.clients().unwrap();
    for number in 0..4 {
        holds(&others, &format!("new/{number}"), 10 + number, 50_000).await;
    }
    holds(&others, "kept", 1, 50_000).await;
    holds(&others, "large", 20, 3_000_000).await;
    holds(&others, "other", 21, 50_000).await;
    cluster.nodes[0].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    holds(&cluster.clients().unwrap(), "large", 20, 3_000_000).await;
    cluster.wait_complete(2).await.unwrap();
    assert_eq!(cluster.losses().await.unwrap(), []);
}

/// All nodes end with the database, and begin again with the standby in its place; and while one repairs, it is killed at
/// each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_begin_after_the_fail_over_or_die_in_the_repair_lose_nothing() {
    const POINTS: [&str; 6] = [
        "fail_over.after_tail",
        "fail_over.before_end",
        "fail_over.after_end",
        "fail_over.before_recommit:3",
        "fail_over.after_recommit",
        "fail_over.before_settle",
    ];
    let (mut cluster, clients) = started(3).await;
    put(&clients[0], "kept", 1, 50_000).await;
    cluster.standby_has_all().unwrap();
    cluster.cut_standby_off().unwrap();
    for number in 0..12 {
        put(&clients[number % 3], &format!("new/{number}"), 10 + number as u64, 50_000).await;
    }
    put(&clients[0], "large", 30, 3_000_000).await;
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    cluster.fail_over().unwrap();
    // One of them dies at each step in turn; the next life goes on where it was.
    for node in &mut cluster.nodes[1..] {
        node.spawn().unwrap();
    }
    for point in POINTS {
        let mut env = cluster.nodes[0].config_mut().env.clone();
        env.push(("GRANARY_CRASH_POINT".to_owned(), point.to_owned()));
        let before = std::mem::replace(&mut cluster.nodes[0].config_mut().env, env);
        cluster.nodes[0].spawn().unwrap();
        // Not every life passes every point: what another node did before it need not be done again.
        let _ended = cluster.nodes[0].wait_exit(Duration::from_secs(5)).await;
        cluster.nodes[0].kill().ok();
        cluster.nodes[0].config_mut().env = before;
    }
    cluster.nodes[0].spawn().unwrap();
    cluster.wait_for(3).await.unwrap();
    cluster.wait_settled().await.unwrap();
    let clients = cluster.clients().unwrap();
    for number in 0..12 {
        holds(&clients, &format!("new/{number}"), 10 + number, 50_000).await;
    }
    holds(&clients, "kept", 1, 50_000).await;
    holds(&clients, "large", 30, 3_000_000).await;
    cluster.wait_complete(1).await.unwrap();
}

/// One machine with its metadata in Postgres.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_each_step_of_the_repair_goes_on_where_it_was() {
    const POINTS: [&str; 8] = [
        "fail_over.after_tail",
        "fail_over.before_volume",
        "fail_over.before_end",
        "fail_over.after_end",
        "fail_over.before_bucket",
        "fail_over.before_recommit:3",
        "fail_over.after_recommit",
        "fail_over.before_settle",
    ];
    let primary = PostgresCluster::start(Flushing::On).unwrap();
    primary.create_database("granary").unwrap();
    let standby = primary.standby(Flushing::On, &[]).unwrap();
    let url = url_of(&[&standby, &primary], "granary");
    let config = ServerConfig::drives(6).env("GRANARY_METADATA", &url);
    let mut server = Server::start(config.clone()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put(&client, "kept", 1, 50_000).await;
    standby.catch_up(&primary).unwrap();
    standby.cut_off().unwrap();
    for number in 0..8 {
        put(&client, &format!("new/{number}"), 10 + number, 50_000).await;
    }
    put(&client, "large", 30, 3_000_000).await;
    client.create_bucket().bucket("late").send().await.unwrap();
    client.put_object().bucket("late").key("k").body(small(50)).send().await.unwrap();
    server.kill().unwrap();
    primary.stop(Stop::Immediate).unwrap();
    standby.promote().unwrap();
    for point in POINTS {
        server.set_env(config.clone().env("GRANARY_CRASH_POINT", point).env);
        server.spawn().unwrap();
        let status = server.wait_exit(PATIENCE).await.unwrap();
        assert!(!status.success(), "{point}");
    }
    server.set_env(config.env);
    server.launch().await.unwrap();
    let begun = Instant::now();
    loop {
        let listed = server.admin(&["metadata", "losses", "--json"]).await.unwrap();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        if listed["failing_over"] == false {
            assert_eq!(listed["losses"], serde_json::json!([]));
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "not settled: {listed}\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let clients = [server.client().unwrap()];
    for number in 0..8 {
        holds(&clients, &format!("new/{number}"), 10 + number, 50_000).await;
    }
    holds(&clients, "kept", 1, 50_000).await;
    holds(&clients, "large", 30, 3_000_000).await;
    assert!(get(&clients[0], "late", "k").await.unwrap() == seeded_bytes(50, 100));
}
