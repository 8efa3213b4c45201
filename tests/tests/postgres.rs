//! The metadata in a real Postgres: it goes away and comes back while clients write, the server is killed, and nothing that
//! was acknowledged is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use granary_tests::client::decided;
use granary_tests::cluster::{Cluster, Replication};
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::{Flushing, PostgresCluster, Stop};
use granary_tests::{PATIENCE, Server, ServerConfig};

const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_millis(1500);

fn database() -> (PostgresCluster, ServerConfig) {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("granary").unwrap();
    let config = ServerConfig::drives(6).env("GRANARY_METADATA", &database.url("granary"));
    (database, config)
}

#[tokio::test]
async fn a_database_that_is_killed_and_comes_back_loses_nothing() {
    let (database, config) = database();
    let mut server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    for (round, how) in [Stop::Fast, Stop::Immediate, Stop::Immediate].into_iter().enumerate() {
        let mut load = Load::start(&client, &ledger, WORKERS, round as u64, OnFailure::Fail);
        tokio::time::sleep(LOAD_TIME).await;
        database.restart(how).unwrap();
        let back = ledger.acknowledged();
        tokio::time::sleep(LOAD_TIME).await;
        load.goes_on(back).await.unwrap();
        load.finish().await.unwrap();
        ledger.verify(&client).await.unwrap();
    }
    server.kill_and_restart().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
}

/// More parts than a server sends before anybody takes them.
async fn many_parts(client: &Client) -> Vec<u8> {
    const COUNT: i32 = 12;
    let part = seeded_bytes(4, 5 << 20);
    let (bucket, key) = (BUCKET, "many parts");
    let source = client.put_object().bucket(bucket).key("part").body(ByteStream::from(part.clone()));
    source.send().await.unwrap();
    let created = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=COUNT {
        let copy = client.upload_part_copy().bucket(bucket).key(key).set_upload_id(created.upload_id.clone());
        let copied = copy.part_number(number).copy_source(format!("{bucket}/part")).send().await.unwrap();
        let tag = copied.copy_part_result.and_then(|result| result.e_tag);
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
    }
    let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete =
        client.complete_multipart_upload().bucket(bucket).key(key).set_upload_id(created.upload_id);
    complete.multipart_upload(upload).send().await.unwrap();
    part.repeat(COUNT as usize)
}

#[tokio::test]
async fn while_the_database_is_away_requests_get_503_and_work_again_by_themselves() {
    let (database, config) = database();
    let server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = |key: &'static str, seed| {
        let body = ByteStream::from(seeded_bytes(seed, 50_000));
        client.put_object().bucket(BUCKET).key(key).body(body).send()
    };
    put("before", 1).await.unwrap();
    let many_parts = many_parts(&client).await;
    let reading = client.get_object().bucket(BUCKET).key("many parts").send().await.unwrap();
    database.stop(Stop::Fast).unwrap();
    // Where its parts lie was looked up before its head was sent.
    assert!(reading.body.collect().await.unwrap().to_vec() == many_parts);
    let refused = decided(put("during", 2).await).unwrap().unwrap_err();
    assert_eq!(refused.status, 503, "{refused:?}");
    let got = client.get_object().bucket(BUCKET).key("before").send().await;
    assert_eq!(decided(got).unwrap().unwrap_err().status, 503);
    database.launch().unwrap();
    put("after", 3).await.unwrap();
    for (key, seed) in [("before", 1), ("after", 3)] {
        let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().to_vec() == seeded_bytes(seed, 50_000));
    }
}

#[tokio::test]
async fn the_metadata_of_other_drives_is_refused() {
    let (database, config) = database();
    let first = Server::start(config.clone()).await.unwrap();
    first.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
    let mut second = Server::prepare(config).unwrap();
    second.spawn().unwrap();
    let status = second.wait_exit(PATIENCE).await.unwrap();
    assert!(!status.success());
    assert!(second.log_tail().contains("belongs to another store"), "{}", second.log_tail());
    drop(first);
    // The drives of an embedded store, and a database that knows nothing of them.
    database.create_database("empty").unwrap();
    let mut embedded = Server::start(ServerConfig::drives(2)).await.unwrap();
    embedded.stop().await.unwrap();
    embedded.set_env(vec![("GRANARY_METADATA".to_owned(), database.url("empty"))]);
    embedded.spawn().unwrap();
    let status = embedded.wait_exit(PATIENCE).await.unwrap();
    assert!(!status.success());
    assert!(embedded.log_tail().contains("is this the right database"), "{}", embedded.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_nodes_whose_database_fails_over_to_a_synchronous_standby_lose_nothing() {
    let mut cluster = Cluster::start_replicated(6, Replication::Synchronous, &[]).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket(BUCKET).send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut load = Load::spread(&clients, &ledger, WORKERS, 1, OnFailure::AcceptUnavailable);
    tokio::time::sleep(LOAD_TIME).await;
    cluster.fail_over().unwrap();
    let at_death = ledger.acknowledged();
    cluster.wait_for(6).await.unwrap();
    tokio::time::sleep(LOAD_TIME).await;
    load.goes_on(at_death).await.unwrap();
    load.finish().await.unwrap();
    for client in &clients {
        ledger.verify(client).await.unwrap();
    }
    cluster.wait_complete(2).await.unwrap();
}
