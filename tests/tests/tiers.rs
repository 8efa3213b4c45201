//! SSDs and disks in the real binary: what a full SSD does, and nodes that move for each other. What may go wrong in the middle
//! of a move is in `tier_moves.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, StorageClass, Tier, TransitionStorageClass};
use granary_tests::client::decided;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::mount::Mount;
use granary_tests::tiers::{
    BUCKET, SMALL, check_all, config, content_bytes, contents, count_classes, live_bytes, put_all, set_rule,
    wait, wait_collected_on, wait_moved, wait_on_disks, wait_restored,
};
use granary_tests::{PATIENCE, Server, ServerConfig};

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
        // Also those that had begun on the SSDs when these were full.
        let all = stored.len() as u64 == OBJECTS;
        assert_eq!(all, fits_all, "{policy}: {} stored", stored.len());
        for number in stored {
            let got = client.get_object().bucket(BUCKET).key(number.to_string()).send().await.unwrap();
            assert!(got.body.collect().await.unwrap().into_bytes() == seeded_bytes(number, OBJECT_BYTES));
        }
        assert_eq!(live_bytes(&server, "hdd").await.unwrap() > 0, fits_all, "{policy}");
        counts_what_did_not_fit(&server, fits_all).await;
        says_that_they_are_full(&server, &client, fits_all).await;
        if !fits_all {
            needs_room_for_expedited_restores(&client).await;
        }
        // What went to the disks has its record there.
        assert_eq!(server.metric("granary_records_left_out_total").await.unwrap(), 0.0);
        drop(server);
        drop(mounts);
    }
}

/// While SSDs are full, the metrics and `granary status` say so, and that something is wrong if writes are refused.
async fn says_that_they_are_full(server: &Server, client: &Client, spills: bool) {
    let mut number = 0;
    // What was refused or spilled left garbage, which goes: there may be room again at any moment.
    wait("it is said that they are full", PATIENCE, async || {
        for _ in 0..5 {
            let put = client.put_object().bucket(BUCKET).key(format!("full/{number}"));
            let refused =
                decided(put.body(ByteStream::from(seeded_bytes(1, 400_000))).send().await)?.is_err();
            number += 1;
            assert!(!(refused && spills), "it spills");
        }
        let output = server.admin_output(&["status", "--json"]).await?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        if status["tiers"][0]["full"] != true {
            return Ok(false);
        }
        assert_eq!((output.status.success(), status["well"].as_bool()), (spills, Some(spills)), "{status}");
        let said = String::from_utf8(server.admin_output(&["status"]).await?.stdout)?;
        let says = if spills { "writes spill to the disks" } else { "writes are refused" };
        Ok(said.contains(says) && server.metric("granary_tier_full{class=\"ssd\"}").await? == 1.0)
    })
    .await
    .unwrap();
}

/// What metrics and `granary status` count of writes to SSDs that were full.
async fn counts_what_did_not_fit(server: &Server, spills: bool) {
    let spilled = server.metric("granary_tier_spills_total").await.unwrap();
    let refused = server.metric("granary_tier_refused_total").await.unwrap();
    assert_eq!((spilled > 0.0, refused > 0.0), (spills, !spills), "{spilled} spilled, {refused} refused");
    assert!(server.metric("granary_tier_capacity_bytes").await.unwrap() >= 3.0 * f64::from(40 << 20));
    let output = server.admin_output(&["status", "--json"]).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // By now there may be room again: what was refused leaves garbage, which goes.
    assert_eq!(output.status.success(), status["well"].as_bool().unwrap(), "{status}");
    let ssd = &status["tiers"][0];
    let when_full = if spills { "spill" } else { "refuse" };
    assert_eq!(
        (ssd["class"].as_str(), ssd["when_full"].as_str()),
        (Some("ssd"), Some(when_full)),
        "{status}"
    );
    assert_eq!(ssd["drives"], 3);
    assert_eq!(status["spilled"].as_u64().unwrap() > 0, spills, "{status}");
    assert_eq!(status["refused"].as_u64().unwrap() > 0, !spills, "{status}");
}

