//! Links between nodes that are slow or lose what goes one way, and nodes that come back with other drives or an older state.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use granary_tests::cluster::Cluster;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};

const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_secs(3);
/// Much longer than others wait before they ask another shard.
const SLOW: Duration = Duration::from_millis(800);

/// Writes through `clients` for a while; what is acknowledged is in the ledger.
async fn load(clients: &[Client], ledger: &Arc<Ledger>, seed: u64) -> u64 {
    let before = ledger.acknowledged();
    let load = Load::spread(clients, ledger, WORKERS, seed, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    ledger.acknowledged() - before
}

async fn verify(cluster: &Cluster, ledger: &Ledger) {
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
}

/// Two of six links misbehave under load; the other nodes go on, and all is well when the links are.
async fn behind_bad_links(worsen: impl Fn(&granary_tests::gate::Gate)) {
    let mut cluster = Cluster::start_gated(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let well: Vec<Client> = cluster.nodes[..4].iter().map(|node| node.client().unwrap()).collect();
    assert!(load(&well, &ledger, 1).await > 0);
    cluster.gates[4..].iter().for_each(&worsen);
    // The first requests find out that these are to be gone around.
    load(&well, &ledger, 2).await;
    assert!(load(&well, &ledger, 4).await > 20, "writes did not go on");
    for client in &well {
        ledger.verify(client).await.unwrap();
    }
    cluster.gates.iter().for_each(granary_tests::gate::Gate::open);
    cluster.wait_for(6).await.unwrap();
    assert!(load(&cluster.clients().unwrap(), &ledger, 3).await > 20);
    verify(&cluster, &ledger).await;
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_slow_peers_are_gone_around() {
    behind_bad_links(|gate| gate.slow(SLOW)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_whose_answers_are_lost_are_gone_around() {
    behind_bad_links(granary_tests::gate::Gate::shut_outward).await;
}

#[tokio::test]
async fn two_nodes_that_swapped_their_drives_are_each_other() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    load(&cluster.clients().unwrap(), &ledger, 1).await;
    for node in &mut cluster.nodes[1..3] {
        node.stop().await.unwrap();
    }
    let path = |node: usize| cluster.nodes[node].drive_paths()[0].clone();
    let (one, two, aside) = (path(1), path(2), path(1).with_extension("aside"));
    std::fs::rename(&one, &aside).unwrap();
    std::fs::rename(&two, &one).unwrap();
    std::fs::rename(&aside, &two).unwrap();
    for node in &mut cluster.nodes[1..3] {
        node.launch().await.unwrap();
    }
    cluster.wait_for(6).await.unwrap();
    verify(&cluster, &ledger).await;
    load(&cluster.clients().unwrap(), &ledger, 2).await;
    verify(&cluster, &ledger).await;
    cluster.wait_complete(2).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn a_node_that_comes_back_with_an_older_state_serves_nothing_stale() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    load(&cluster.clients().unwrap(), &ledger, 1).await;
    let drive = cluster.nodes[5].drive_paths()[0].clone();
    let older = drive.with_extension("older");
    cluster.nodes[5].stop().await.unwrap();
    copy(&drive, &older);
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    load(&cluster.clients().unwrap(), &ledger, 2).await;
    cluster.nodes[5].kill().unwrap();
    // A drive restored from an image of the day before.
    std::fs::remove_dir_all(&drive).unwrap();
    std::fs::rename(&older, &drive).unwrap();
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    verify(&cluster, &ledger).await;
    load(&cluster.clients().unwrap(), &ledger, 3).await;
    cluster.nodes[0].admin(&["heal"]).await.unwrap();
    verify(&cluster, &ledger).await;
    cluster.wait_complete(2).await.unwrap();
}
