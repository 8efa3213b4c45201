//! Emptying, replacing and removing drives and nodes while clients go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::Census;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::{PATIENCE, Server};
use serde_json::Value;

/// Beside the bucket of the load, which is compared as a whole.
const FILLED: &str = "filled";
/// Small volumes and an impatient janitor; a code that leaves some of six drives free.
const SETTINGS: [(&str, &str); 4] = [
    ("GRANARY_GRACE_MS", "2000"),
    ("GRANARY_MAINTENANCE_INTERVAL_MS", "200"),
    ("GRANARY_VOLUME_LIMIT_BYTES", "1048576"),
    ("GRANARY_ERASURE", "2+1"),
];

async fn json(node: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&node.admin(args).await.unwrap()).unwrap()
}

/// The drives as one node lists them: (id, address of the node), in the order of the nodes.
async fn drives(cluster: &Cluster, by: usize) -> Vec<String> {
    let listed = json(&cluster.nodes[by], &["drive", "list", "--json"]).await;
    let of = |node: &Server| {
        let host = node.node_host();
        let drive = listed.as_array().unwrap().iter().find(|drive| drive["node_address"] == host.as_str());
        drive.map(|drive| drive["id"].as_str().unwrap().to_owned())
    };
    cluster.nodes.iter().map(|node| of(node).unwrap_or_default()).collect()
}