/// While the SSDs are full, Expedited restores are refused, and others are done without a copy.
async fn needs_room_for_expedited_restores(client: &Client) {
    let put = async |key: &str, class: StorageClass| {
        let put = client.put_object().bucket(BUCKET).key(key).storage_class(class);
        decided(put.body(ByteStream::from(seeded_bytes(1, 400_000))).send().await).unwrap()
    };
    let restore = async |key: &str, tier: Tier| {
        let tier = GlacierJobParameters::builder().tier(tier).build().unwrap();
        let request = RestoreRequest::builder().days(1).glacier_job_parameters(tier).build();
        let restore = client.restore_object().bucket(BUCKET).key(key).restore_request(request);
        decided(restore.send().await).unwrap()
    };
    for n in 0..40 {
        // What was refused left garbage, which goes: there may be room for some more.
        let mut number = 0;
        while put(&format!("more/{n}/{number}"), StorageClass::Standard).await.is_ok() {
            number += 1;
        }
        let key = format!("archived/{n}");
        assert!(put(&key, StorageClass::Glacier).await.is_ok());
        if let Err(refusal) = restore(&key, Tier::Expedited).await {
            let refused = (refusal.status, refusal.code.as_str());
            assert_eq!(refused, (503, "GlacierExpeditedRetrievalNotAvailable"));
            assert!(restore(&key, Tier::Standard).await.is_ok());
            wait("it is restored", PATIENCE, async || Ok(is_readable(client, &key).await)).await.unwrap();
            return;
        }
    }
    panic!("there was always room for an Expedited restore");
}

/// Three nodes, each with an SSD and a disk, which move slowly: what is written takes some eight seconds.
async fn three_nodes() -> Cluster {
    let mut cluster = Cluster::empty().unwrap();
    for _ in 0..3 {
        let mut node = ServerConfig { hdds: 1, ..cluster.node_config(2) };
        node.env.extend(config().env);
        cluster.nodes.push(Server::start(node.env("GRANARY_MOVE_RATE_BYTES", "2000000")).await.unwrap());
    }
    cluster.wait_for(3).await.unwrap();
    cluster
}

/// How many objects the nodes with these numbers have moved.
async fn moved_by(cluster: &Cluster, numbers: &[usize]) -> anyhow::Result<f64> {
    let mut moved = 0.0;
    for number in numbers {
        moved += cluster.nodes[*number].metric("granary_lifecycle_total{outcome=\"transitioned\"}").await?;
    }
    Ok(moved)
}

/// Writes what is moved, and waits until a node moves large objects, two at a time. Gives back which node that is, and the others.
async fn begin_to_move(cluster: &Cluster) -> (usize, [usize; 2]) {
    let client = cluster.nodes[1].client().unwrap();
    put_all(&client).await.unwrap();
    let (ssd, hdd) = (live_bytes(&cluster.nodes[2], "ssd").await, live_bytes(&cluster.nodes[2], "hdd").await);
    assert_eq!((ssd.unwrap(), hdd.unwrap()), (content_bytes(), 0));
    // One walk is to move all of it, and so all is to be due, after a day of a second: else nothing may be under way between two.
    tokio::time::sleep(Duration::from_secs(1)).await;
    set_rule(&client, BUCKET, TransitionStorageClass::GlacierIr).await.unwrap();
    wait("a large object is moved", PATIENCE, async || {
        let [_, moved] = count_classes(&client, BUCKET, ["STANDARD", "GLACIER_IR"]).await?;
        Ok(moved as u64 > SMALL)
    })
    .await
    .unwrap();
    for first in 0..3 {
        if moved_by(cluster, &[first]).await.unwrap() > 0.0 {
            return (first, [1, 2].map(|step| (first + step) % 3));
        }
    }
    panic!("no node has moved what was moved");
}

/// How many objects were not moved yet.
async fn left(node: &Server) -> usize {
    let counts = count_classes(&node.client().unwrap(), BUCKET, ["STANDARD", "GLACIER_IR"]).await;
    counts.unwrap()[0]
}

/// What is true when everything was moved, asked at every node.
async fn is_whole(cluster: &Cluster) {
    for node in &cluster.nodes {
        check_all(&node.client().unwrap()).await.unwrap();
    }
    wait_on_disks(&cluster.nodes[2], content_bytes()).await.unwrap();
    wait_collected_on(&cluster.nodes[2], &cluster.drives(), 1).await.unwrap();
    for node in &cluster.nodes {
        check_all(&node.client().unwrap()).await.unwrap();
    }
}

/// Whoever moves may die, and another goes on.
#[tokio::test]
async fn nodes_move_for_each_other() {
    let mut cluster = three_nodes().await;
    let (first, others) = begin_to_move(&cluster).await;
    let before = moved_by(&cluster, &others).await.unwrap();
    cluster.nodes[first].kill().unwrap();
    let client = cluster.nodes[others[0]].client().unwrap();
    assert!(left(&cluster.nodes[others[0]]).await > 0, "it died when all was moved");
    check_all(&client).await.unwrap();
    wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    assert!(moved_by(&cluster, &others).await.unwrap() > before, "no other has moved what was left");
    cluster.nodes[first].launch().await.unwrap();
    cluster.wait_for(3).await.unwrap();
    is_whole(&cluster).await;
}

