//! Warm copies in the real binary: whatever dies while they are made, expire or are dropped, nothing is lost or doubled.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{RestoreRequest, StorageClass};
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server, ServerConfig};

const BUCKET: &str = "warm";
const SMALL: u64 = 40;

fn config() -> ServerConfig {
    let config = ServerConfig { hdds: 4, ..ServerConfig::drives(7) };
    config
        .env("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", "2")
        .env("GRANARY_GRACE_MS", "500")
        .env("GRANARY_CACHE_READS", "0")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "100")
}

/// The keys and what they hold.
fn contents() -> Vec<(String, Vec<u8>)> {
    let small = (0..SMALL).map(|n| (format!("{n:03}"), seeded_bytes(n, 10_000)));
    small.chain([("large".to_owned(), seeded_bytes(1_000, 3_000_000))]).collect()
}

fn total() -> u64 {
    contents().iter().map(|(_, body)| body.len() as u64).sum()
}

async fn put_all(client: &Client, class: StorageClass) {
    for (key, body) in contents() {
        let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body));
        put.storage_class(class.clone()).send().await.unwrap();
    }
}

async fn check_all(client: &Client) {
    for (key, body) in contents() {
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == body, "{key}");
    }
}

async fn is_restored(client: &Client, key: &str) -> bool {
    let head = client.head_object().bucket(BUCKET).key(key).send().await.unwrap();
    head.restore().is_some_and(|shown| shown.contains("\"false\""))
}

/// Asks for restores; a server that dies meanwhile has taken some of them.
async fn restore_all(client: &Client, days: i32) {
    for (key, _) in contents() {
        let request = RestoreRequest::builder().days(days).build();
        let restore = client.restore_object().bucket(BUCKET).key(key).restore_request(request);
        drop(restore.send().await);
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut reached: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
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

async fn start_dying_at(server: &mut Server, point: &str) {
    server.stop().await.unwrap();
    let mut env = config().env;
    env.push(("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1")));
    server.set_env(env);
    server.launch().await.unwrap();
}

async fn wait_for_death(server: &mut Server, point: &str) {
    until(point, || std::future::ready(server.try_wait().unwrap().is_some())).await;
    server.kill().unwrap();
    server.set_env(config().env);
    server.launch().await.unwrap();
}

#[tokio::test]
async fn a_restore_that_dies_at_any_step_is_done_after_all_and_ends() {
    for point in
        ["warm.after_copy_before_commit", "warm.after_commit", "warm.before_expire", "warm.after_drop"]
    {
        let mut server = Server::start(config()).await.unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        put_all(&client, StorageClass::Glacier).await;
        start_dying_at(&mut server, point).await;
        restore_all(&server.client().unwrap(), 1).await;
        wait_for_death(&mut server, point).await;
        let client = server.client().unwrap();
        let server = &server;
        // What was asked for before it died may be done by now, or under way, and ends soon: it is asked for until all are long.
        until("each has one copy", || async {
            restore_all(&client, 1_000).await;
            let mut restored = true;
            for (key, _) in contents() {
                restored &= is_restored(&client, &key).await;
            }
            let lives = (live_bytes(server, "ssd").await, live_bytes(server, "hdd").await);
            restored && lives == (total(), total())
        })
        .await;
        check_all(&client).await;
        restore_all(&client, 1).await;
        until("all copies go", || async {
            (live_bytes(server, "ssd").await, live_bytes(server, "hdd").await) == (0, total())
        })
        .await;
        assert!(client.get_object().bucket(BUCKET).key("large").send().await.is_err());
    }
}

/// What no piece of a large copy is longer than: a shard file.
const PIECE: u64 = 1 << 20;
const LARGE: u64 = 6_000_000;

/// A server whose copies of large objects are cut off in their middle.
struct Cut {
    server: Server,
    body: Vec<u8>,
}

impl Cut {
    async fn start() -> Self {
        let config = config().env("GRANARY_VOLUME_LIMIT_BYTES", &PIECE.to_string());
        let server = Server::start(config).await.unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        let body = seeded_bytes(5, usize::try_from(LARGE).unwrap());
        for (key, class) in [
            ("restored", StorageClass::Glacier),
            ("asked", StorageClass::StandardIa),
            ("left", StorageClass::StandardIa),
        ] {
            let put = client.put_object().bucket(BUCKET).key(key).storage_class(class);
            put.body(ByteStream::from(body.clone())).send().await.unwrap();
        }
        Self { server, body }
    }

    /// Starts it again; `point` is where it dies.
    async fn restart(&mut self, point: Option<&str>) {
        drop(self.server.stop().await);
        let armed = point.map(|point| ("GRANARY_CRASH_POINT".to_owned(), point.to_owned()));
        let config = config().env("GRANARY_VOLUME_LIMIT_BYTES", &PIECE.to_string());
        self.server.set_env(config.env.into_iter().chain(armed).collect());
        self.server.launch().await.unwrap();
    }

    async fn has_died(&mut self, point: &str) {
        until(point, || std::future::ready(self.server.try_wait().unwrap().is_some())).await;
        self.server.kill().unwrap();
    }

    async fn prefetch(&self, key: &str) -> bool {
        let place = format!("s3://{BUCKET}/{key}");
        self.server.admin_output(&["tier", "prefetch", &place]).await.unwrap().status.success()
    }

    /// Begins a prefetch that the server dies of.
    async fn begin_prefetch(&self, key: &str) {
        let place = format!("s3://{BUCKET}/{key}");
        drop(self.server.admin_output(&["tier", "prefetch", "--detach", &place]).await);
    }

    /// Fails unless this process went on with so many bytes of pieces that were there, and copied so many.
    async fn has_counted(&self, resumed: u64, copied: u64) {
        for (outcome, expected) in [("resumed", resumed), ("copied", copied)] {
            let name = format!("granary_warm_piece_bytes_total{{outcome=\"{outcome}\"}}");
            let counted = self.server.metric(&name).await.unwrap();
            let expected = f64::from(u32::try_from(expected).unwrap());
            assert!((counted - expected).abs() < 0.5, "{outcome}: {counted} bytes, not {expected}");
        }
    }

    async fn check(&self, key: &str) {
        let client = self.server.client().unwrap();
        let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == self.body, "{key}");
    }
}

