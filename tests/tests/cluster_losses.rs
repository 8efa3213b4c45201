//! Two losses at a time: a shard while another's node is away, and the database with as many nodes as there is parity.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::shard_files;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::server::binary;

const BUCKET: &str = "losses";
const OBJECTS: u64 = 20;
const DEADLINE: Duration = Duration::from_secs(60);

async fn filled(cluster: &Cluster) {
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for number in 0..OBJECTS {
        let client = &clients[usize::try_from(number).unwrap() % clients.len()];
        let body = ByteStream::from(seeded_bytes(number, 30_000));
        client.put_object().bucket(BUCKET).key(format!("{number}")).body(body).send().await.unwrap();
    }
}

async fn is_whole(client: &Client) {
    for number in 0..OBJECTS {
        let got = client.get_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().to_vec() == seeded_bytes(number, 30_000), "{number}");
    }
}

/// The column cannot be rebuilt while a node is away, as what is missing there is not known to be lost. When the node is
/// back it is rebuilt, though nobody reads the volume again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_lost_while_a_node_is_away_is_rebuilt_when_that_is_back() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    filled(&cluster).await;
    // What they had open is sealed.
    for node in &mut cluster.nodes {
        node.stop_and_restart().await.unwrap();
    }
    cluster.wait_for(6).await.unwrap();
    cluster.wait_complete(2).await.unwrap();
    cluster.nodes[5].stop().await.unwrap();
    cluster.nodes[4].stop().await.unwrap();
    let lost = shard_files(&cluster.nodes[4].drive_paths()[0]).unwrap();
    assert!(!lost.is_empty());
    for shard in &lost {
        std::fs::remove_file(shard).unwrap();
    }
    cluster.nodes[4].launch().await.unwrap();
    cluster.wait_for(5).await.unwrap();
    for client in cluster.clients().unwrap() {
        is_whole(&client).await;
    }
    // Reads notice the columns that they need, a scrub all of them.
    cluster.nodes[0].admin_output(&["scrub"]).await.unwrap();
    // Nothing is concluded yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(lost.iter().any(|shard| !shard.exists()), "a column was rebuilt from too few");
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    cluster.wait_complete(2).await.unwrap();
    is_whole(&cluster.clients().unwrap()[0]).await;
}

fn granary(args: &[String]) -> serde_json::Value {
    let output =
        Command::new(binary().unwrap()).arg("--json").args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap()
}

/// Each node keeps backups of its own, and finds them without a database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_lost_with_two_nodes_comes_back_from_the_backups_of_any_other() {
    let often = [("GRANARY_METADATA_BACKUP_INTERVAL_MS", "500"), ("GRANARY_METADATA_BACKUPS_KEPT", "2")];
    let mut cluster = Cluster::start_with(6, 1, &often).await.unwrap();
    filled(&cluster).await;
    let made = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let made = i64::try_from(made.as_millis()).unwrap();
    let begun = Instant::now();
    for node in &cluster.nodes {
        let data = node.drive_paths()[0].display().to_string();
        let args = ["metadata", "backups", "--data", &data].map(str::to_owned);
        let newest = |found: &serde_json::Value| found[0]["created_ms"].as_i64();
        while newest(&granary(&args)).is_none_or(|newest| newest <= made) {
            assert!(begun.elapsed() < DEADLINE, "a node makes no backup");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    // Two nodes are lost with the database; any of the others has a backup that is whole.
    for node in &cluster.nodes[..2] {
        std::fs::remove_dir_all(node.drive_paths()[0].join("backups")).unwrap();
    }
    for (number, node) in (2..).zip(&cluster.nodes[2..]) {
        let name = format!("restored_{number}");
        cluster.database.create_database(&name).unwrap();
        let from = format!("drives:{}", node.drive_paths()[0].display());
        let to = cluster.database.url(&name);
        let restored = granary(&["metadata", "restore", "--from", &from, "--to", &to].map(str::to_owned));
        assert_eq!(restored["was_complete"], false);
    }
    let url = cluster.database.url("restored_5");
    for node in &mut cluster.nodes[2..] {
        let env = &mut node.config_mut().env;
        env.retain(|(name, _)| name != "GRANARY_METADATA");
        env.push(("GRANARY_METADATA".to_owned(), url.clone()));
        node.spawn().unwrap();
    }
    cluster.wait_for(4).await.unwrap();
    for client in cluster.clients().unwrap() {
        is_whole(&client).await;
    }
}
