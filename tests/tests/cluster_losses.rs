//! Two losses at a time: a shard while another's node is away, and the database with as many nodes as there is parity.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::shard_files;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server};

const BUCKET: &str = "losses";
const OBJECTS: u64 = 20;

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
    // Files that are missing are looked for every tenth of the grace period.
    let mut cluster = Cluster::start_with(6, 1, &[("GRANARY_GRACE_MS", "2000")]).await.unwrap();
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
    // Reads notice the columns that they need, the node all that its drives should have. Nothing is concluded yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(lost.iter().any(|shard| !shard.exists()), "a column was rebuilt from too few");
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    cluster.wait_complete(2).await.unwrap();
    is_whole(&cluster.clients().unwrap()[0]).await;
}

fn run(args: &[String]) -> Output {
    Command::new(binary().unwrap()).arg("--json").args(args).stdin(Stdio::null()).output().unwrap()
}

fn granary(args: &[String]) -> serde_json::Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap()
}

/// Why a command is refused.
fn complaint(args: &[String]) -> String {
    let output = run(args);
    assert!(!output.status.success(), "{args:?} was done");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn drive(node: &Server) -> PathBuf {
    node.drive_paths()[0].clone()
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
}

/// Waits for a backup that was begun after now, in which all nodes have a part.
async fn backed_up(cluster: &Cluster) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let mut args = vec!["metadata".to_owned(), "backups".to_owned()];
    for node in &cluster.nodes {
        args.extend(["--data".to_owned(), drive(node).display().to_string()]);
    }
    let begun = Instant::now();
    while granary(&args)[0]["created_ms"].as_i64().is_none_or(|newest| newest <= now) {
        assert!(begun.elapsed() < PATIENCE, "no backup is made");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The nodes make backups together, a column on each; they are found without a database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_lost_with_two_nodes_comes_back_from_the_backup_on_the_others() {
    let often = [("GRANARY_METADATA_BACKUP_INTERVAL_MS", "500"), ("GRANARY_METADATA_BACKUPS_KEPT", "2")];
    let mut cluster = Cluster::start_with(6, 1, &often).await.unwrap();
    filled(&cluster).await;
    backed_up(&cluster).await;
    for node in &mut cluster.nodes {
        node.kill().unwrap();
    }
    let place = |paths: &[PathBuf]| format!("drives:{}", listed(paths));
    let restore = |from: &str, name: &str| {
        cluster.database.create_database(name).unwrap();
        ["metadata", "restore", "--from", from, "--to", &cluster.database.url(name)].map(str::to_owned)
    };
    // Two nodes are lost with the database. One drive alone is not enough, and says so.
    let left: Vec<PathBuf> = cluster.nodes[2..].iter().map(drive).collect();
    let refused = complaint(&restore(&place(&left[..1]), "too_few"));
    assert!(refused.contains("shards that it takes are here"), "{refused}");
    let restored = granary(&restore(&place(&left), "restored"));
    assert_eq!(restored["was_complete"], false);
    // The drives need not be in one place: copies of these folders are enough.
    let copies = tempfile::tempdir().unwrap();
    let copied: Vec<PathBuf> = (0..left.len()).map(|number| copies.path().join(number.to_string())).collect();
    for (from, to) in left.iter().zip(&copied) {
        std::fs::create_dir(to).unwrap();
        let done = Command::new("cp").arg("-r").arg(from.join("backups")).arg(to).status().unwrap();
        assert!(done.success());
    }
    let restored = granary(&restore(&place(&copied), "restored_from_copies"));
    assert_eq!(restored["was_complete"], false);
    let url = cluster.database.url("restored");
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