/// A large object's copy goes on where it was cut off: what its row tells of is not copied again. The rest of one that nobody
/// goes on with is given back.
#[tokio::test]
async fn a_large_copy_that_dies_goes_on_behind_its_last_piece() {
    let mut cut = Cut::start().await;
    // Two pieces are told of and the third is not; then two more are; then all are, and the copy is not whole yet.
    cut.restart(Some("warm.after_part_before_commit:3")).await;
    let request = RestoreRequest::builder().days(10_000).build();
    let restore = cut.server.client().unwrap().restore_object().bucket(BUCKET).key("restored");
    drop(restore.restore_request(request).send().await);
    cut.has_died("the third piece is copied").await;
    cut.restart(Some("warm.after_part:2")).await;
    cut.has_died("the fourth piece is told of").await;
    cut.restart(Some("warm.after_copy_before_commit:1")).await;
    cut.has_died("all pieces are told of").await;
    cut.restart(None).await;
    let client = cut.server.client().unwrap();
    until("it is restored", || is_restored(&client, "restored")).await;
    cut.has_counted(LARGE, 0).await;
    cut.check("restored").await;
    // A prefetch ends with its process, and goes on when it is asked for again.
    cut.restart(Some("warm.after_part:3")).await;
    cut.begin_prefetch("asked").await;
    cut.has_died("the third piece is told of").await;
    cut.restart(None).await;
    let jobs = cut.server.admin(&["tier", "jobs", "--json"]).await.unwrap();
    let jobs: serde_json::Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!(
        (jobs[0]["kind"].as_str(), jobs[0]["state"].as_str()),
        (Some("prefetch"), Some("interrupted"))
    );
    assert!(cut.prefetch("asked").await);
    cut.has_counted(3 * PIECE, LARGE - 3 * PIECE).await;
    cut.check("asked").await;
    // Or does not: what was begun is no copy, and goes.
    cut.restart(Some("warm.after_part:2")).await;
    cut.begin_prefetch("left").await;
    cut.has_died("the second piece is told of").await;
    cut.restart(None).await;
    assert_eq!(live_bytes(&cut.server, "ssd").await, 2 * LARGE + 2 * PIECE);
    cut.check("left").await;
    let server = &cut.server;
    until("the rest is given back", || async { live_bytes(server, "ssd").await == 2 * LARGE }).await;
    assert_eq!(live_bytes(server, "hdd").await, 3 * LARGE);
}

