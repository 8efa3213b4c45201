//! Several nodes, one store: six processes of the real binary and one real Postgres.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use granary_tests::census::stored_bytes;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::Stop;
use granary_tests::{Server, ServerConfig};

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

#[tokio::test]
async fn two_nodes_killed_under_load_lose_nothing_and_come_back_complete() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let survivors: Vec<Client> = cluster.nodes[..4].iter().map(|node| node.client().unwrap()).collect();
    let load = Load::spread(&survivors, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.nodes[4].kill().unwrap();
    cluster.nodes[5].kill().unwrap();
    let at_death = ledger.acknowledged();
    tokio::time::sleep(LOAD_TIME * 2).await;
    load.finish().await.unwrap();
    assert!(ledger.acknowledged() > at_death + 20, "writes did not go on");
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
    let load = Load::spread(&others, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.nodes[5].freeze().unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    let frozen = ledger.acknowledged();
    // Long enough that its lease has lapsed when it goes on.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(ledger.acknowledged() > frozen + 20, "writes did not go on");
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
    let load = Load::spread(&clients, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.database.stop(Stop::Immediate).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    cluster.database.launch().unwrap();
    let away = ledger.acknowledged();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME * 2).await;
    load.finish().await.unwrap();
    assert!(ledger.acknowledged() > away + 20, "writes did not go on");
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
    let load = Load::spread(&cluster.clients().unwrap(), &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
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
        assert!(begun.elapsed() < Duration::from_secs(60), "the dead node cannot be removed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    cluster.wait_complete(2).await.unwrap();
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
}

#[tokio::test]
async fn room_is_given_back_while_other_nodes_read() {
    let grace = [("GRANARY_GRACE_MS", "2000"), ("GRANARY_MAINTENANCE_INTERVAL_MS", "500")];
    let cluster = Cluster::start_with(6, 1, &grace).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    for (number, client) in (0..12_u64).zip(clients.iter().cycle()) {
        put(client, &format!("{number}"), number, 8_000_000).await;
    }
    let full = stored_bytes(&cluster.drives()).unwrap();
    // A long read on one node, begun before another deletes what it reads.
    let reading = clients[3].get_object().bucket(BUCKET).key("3").send().await.unwrap();
    for number in 0..12_u64 {
        clients[5].delete_object().bucket(BUCKET).key(format!("{number}")).send().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let read = reading.body.collect().await.unwrap().to_vec();
    assert!(read == seeded_bytes(3, 8_000_000), "a read did not outlive a delete");
    // The volumes still open hold what they hold; each node has one for large objects.
    for (number, client) in (0..6_u64).zip(&clients) {
        put(client, "last", number, 10_000).await;
    }
    let begun = Instant::now();
    let mut cluster = cluster;
    for node in &mut cluster.nodes {
        node.stop_and_restart().await.unwrap();
    }
    while stored_bytes(&cluster.drives()).unwrap() > full / 4 {
        let taken = stored_bytes(&cluster.drives()).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(90), "{taken} bytes of {full} are still taken");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let client = cluster.nodes[1].client().unwrap();
    assert!(get(&client, "last").await == seeded_bytes(5, 10_000));
}

#[tokio::test]
async fn all_nodes_are_restarted_in_turn_under_load() {
    let mut cluster = Cluster::start(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    for turn in 0..6 {
        let others: Vec<Client> =
            (0..6).filter(|n| *n != turn).map(|n| cluster.nodes[n].client().unwrap()).collect();
        let load = Load::spread(&others, &ledger, WORKERS, turn as u64, OnFailure::AcceptUnavailable);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.nodes[turn].stop_and_restart().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        load.finish().await.unwrap();
        cluster.wait_for(6).await.unwrap();
    }
    for client in cluster.clients().unwrap() {
        ledger.verify(&client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

/// Nodes whose ways in say nothing: what others ask of them gets no answer, while they reach others and the database.
async fn behind_shut_gates(shut: &[usize]) {
    let mut cluster = Cluster::start_gated(6, 1).await.unwrap();
    cluster.clients().unwrap()[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let clients = cluster.clients().unwrap();
    let load = Load::spread(&clients, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    for number in shut {
        cluster.gates[*number].shut();
    }
    tokio::time::sleep(LOAD_TIME * 3).await;
    let before = ledger.acknowledged();
    tokio::time::sleep(LOAD_TIME).await;
    if shut.len() <= 2 {
        assert!(ledger.acknowledged() > before + 20, "writes did not go on");
    }
    load.finish().await.unwrap();
    if shut.len() <= 2 {
        for client in &clients {
            ledger.verify(client).await.unwrap();
        }
    }
    for gate in &cluster.gates {
        gate.open();
    }
    cluster.wait_for(6).await.unwrap();
    let load = Load::spread(&clients, &ledger, WORKERS, 2, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    for client in &clients {
        ledger.verify(client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_take_connections_and_say_nothing_are_gone_around() {
    behind_shut_gates(&[1, 4]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_cut_off_from_the_rest_lose_nothing() {
    behind_shut_gates(&[0, 2, 5]).await;
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
    let status = server.wait_exit(Duration::from_secs(30)).await.unwrap();
    assert!(!status.success());
    assert!(server.log_tail().contains(why), "{}", server.log_tail());
}
