//! Several nodes, one store: six processes of the real binary and one real Postgres.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::{shard_files, stored_bytes};
use granary_tests::client::decided;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::Stop;
use granary_tests::{PATIENCE, Server, ServerConfig};

const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_secs(3);

async fn put(client: &Client, key: &str, seed: u64, length_bytes: usize) {
    let body = ByteStream::from(seeded_bytes(seed, length_bytes));
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    got.body.collect().await.unwrap().to_vec()
}

#[tokio::test]
async fn what_is_put_through_one_node_is_there_on_every_other() {
    let cluster = Cluster::start(6, 1).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for (number, client) in clients.iter().enumerate() {
        put(client, &format!("small/{number}"), number as u64, 20_000).await;
        put(client, &format!("large/{number}"), 100 + number as u64, 3_000_000).await;
        for other in &clients {
            assert!(get(other, &format!("small/{number}")).await == seeded_bytes(number as u64, 20_000));
            assert!(
                get(other, &format!("large/{number}")).await == seeded_bytes(100 + number as u64, 3_000_000)
            );
            let listed = other.list_objects_v2().bucket(BUCKET).send().await.unwrap();
            assert_eq!(listed.key_count(), Some(2 * (i32::try_from(number).unwrap() + 1)));
        }
    }
    let volumes = cluster.nodes[3].admin(&["volume", "list", "--json"]).await.unwrap();
    assert!(volumes.contains("4+2"), "{volumes}");
    // A request asks the metadata for its object alone: the bucket is known, with all that is configured for it.
    let buckets = "granary_metadata_questions_total{of=\"Bucket\"}";
    let objects = "granary_metadata_questions_total{of=\"Current\"}";
    let before = (cluster.metric(buckets).await.unwrap(), cluster.metric(objects).await.unwrap());
    for number in 0..40 {
        put(&clients[4], &format!("counted/{number}"), number, 1000).await;
        assert!(get(&clients[4], &format!("counted/{number}")).await == seeded_bytes(number, 1000));
    }
    let asked = (
        cluster.metric(buckets).await.unwrap() - before.0,
        cluster.metric(objects).await.unwrap() - before.1,
    );
    assert!(asked.0 < 10.0 && (40.0..50.0).contains(&asked.1), "{asked:?}");
    // A bucket that one node deletes is gone on all, and one made again is another.
    clients[1].create_bucket().bucket("passing").send().await.unwrap();
    for client in &clients {
        client.head_bucket().bucket("passing").send().await.unwrap();
    }
    clients[2].delete_bucket().bucket("passing").send().await.unwrap();
    for client in &clients {
        assert!(client.head_bucket().bucket("passing").send().await.is_err());
    }
}

/// Nodes believe for a second that a bucket is the one they knew; nobody must notice that.
#[tokio::test]
async fn a_bucket_that_was_made_again_is_written_and_read_at_once_on_every_node() {
    let cluster = Cluster::start(3, 1).await.unwrap();
    let clients = cluster.clients().unwrap();
    let passing = "passing";
    for round in 0..4_u64 {
        clients[1].create_bucket().bucket(passing).send().await.unwrap();
        for (number, client) in (0..).zip(&clients) {
            let (key, body) = (format!("{number}"), seeded_bytes(round * 10 + number, 1000));
            client
                .put_object()
                .bucket(passing)
                .key(&key)
                .body(ByteStream::from(body.clone()))
                .send()
                .await
                .unwrap();
            for other in &clients {
                let got = other.get_object().bucket(passing).key(&key).send().await.unwrap();
                assert!(got.body.collect().await.unwrap().to_vec() == body, "round {round}, {key}");
            }
        }
        for number in 0..clients.len() {
            clients[0].delete_object().bucket(passing).key(format!("{number}")).send().await.unwrap();
        }
        clients[2].delete_bucket().bucket(passing).send().await.unwrap();
        for client in &clients {
            let got =
                decided(client.get_object().bucket(passing).key("0").send().await).unwrap().unwrap_err();
            assert_eq!(got.code, "NoSuchBucket", "{got:?}");
        }
    }
}