#[tokio::test]
async fn evictions_that_die_lose_nothing() {
    for point in ["warm.before_drop", "warm.after_drop"] {
        let mut server = Server::start(config()).await.unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        put_all(&client, StorageClass::StandardIa).await;
        let all = format!("s3://{BUCKET}/");
        assert!(server.admin_output(&["tier", "prefetch", &all]).await.unwrap().status.success());
        assert_eq!(live_bytes(&server, "ssd").await, total());
        server.stop().await.unwrap();
        let mut env = config().env;
        env.push(("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1")));
        env.push(("GRANARY_WARM_BYTES".to_owned(), "100000".to_owned()));
        server.set_env(env);
        server.launch().await.unwrap();
        until(point, || std::future::ready(server.try_wait().unwrap().is_some())).await;
        server.kill().unwrap();
        server.set_env(config().env("GRANARY_WARM_BYTES", "100000").env);
        server.launch().await.unwrap();
        let server = &server;
        until("what is cached fits", || async { live_bytes(server, "ssd").await <= 100_000 }).await;
        assert_eq!(live_bytes(server, "hdd").await, total());
        check_all(&server.client().unwrap()).await;
    }
}

/// A training run reads three times what the cache holds, again and again: a part of it is cached and stays, as every other
/// part would be worth as much. What is read more often comes in nevertheless.
#[tokio::test]
async fn scans_larger_than_the_cache_fill_it_and_do_not_churn() {
    const OBJECTS: u64 = 120;
    const BOUND: u64 = 400_000;
    let config = config().env("GRANARY_CACHE_READS", "2").env("GRANARY_WARM_BYTES", &BOUND.to_string());
    let server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = async |key: &str| {
        let put = client.put_object().bucket(BUCKET).key(key).storage_class(StorageClass::StandardIa);
        put.body(ByteStream::from(seeded_bytes(1, 10_000))).send().await.unwrap();
    };
    let get = async |key: &str| {
        let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == seeded_bytes(1, 10_000), "{key}");
    };
    for n in 0..OBJECTS {
        put(&n.to_string()).await;
    }
    let scan = async || {
        for n in 0..OBJECTS {
            get(&n.to_string()).await;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        let cached = live_bytes(&server, "ssd").await;
        assert!(cached <= BOUND, "{cached}");
        cached
    };
    scan().await;
    assert_eq!(live_bytes(&server, "ssd").await, 0, "one scan makes no copies");
    until("the cache is full", || async { scan().await == BOUND }).await;
    let dropped = async || server.metric("granary_warm_dropped_total").await.unwrap();
    let before = dropped().await;
    for _ in 0..3 {
        scan().await;
    }
    let churned = dropped().await - before;
    assert!(churned <= 4.0, "{churned} copies were replaced by what is worth no more");
    put("hot").await;
    for _ in 0..200 {
        get("hot").await;
    }
    until("what is hotter takes the room", || async {
        get("hot").await;
        dropped().await > before + churned
    })
    .await;
}