/// How many volumes that are in use have a column on the drive.
async fn shards_on(node: &Server, drive: &str) -> usize {
    let volumes = json(node, &["volume", "list", "--json"]).await;
    let used = volumes.as_array().unwrap().iter().filter(|volume| volume["state"] != "freed");
    used.filter(|volume| volume["drives"].as_array().unwrap().iter().any(|id| id == drive)).count()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Every volume has all its shards where the metadata says, and nowhere else once the grace is over.
async fn wait_complete(cluster: &Cluster, by: usize) {
    wait_complete_on(cluster, by, &cluster.drives()).await;
}

async fn wait_complete_on(cluster: &Cluster, by: usize, drives: &[PathBuf]) {
    until("the census is complete", async || {
        let volumes = json(&cluster.nodes[by], &["volume", "list", "--json"]).await;
        Census::take(drives).unwrap().ensure_complete(&volumes, 1).is_ok()
    })
    .await;
}

async fn fill(clients: &[Client], count: u64) {
    clients[0].create_bucket().bucket(FILLED).send().await.unwrap();
    for (number, client) in (0..count).zip(clients.iter().cycle()) {
        let body = ByteStream::from(seeded_bytes(number, 400_000));
        client.put_object().bucket(FILLED).key(format!("f{number}")).body(body).send().await.unwrap();
    }
}

async fn check_filled(client: &Client, count: u64) {
    for number in 0..count {
        let got = client.get_object().bucket(FILLED).key(format!("f{number}")).send().await.unwrap();
        let bytes = got.body.collect().await.unwrap().to_vec();
        assert!(bytes == seeded_bytes(number, 400_000), "f{number}");
    }
}

#[tokio::test]
async fn a_node_is_drained_under_load_and_removed_without_any_loss() {
    let cluster = Cluster::start_with(6, 1, &SETTINGS).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    fill(&clients, 40).await;
    let ledger = Arc::new(Ledger::default());
    let load = Load::spread(&clients[..5], &ledger, 4, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let leaving = cluster.nodes[5].node_host();
    let all = drives(&cluster, 0).await;
    assert_eq!(all, drives(&cluster, 3).await, "every node lists every drive");
    assert!(all.iter().all(|id| !id.is_empty()));
    // A node that holds something and lives is not removed.
    let refused = cluster.nodes[0].admin_output(&["node", "remove", &leaving]).await.unwrap();
    assert!(!refused.status.success());
    assert!(!cluster.nodes[0].admin_output(&["drive", "remove", &all[5]]).await.unwrap().status.success());
    // Shown, and nothing happens.
    let shown = cluster.nodes[1].admin(&["node", "drain", &leaving]).await.unwrap();
    assert!(shown.contains(&all[5]) && shown.contains("nothing was done"), "{shown}");
    let plan = json(&cluster.nodes[1], &["node", "drain", &leaving, "--json"]).await;
    assert_eq!((plan["applied"].as_bool(), plan["drives"][0].as_str()), (Some(false), Some(all[5].as_str())));
    let planned: u64 =
        plan["moves"].as_array().unwrap().iter().map(|step| step["shards"].as_u64().unwrap()).sum();
    // How many volumes the load has filled by then is its own business.
    assert!(planned > 0, "{plan}");
    let moves = json(&cluster.nodes[2], &["drive", "moves", "--json"]).await;
    assert_eq!(moves["drains"].as_array().unwrap().len(), 0);
    // Begun at one node, seen at another, followed to its end.
    let drained = json(&cluster.nodes[1], &["node", "drain", &leaving, "--apply", "--json"]).await;
    assert_eq!(drained["drained"], true);
    assert_eq!(shards_on(&cluster.nodes[3], &all[5]).await, 0);
    let moves = json(&cluster.nodes[4], &["drive", "moves", "--json"]).await;
    assert_eq!(
        (moves["drains"][0]["drained"].as_bool(), moves["drains"][0]["shards_left"].as_u64()),
        (Some(true), Some(0))
    );
    let moved = cluster.metric("granary_shards_moved_total").await.unwrap();
    assert!(moved > 0.0, "{moved}");
    // Nothing new is placed there, and what was there goes after the grace.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(shards_on(&cluster.nodes[3], &all[5]).await, 0);
    until("the drained drive is empty", async || {
        let census = Census::take(cluster.nodes[5].drive_paths()).unwrap();
        census.volumes.is_empty()
    })
    .await;
    cluster.nodes[2].admin(&["node", "remove", &leaving]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.finish().await.unwrap();
    wait_complete(&cluster, 0).await;
    for client in &clients[..5] {
        ledger.verify(client).await.unwrap();
    }
    check_filled(&clients[0], 40).await;
    let mut rebuilt = 0.0;
    for node in &cluster.nodes[..5] {
        rebuilt += node.metric("granary_shards_healed_total").await.unwrap();
    }
    assert!(rebuilt == 0.0, "a drained node leaves nothing to be rebuilt: {rebuilt}");
}

#[tokio::test]
async fn a_drain_whose_worker_dies_anywhere_goes_on() {
    let mut cluster = Cluster::start_with(5, 1, &SETTINGS).await.unwrap();
    let clients = cluster.clients().unwrap();
    fill(&clients, 25).await;
    let all = drives(&cluster, 0).await;
    let plain = cluster.node_config(1).env;
    let points = [
        "move.before_copy",
        "move.after_install_before_check",
        "move.after_check_before_swap",
        "move.after_swap",
    ];
    for (turn, point) in points.into_iter().enumerate() {
        let mut armed = plain.clone();
        armed.push(("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1")));
        for node in &mut cluster.nodes {
            node.set_env(armed.clone());
            node.kill().unwrap();
            node.spawn().unwrap();
            node.set_env(plain.clone());
        }
        let drive = &all[1 + turn % 4];
        // Whoever is at work dies, and perhaps whoever goes on with it.
        let (begun, mut deaths, mut is_told) = (Instant::now(), 0, false);
        loop {
            for node in &mut cluster.nodes {
                if node.try_wait().unwrap().is_some() {
                    deaths += 1;
                    node.kill().unwrap();
                    node.spawn().unwrap();
                }
            }
            if !is_told {
                let drain = ["drive", "drain", drive, "--apply", "--detach"];
                is_told = cluster.nodes[0].admin_output(&drain).await.unwrap().status.success();
            }
            let by = &cluster.nodes[1 + turn % 2];
            let listed = by.admin_output(&["drive", "moves", "--json"]).await.unwrap().stdout;
            let moves: Value = serde_json::from_slice(&listed).unwrap_or_default();
            if deaths > 0 && is_told && moves["drains"][0]["drained"] == true {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{point}: {deaths} deaths, {moves}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for node in &mut cluster.nodes {
            node.kill().unwrap();
            node.spawn().unwrap();
        }
        cluster.wait_for(5).await.unwrap();
        until(point, async || shards_on(&cluster.nodes[1], drive).await == 0).await;
        check_filled(&cluster.nodes[1].client().unwrap(), 25).await;
        wait_complete(&cluster, 1).await;
        let ended = json(&cluster.nodes[2], &["drive", "drain", drive, "--cancel", "--json"]).await;
        assert_eq!(ended["ended"], true);
    }
}

#[tokio::test]
async fn a_lost_drive_is_replaced_by_another_and_a_live_one_too() {
    let mut cluster = Cluster::start_with(5, 1, &SETTINGS).await.unwrap();
    let clients = cluster.clients().unwrap();
    fill(&clients, 30).await;
    cluster.add(1).await.unwrap();
    cluster.add(1).await.unwrap();
    cluster.wait_for(7).await.unwrap();
    let all = drives(&cluster, 0).await;
    // The one is there: its shards are copied.
    cluster.nodes[1].admin(&["drive", "replace", &all[3], &all[5], "--apply"]).await.unwrap();
    until("the replaced drive is retired", async || drives(&cluster, 0).await[3].is_empty()).await;
    assert!(shards_on(&cluster.nodes[0], &all[5]).await > 0);
    // The other is gone with its node: its shards are rebuilt.
    cluster.nodes[4].kill().unwrap();
    std::fs::remove_dir_all(&cluster.nodes[4].drive_paths()[0]).unwrap();
    until("the drive is missed", async || {
        let plan = cluster.nodes[0].admin_output(&["drive", "drain", &all[4]]).await.unwrap();
        !plan.status.success()
    })
    .await;
    let plan = json(&cluster.nodes[0], &["drive", "replace", &all[4], &all[6], "--json"]).await;
    assert!(plan["rebuilt_shards"].as_u64().unwrap() > 0, "{plan}");
    // It may only be away: nothing says that it does not come back with what it holds.
    let away =
        cluster.nodes[0].admin_output(&["drive", "replace", &all[4], &all[6], "--apply"]).await.unwrap();
    let why = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(
        !away.status.success() && why.contains("--lost"),
        "a drive that is merely away was given up: {why}"
    );
    let args = ["drive", "replace", &all[4], &all[6], "--apply", "--lost"];
    cluster.nodes[0].admin(&args).await.unwrap();
    assert_eq!(shards_on(&cluster.nodes[0], &all[4]).await, 0);
    check_filled(&cluster.nodes[0].client().unwrap(), 30).await;
    // What a dead node reads is waited for with freeing, until it is removed.
    let dead = cluster.nodes[4].node_host();
    until("the dead node is removed", async || {
        cluster.nodes[0].admin_output(&["node", "remove", &dead]).await.unwrap().status.success()
    })
    .await;
    // What was left on the drives that are retired is nobody's any more.
    let used = [0, 1, 2, 5, 6].iter().flat_map(|n: &usize| cluster.nodes[*n].drive_paths().to_vec());
    wait_complete_on(&cluster, 0, &used.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn what_would_leave_too_little_redundancy_is_refused() {
    let cluster = Cluster::start_with(3, 1, &SETTINGS).await.unwrap();
    let all = drives(&cluster, 0).await;
    let node = &cluster.nodes[0];
    // 2+1 on three drives: on two it would be 1+1, which bears as much.
    let plan = json(node, &["drive", "drain", &all[0], "--json"]).await;
    assert_eq!(plan["erasure"], "1+1");
    fill(&cluster.clients().unwrap(), 6).await;
    let plan = json(node, &["drive", "drain", &all[0], "--apply", "--json"]).await;
    assert_eq!(plan["drained"], true);
    until("the volumes are written again", async || shards_on(node, &all[0]).await == 0).await;
    check_filled(&cluster.clients().unwrap()[2], 6).await;
    // One drive bears nothing.
    let refused = node.admin_output(&["drive", "drain", &all[1], "--apply"]).await.unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("add drives first"), "{why}");
    for args in [["drive", "drain", "ffff"], ["drive", "drain", "x"], ["node", "drain", "10.0.0.1:1"]] {
        assert!(!node.admin_output(&args).await.unwrap().status.success(), "{args:?}");
    }
}

#[tokio::test]
async fn a_node_whose_drive_was_removed_starts_again_with_the_others() {
    let mut cluster = Cluster::start_with(3, 2, &SETTINGS).await.unwrap();
    fill(&cluster.clients().unwrap(), 12).await;
    let host = cluster.nodes[0].node_host();
    let listed = json(&cluster.nodes[1], &["drive", "list", "--json"]).await;
    let own = |drive: &&Value| drive["node_address"] == host.as_str() && drive["slot"] == 0;
    let drive = listed.as_array().unwrap().iter().find(own).unwrap()["id"].as_str().unwrap().to_owned();
    cluster.nodes[1].admin(&["drive", "drain", &drive, "--apply"]).await.unwrap();
    cluster.nodes[2].admin(&["drive", "remove", &drive]).await.unwrap();
    for _ in 0..2 {
        cluster.nodes[0].stop_and_restart().await.unwrap();
        cluster.wait_for(3).await.unwrap();
        // Until its next probe another node still takes the drives of the restarted one for failed.
        until("5 drives are online", async || {
            let listed = json(&cluster.nodes[2], &["drive", "list", "--json"]).await;
            let online = listed.as_array().unwrap().iter().filter(|drive| drive["state"] == "online");
            online.count() == 5
        })
        .await;
        check_filled(&cluster.nodes[0].client().unwrap(), 12).await;
    }
}