/// A node that is stopped in the middle of a move, until another has taken over, goes on while that one moves the same objects:
/// both may copy, one of them commits.
#[tokio::test]
async fn two_nodes_that_move_the_same_objects_at_once_lose_and_double_nothing() {
    const ENDED: &str = "granary_lifecycle_total";
    let mut cluster = three_nodes().await;
    let (first, others) = begin_to_move(&cluster).await;
    let told = cluster.nodes[first].metric(ENDED).await.unwrap();
    let before = moved_by(&cluster, &others).await.unwrap();
    cluster.nodes[first].freeze().unwrap();
    let still = left(&cluster.nodes[others[0]]).await;
    assert!(still >= 2, "it does not move two objects when it is stopped");
    let ended = told.max(contents().len() as f64 - still as f64);
    let taken = async || Ok(moved_by(&cluster, &others).await? > before);
    wait("another node moves", PATIENCE, taken).await.unwrap();
    assert!(left(&cluster.nodes[others[0]]).await > 0, "it goes on when all was moved");
    cluster.nodes[first].thaw().unwrap();
    // What it was moving when it was stopped, it moves to the end, or finds that the other was faster.
    let goes_on = async || Ok(cluster.nodes[first].metric(ENDED).await? > ended);
    wait("the first node goes on", PATIENCE, goes_on).await.unwrap();
    let client = cluster.nodes[others[0]].client().unwrap();
    check_all(&client).await.unwrap();
    wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    cluster.wait_for(3).await.unwrap();
    is_whole(&cluster).await;
    assert!(moved_by(&cluster, &[0, 1, 2]).await.unwrap() <= contents().len() as f64, "moved twice");
}

/// Whether a GET is answered.
async fn is_readable(client: &Client, key: &str) -> bool {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    decided(got).unwrap().map_err(|refusal| assert_eq!(refusal.code, "InvalidObjectState")).is_ok()
}

/// More than a page of keys, of classes that need a restore and of one that does not.
#[tokio::test]
async fn a_prefix_is_restored_by_one_command_and_nothing_else() {
    const ARCHIVED: u64 = 1_100;
    let server = Server::start(ServerConfig { hdds: 4, ..ServerConfig::drives(7) }).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = async |key: String, class: StorageClass| {
        let put = client.put_object().bucket(BUCKET).key(key).storage_class(class);
        put.body(ByteStream::from_static(b"0123456789")).send().await.unwrap();
    };
    for n in 0..ARCHIVED {
        put(format!("run/{n:04}"), StorageClass::Glacier).await;
    }
    for (key, class) in [("run/warm", StorageClass::Standard), ("other/a", StorageClass::Glacier)] {
        put(key.to_owned(), class).await;
    }
    put("run/deep".to_owned(), StorageClass::DeepArchive).await;
    let restore = async |place: &str, tier: &str| {
        let args = ["tier", "restore", place, "--days", "2", "--tier", tier, "--json"];
        let output = server.admin_output(&args).await.unwrap();
        let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), done)
    };
    let (is_success, done) = restore("s3://tiers/run/", "Expedited").await;
    assert!(!is_success, "an object of DEEP_ARCHIVE has no such restore: {done}");
    assert_eq!((done["begun"].as_u64(), done["failed"].as_u64()), (Some(ARCHIVED), Some(1)), "{done}");
    assert_eq!(done["failures"][0]["key"], "run/deep");
    assert_eq!((done["readable"].as_u64(), done["begun_bytes"].as_u64()), (Some(1), Some(10 * ARCHIVED)));
    wait_restored(&server, PATIENCE).await.unwrap();
    assert!(is_readable(&client, "run/0000").await && is_readable(&client, "run/1099").await);
    assert!(!is_readable(&client, "other/a").await && !is_readable(&client, "run/deep").await);
    let (is_success, done) = restore("s3://tiers/run/", "Bulk").await;
    assert!(is_success, "{done}");
    assert_eq!((done["begun"].as_u64(), done["extended"].as_u64()), (Some(1), Some(ARCHIVED)), "{done}");
    for wrong in ["tiers/run", "s3://no-such-bucket/a"] {
        assert!(!restore(wrong, "Standard").await.0, "{wrong}");
    }
}