/// Three nodes, each with an SSD and a disk: copies are made by one for all, and whoever dies, another goes on.
#[tokio::test]
async fn nodes_keep_copies_for_each_other() {
    let mut cluster = Cluster::empty().unwrap();
    for _ in 0..3 {
        let mut node = ServerConfig { hdds: 1, ..cluster.node_config(2) };
        node.env.extend(config().env);
        cluster.nodes.push(Server::start(node).await.unwrap());
    }
    cluster.wait_for(3).await.unwrap();
    let client = cluster.nodes[1].client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put_all(&client, StorageClass::Glacier).await;
    restore_all(&client, 1_000).await;
    // The first node holds the lease of what one does for all.
    cluster.nodes[0].kill().unwrap();
    for (key, _) in contents() {
        until(&key, || is_restored(&client, &key)).await;
    }
    check_all(&client).await;
    cluster.nodes[0].launch().await.unwrap();
    cluster.wait_for(3).await.unwrap();
    for node in &cluster.nodes {
        check_all(&node.client().unwrap()).await;
    }
    let node = &cluster.nodes[2];
    until("each has one copy", || async {
        (live_bytes(node, "ssd").await, live_bytes(node, "hdd").await) == (total(), total())
    })
    .await;
    // A job belongs to the node that was asked; what it made is everybody's.
    client
        .put_object()
        .bucket(BUCKET)
        .key("p")
        .body(ByteStream::from(seeded_bytes(7, 50_000)))
        .storage_class(StorageClass::StandardIa)
        .send()
        .await
        .unwrap();
    let prefix = format!("s3://{BUCKET}/p");
    assert!(node.admin_output(&["tier", "prefetch", &prefix]).await.unwrap().status.success());
    assert_eq!(live_bytes(&cluster.nodes[1], "ssd").await, total() + 50_000);
    // Who did it, every node knows.
    let jobs = cluster.nodes[0].admin(&["tier", "jobs", "--json"]).await.unwrap();
    let jobs: serde_json::Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!(
        (jobs[0]["state"].as_str(), jobs[0]["objects_done"].as_u64()),
        (Some("done"), Some(1)),
        "{jobs}"
    );
    let nodes = node.admin(&["node", "list", "--json"]).await.unwrap();
    let nodes: serde_json::Value = serde_json::from_str(&nodes).unwrap();
    let ids: Vec<_> = nodes.as_array().unwrap().iter().filter_map(|node| node["id"].as_str()).collect();
    assert!(jobs[0]["holder"].as_str().is_some_and(|holder| ids.contains(&holder)), "{jobs} {nodes}");
    cluster.wait_complete(1).await.unwrap();
}

/// The metadata is made anew from the blocks: copies are forgotten, and nothing else is.
#[tokio::test]
async fn a_rebuild_from_blocks_forgets_copies_and_loses_nothing() {
    let mut server = Server::start(config().env("GRANARY_METADATA_BACKUPS_KEPT", "0")).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    put_all(&client, StorageClass::StandardIa).await;
    let all = format!("s3://{BUCKET}/");
    assert!(server.admin_output(&["tier", "prefetch", &all]).await.unwrap().status.success());
    server.stop().await.unwrap();
    let drives = server.drive_paths().to_vec();
    for path in &drives {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
        drop(std::fs::remove_dir_all(path.join("backups")));
    }
    let mut command = std::process::Command::new(binary().unwrap());
    command.args(["--json", "recover", "--from-drives", "--apply", "--candidates", "suggested"]);
    for path in &drives {
        command.arg("--data").arg(path);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.launch().await.unwrap();
    check_all(&server.client().unwrap()).await;
    // Each lives once, wherever its bytes were found.
    let server = &server;
    until("each lives once", || async {
        live_bytes(server, "ssd").await + live_bytes(server, "hdd").await == total()
    })
    .await;
    assert!(server.admin_output(&["tier", "prefetch", &all]).await.unwrap().status.success());
    check_all(&server.client().unwrap()).await;
}
