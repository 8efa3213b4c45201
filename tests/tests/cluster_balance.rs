//! Drives that are equally full, and work that several nodes are asked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use granary_tests::PATIENCE;
use granary_tests::census::Census;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::load::BUCKET;
use serde_json::Value;

const SETTINGS: [(&str, &str); 4] = [
    ("GRANARY_GRACE_MS", "2000"),
    ("GRANARY_MAINTENANCE_INTERVAL_MS", "200"),
    ("GRANARY_VOLUME_LIMIT_BYTES", "1048576"),
    ("GRANARY_ERASURE", "2+1"),
];
const OBJECTS: u64 = 60;
const LENGTH_BYTES: usize = 1_000_000;

/// Committed bytes on each drive.
async fn loads(cluster: &Cluster) -> BTreeMap<String, u64> {
    let listed = cluster.nodes[0].admin(&["volume", "list", "--json"]).await.unwrap();
    let volumes: Value = serde_json::from_str(&listed).unwrap();
    let mut loads = BTreeMap::new();
    for volume in volumes.as_array().unwrap().iter().filter(|volume| volume["state"] != "freed") {
        for drive in volume["drives"].as_array().unwrap() {
            let load: &mut u64 = loads.entry(drive.as_str().unwrap().to_owned()).or_default();
            *load += volume["committed_bytes"].as_u64().unwrap();
        }
    }
    loads
}

#[tokio::test]
async fn a_new_node_gets_its_share_and_then_nothing_moves_any_more() {
    let mut cluster = Cluster::start_with(4, 1, &SETTINGS).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for (number, client) in (0..OBJECTS).zip(clients.iter().cycle()) {
        let body = ByteStream::from(seeded_bytes(number, LENGTH_BYTES));
        client.put_object().bucket(BUCKET).key(format!("{number}")).body(body).send().await.unwrap();
    }
    cluster.add(1).await.unwrap();
    cluster.wait_for(5).await.unwrap();
    let begun = Instant::now();
    loop {
        let loads = loads(&cluster).await;
        let (most, least) = (loads.values().max().unwrap(), loads.values().min().unwrap());
        // The slack is a tenth of the share, or one shard, on either side.
        if loads.len() == 5 && most - least <= 4 * 1_048_576 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{loads:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(cluster.metric("granary_shards_moved_total").await.unwrap() > 3.0);
    // Once even, it stays as it is.
    let mut before = cluster.metric("granary_shards_moved_total").await.unwrap();
    let quiet = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let now = cluster.metric("granary_shards_moved_total").await.unwrap();
            if (now - before).abs() < f64::EPSILON {
                return;
            }
            before = now;
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.expect("shards move without end");
    for number in 0..OBJECTS {
        let got = clients[1].get_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().to_vec() == seeded_bytes(number, LENGTH_BYTES));
    }
    // What has left a drive goes from it after the grace, and is not kept aside.
    let begun = Instant::now();
    loop {
        let listed = cluster.nodes[2].admin(&["volume", "list", "--json"]).await.unwrap();
        let volumes: Value = serde_json::from_str(&listed).unwrap();
        match Census::take(&cluster.drives()).unwrap().ensure_complete(&volumes, 1) {
            Ok(()) => break,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(cluster.metric("granary_shards_quarantined_total").await.unwrap() == 0.0);
}

#[tokio::test]
async fn tasks_asked_of_several_nodes_run_one_after_the_other() {
    let cluster = Cluster::start_with(4, 1, &SETTINGS).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for number in 0..30 {
        let body = ByteStream::from(seeded_bytes(number, LENGTH_BYTES));
        clients[0].put_object().bucket(BUCKET).key(format!("{number}")).body(body).send().await.unwrap();
    }
    // The shards of one drive are lost; three nodes are asked to heal, and each column is rebuilt once.
    let lost = cluster.nodes[3].drive_paths()[0].join("volumes");
    let shards = Census::take(cluster.nodes[3].drive_paths()).unwrap().volumes.len();
    assert!(shards > 5, "{shards}");
    for folder in std::fs::read_dir(&lost).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            for file in std::fs::read_dir(&folder).unwrap() {
                std::fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
    }
    // Volumes that one node writes cannot be healed by another yet: that is told by the exit code.
    let heal = |n: usize| cluster.nodes[n].admin_output(&["heal", "--json"]);
    let (one, two, three) = tokio::join!(heal(0), heal(1), heal(2));
    let mut repaired = 0_u32;
    for progress in [one, two, three] {
        let progress: Value = serde_json::from_slice(&progress.unwrap().stdout).unwrap();
        assert_eq!(progress["state"], "done", "{progress}");
        repaired += u32::try_from(progress["repaired"].as_u64().unwrap()).unwrap();
    }
    let healed = cluster.metric("granary_shards_healed_total").await.unwrap();
    let (repaired, shards) = (f64::from(repaired), f64::from(u32::try_from(shards).unwrap()));
    assert!((1.0..=shards).contains(&healed) && repaired <= healed, "{repaired} {healed} {shards}");
    for number in 0..30 {
        let got = clients[2].get_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().to_vec() == seeded_bytes(number, LENGTH_BYTES));
    }
}