#[tokio::test]
async fn two_nodes_killed_under_load_lose_nothing_and_come_back_complete() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let survivors: Vec<Client> = cluster.nodes[..4].iter().map(|node| node.client().unwrap()).collect();
    let mut load = Load::spread(&survivors, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.nodes[4].kill().unwrap();
    cluster.nodes[5].kill().unwrap();
    let at_death = ledger.acknowledged();
    tokio::time::sleep(LOAD_TIME * 2).await;
    load.goes_on(at_death).await.unwrap();
    load.finish().await.unwrap();
    for client in &survivors {
        ledger.verify(client).await.unwrap();
    }
    cluster.nodes[4].launch().await.unwrap();
    cluster.nodes[5].launch().await.unwrap();
    cluster.wait_for(6).await.unwrap();
    let load = Load::spread(&cluster.clients().unwrap(), &ledger, WORKERS, 2, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test]
async fn a_node_that_stands_still_is_gone_around_and_used_again() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let others: Vec<Client> = cluster.nodes[..5].iter().map(|node| node.client().unwrap()).collect();
    let mut load = Load::spread(&others, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.nodes[5].freeze().unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    let frozen = ledger.acknowledged();
    // Long enough that its lease has lapsed when it goes on.
    tokio::time::sleep(Duration::from_secs(20)).await;
    load.goes_on(frozen).await.unwrap();
    cluster.nodes[5].thaw().unwrap();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_for_half_a_minute_loses_nothing() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let clients = cluster.clients().unwrap();
    let mut load = Load::spread(&clients, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.database.stop(Stop::Immediate).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    cluster.database.launch().unwrap();
    let away = ledger.acknowledged();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME * 2).await;
    load.goes_on(away).await.unwrap();
    load.finish().await.unwrap();
    for client in clients {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test]
async fn an_empty_node_takes_the_place_of_a_lost_one() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let others: Vec<Client> = cluster.nodes[..5].iter().map(|node| node.client().unwrap()).collect();
    let load = Load::spread(&others, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    let lost = cluster.nodes[5].node_host();
    cluster.nodes[5].kill().unwrap();
    let drive = cluster.nodes[5].drive_paths()[0].clone();
    std::fs::remove_dir_all(&drive).unwrap();
    cluster.add(1).await.unwrap();
    let listed = cluster.listed_by(&cluster.nodes[0]).await.unwrap();
    let id = listed.into_iter().find(|(_, address, _)| *address == lost).unwrap().0;
    // A live node is not removed, a dead one is.
    let begun = Instant::now();
    while !cluster.nodes[0].admin_output(&["node", "remove", &id]).await.unwrap().status.success() {
        assert!(begun.elapsed() < PATIENCE, "the dead node cannot be removed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    load.finish().await.unwrap();
    cluster.wait_complete(2).await.unwrap();
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
}

#[tokio::test]
async fn room_is_given_back_while_other_nodes_read() {
    const OBJECTS: u64 = 18;
    const LENGTH_BYTES: usize = 8_000_000;
    let settings = [
        ("GRANARY_GRACE_MS", "2000"),
        ("GRANARY_MAINTENANCE_INTERVAL_MS", "500"),
        // Who reads takes nothing for as long as all that takes.
        ("GRANARY_STALL_TIMEOUT_MS", "600000"),
    ];
    let mut cluster = Cluster::start_with(6, 1, &settings).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for (number, client) in (0..OBJECTS).zip(clients.iter().cycle()) {
        put(client, &format!("{number}"), number, LENGTH_BYTES).await;
    }
    let full = stored_bytes(&cluster.drives()).unwrap();
    // Long reads on one node of what others wrote. It is deleted, or moved out of a volume of which most is, or healed: all
    // that node 3 wrote stays.
    let mut reads = Vec::new();
    for number in [3_u64, 4, 5] {
        let read = clients[1].get_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
        reads.push((number, read.body));
    }
    let begun = Instant::now();
    for number in (0..OBJECTS).filter(|number| *number != 5 && number % 6 != 3) {
        clients[0].delete_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
    }
    for shard in shard_files(&cluster.nodes[2].drive_paths()[0]).unwrap() {
        std::fs::remove_file(shard).unwrap();
    }
    // What they had open is sealed.
    for node in &mut cluster.nodes[3..] {
        node.stop_and_restart().await.unwrap();
    }
    cluster.wait_for(6).await.unwrap();
    cluster.nodes[0].admin_output(&["heal"]).await.unwrap();
    cluster.nodes[0].admin(&["volume", "compact"]).await.unwrap();
    while cluster.metric("granary_compacted_bytes_total").await.unwrap() < LENGTH_BYTES as f64
        || cluster.metric("granary_shards_healed_total").await.unwrap() < 1.0
    {
        assert!(begun.elapsed() < PATIENCE, "nothing was moved and healed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(12).saturating_sub(begun.elapsed())).await;
    for (number, body) in reads {
        let read = body.collect().await.unwrap().to_vec();
        assert!(read == seeded_bytes(number, LENGTH_BYTES), "the read of {number} did not outlive all that");
    }
    for number in 0..OBJECTS {
        clients[5].delete_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
    }
    // The volumes still open hold what they hold; each node has one for large objects.
    for (number, client) in (0..6_u64).zip(&clients) {
        put(client, "last", number, 10_000).await;
    }
    let begun = Instant::now();
    for node in &mut cluster.nodes {
        node.stop_and_restart().await.unwrap();
    }
    while stored_bytes(&cluster.drives()).unwrap() > full / 4 {
        let taken = stored_bytes(&cluster.drives()).unwrap();
        assert!(begun.elapsed() < PATIENCE, "{taken} bytes of {full} are still taken");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let client = cluster.nodes[1].client().unwrap();
    assert!(get(&client, "last").await == seeded_bytes(5, 10_000));
}

/// Makes a build with debug assertions behave as one of the next releases.
const RELEASE_VARIABLE: &str = "GRANARY_REHEARSED_RELEASE";

/// Makes a node one of that release from its next start on.
fn upgrade(config: &mut ServerConfig, release: Option<&str>) {
    config.env.retain(|(name, _)| name != RELEASE_VARIABLE);
    config.env.extend(release.map(|release| (RELEASE_VARIABLE.to_owned(), release.to_owned())));
}

/// A cluster of nodes of one release, with the bucket of the load.
async fn of_release(nodes: usize, release: Option<&str>) -> Cluster {
    let mut cluster = Cluster::empty().unwrap();
    for _ in 0..nodes {
        let mut config = cluster.node_config(1);
        upgrade(&mut config, release);
        let mut node = Server::prepare(config).unwrap();
        node.spawn().unwrap();
        cluster.nodes.push(node);
    }
    cluster.wait_for(nodes).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    cluster
}

/// Stops one node after the other and starts it as one of that release, under load through the others.
async fn roll(cluster: &mut Cluster, ledger: &Arc<Ledger>, turns: Range<usize>, release: Option<&str>) {
    for turn in turns {
        let count = cluster.nodes.len();
        let others = (0..count).filter(|number| *number != turn);
        let others: Vec<Client> = others.map(|number| cluster.nodes[number].client().unwrap()).collect();
        let seed = ledger.acknowledged();
        let mut load = Load::spread(&others, ledger, WORKERS, seed, OnFailure::AcceptUnavailable);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.nodes[turn].stop().await.unwrap();
        upgrade(cluster.nodes[turn].config_mut(), release);
        cluster.nodes[turn].launch().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        load.goes_on(seed).await.unwrap();
        load.finish().await.unwrap();
        cluster.wait_for(count).await.unwrap();
    }
}

/// The newest schema that each node's binary knows.
async fn schemas(cluster: &Cluster) -> Vec<u64> {
    let listed = cluster.nodes[0].admin(&["node", "list", "--json"]).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    listed.as_array().unwrap().iter().map(|node| node["schema"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn all_nodes_are_upgraded_in_turn_under_load() {
    let mut cluster = of_release(6, None).await;
    let this = schemas(&cluster).await[0];
    let ledger = Arc::new(Ledger::default());
    roll(&mut cluster, &ledger, 0..3, Some("next")).await;
    let both = schemas(&cluster).await;
    assert_eq!(both.iter().filter(|schema| **schema == this).count(), 3, "{both:?}");
    let stored = cluster.database.sql("granary", "SELECT version FROM granary_schema").unwrap();
    assert_eq!(stored.parse::<u64>().unwrap(), *both.iter().max().unwrap());
    // One goes back: the schema still serves it.
    roll(&mut cluster, &ledger, 1..2, None).await;
    roll(&mut cluster, &ledger, 1..2, Some("next")).await;
    roll(&mut cluster, &ledger, 3..6, Some("next")).await;
    assert!(schemas(&cluster).await.iter().all(|schema| *schema > this));
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_was_contracted_serves_the_release_before_and_refuses_an_older_one() {
    let mut cluster = of_release(3, Some("next")).await;
    let ledger = Arc::new(Ledger::default());
    roll(&mut cluster, &ledger, 0..1, Some("after-next")).await;
    cluster.nodes[1].stop().await.unwrap();
    upgrade(cluster.nodes[1].config_mut(), None);
    cluster.nodes[1].spawn().unwrap();
    let status = cluster.nodes[1].wait_exit(PATIENCE).await.unwrap();
    assert!(!status.success());
    let why = cluster.nodes[1].log_tail();
    assert!(why.contains("does not serve this version of granary any more"), "{why}");
    upgrade(cluster.nodes[1].config_mut(), Some("next"));
    cluster.nodes[1].launch().await.unwrap();
    roll(&mut cluster, &ledger, 1..3, Some("after-next")).await;
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(1).await.unwrap();
}

#[tokio::test]
async fn stores_are_not_mixed_by_mistake() {
    let cluster = Cluster::start(2, 1).await.unwrap();
    // Empty drives and the database of a store, without --join.
    let mut config = cluster.node_config(1);
    config.args.clear();
    refuses(config, "give --join").await;
    // Nodes without a secret.
    let mut config = cluster.node_config(1);
    config.env.retain(|(name, _)| name != "GRANARY_CLUSTER_SECRET");
    refuses(config, "nodes need a secret").await;
    // Drives of another store.
    let mut other = Cluster::start(1, 1).await.unwrap();
    let mut config = cluster.node_config(0);
    config.drive_paths = other.drives();
    other.nodes[0].stop().await.unwrap();
    refuses(config, "is this the right database").await;
}

async fn refuses(config: ServerConfig, why: &str) {
    let mut server = Server::prepare(config).unwrap();
    server.spawn().unwrap();
    let status = server.wait_exit(PATIENCE).await.unwrap();
    assert!(!status.success());
    assert!(server.log_tail().contains(why), "{}", server.log_tail());
}
