//! `granary metadata copy`: a store that was kept on its drives moves to Postgres and back, killed on the way, and serves the
//! same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use granary_tests::content::seeded_bytes;
use granary_tests::load::{BUCKET, Ledger, Load, OnFailure};
use granary_tests::postgres::{Flushing, PostgresCluster, Stop};
use granary_tests::server::binary;
use granary_tests::{PATIENCE, Server, ServerConfig};

/// Beside the bucket of the load, whose ledger wants it for itself.
const OTHER: &str = "other";
const WORKERS: u64 = 8;
const LOAD_TIME: Duration = Duration::from_secs(3);
const PART_BYTES: usize = 5 << 20;
const KILLS: usize = 3;

/// `sqlite:` with all drives of a server.
fn drives_of(server: &Server) -> String {
    let paths: Vec<_> = server.drive_paths().iter().map(|path| path.display().to_string()).collect();
    format!("sqlite:{}", paths.join(","))
}

fn copy(from: &str, to: &str, step: u32) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.args(["metadata", "copy", "--json", "--from", from, "--to", to, "--step", &step.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The report, which is the last line.
fn report(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", complaint(output));
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything a client can see of a bucket without reading bodies.
async fn listing(client: &Client, bucket: &str) -> Vec<(String, Option<String>, Option<i64>)> {
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            let key = object.key().unwrap().to_owned();
            seen.push((key, object.e_tag().map(str::to_owned), object.size()));
        }
    }
    seen
}

/// Many small objects, what a mixed load leaves, and an upload with two parts that is still in progress.
async fn fill(client: &Client) -> (Arc<Ledger>, String) {
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    client.create_bucket().bucket(OTHER).send().await.unwrap();
    client.create_bucket().bucket("empty-bucket").send().await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let load = Load::start(client, &ledger, WORKERS, 1, OnFailure::Fail);
    tokio::time::sleep(LOAD_TIME).await;
    load.finish().await.unwrap();
    let mut puts = tokio::task::JoinSet::new();
    for worker in 0..16_u64 {
        let client = client.clone();
        puts.spawn(async move {
            for number in 0..40_u64 {
                let body = ByteStream::from(seeded_bytes(number, 300));
                let key = format!("small/{worker}/{number}");
                client.put_object().bucket(OTHER).key(key).body(body).send().await.unwrap();
            }
        });
    }
    puts.join_all().await;
    let begun = client.create_multipart_upload().bucket(OTHER).key("in-progress").send().await.unwrap();
    let upload = begun.upload_id().unwrap().to_owned();
    for number in [1, 2] {
        put_part(client, &upload, number).await;
    }
    (ledger, upload)
}

async fn put_part(client: &Client, upload: &str, number: i32) -> String {
    let body = ByteStream::from(seeded_bytes(u64::try_from(number).unwrap(), PART_BYTES));
    let part = client.upload_part().bucket(OTHER).key("in-progress").upload_id(upload).part_number(number);
    part.body(body).send().await.unwrap().e_tag().unwrap().to_owned()
}

/// Ends the upload that was begun before the metadata moved, with one part more.
async fn complete(client: &Client, upload: &str) {
    let third = put_part(client, upload, 3).await;
    let listed = client.list_parts().bucket(OTHER).key("in-progress").upload_id(upload).send().await.unwrap();
    assert_eq!(listed.parts().len(), 3);
    let parts = listed.parts().iter().map(|part| {
        CompletedPart::builder().part_number(part.part_number().unwrap()).e_tag(part.e_tag().unwrap()).build()
    });
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
    assert_eq!(listed.parts()[2].e_tag(), Some(third.as_str()));
    let end = client.complete_multipart_upload().bucket(OTHER).key("in-progress").upload_id(upload);
    end.multipart_upload(parts).send().await.unwrap();
    let got = client.get_object().bucket(OTHER).key("in-progress").send().await.unwrap();
    let bytes = got.body.collect().await.unwrap().to_vec();
    let expected: Vec<u8> = (1..=3_u64).flat_map(|seed| seeded_bytes(seed, PART_BYTES)).collect();
    assert!(bytes == expected, "the completed upload differs");
}

/// Kills the copy when the database has more than `rows` objects. `false` if it was through before.
async fn kill_at(database: &PostgresCluster, mut child: Child, rows: usize) -> bool {
    let begun = Instant::now();
    loop {
        let count = database.sql("granary", "SELECT count(*) FROM objects").unwrap_or_default();
        if count.trim().parse::<usize>().is_ok_and(|count| count > rows) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the copy does not get on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_running
}

async fn refused_start(server: &mut Server, says: &str) {
    server.spawn().unwrap();
    let status = server.wait_exit(PATIENCE).await.unwrap();
    assert!(!status.success());
    assert!(server.log_tail().contains(says), "no {says:?} in\n{}", server.log_tail());
}

#[tokio::test]
async fn a_store_moves_to_postgres_and_back_with_everything_in_it() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("granary").unwrap();
    let url = database.url("granary");
    let mut server = Server::start(ServerConfig::drives(6)).await.unwrap();
    let drives = drives_of(&server);
    let client = server.client().unwrap();
    let (ledger, upload) = fill(&client).await;
    ledger.verify(&client).await.unwrap();
    let before = [listing(&client, BUCKET).await, listing(&client, OTHER).await];

    let in_use = output(copy(&drives, &url, 4000)).await;
    assert!(!in_use.status.success());
    assert!(complaint(&in_use).contains("another granary process uses"), "{}", complaint(&in_use));
    server.stop().await.unwrap();

    let mut killed = 0;
    for round in 0..KILLS {
        let child = copy(&drives, &url, 1).spawn().unwrap();
        killed += usize::from(kill_at(&database, child, round * 150 + 5).await);
        server.set_env(vec![("GRANARY_METADATA".to_owned(), url.clone())]);
        refused_start(&mut server, "unfinished copy").await;
    }
    assert!(killed > 0, "every copy was through before it could be killed");
    let copied = report(&output(copy(&drives, &url, 4000)).await);
    assert!(copied["resumed_at"].as_u64().unwrap() > 0, "{copied}");

    server.set_env(Vec::new());
    refused_start(&mut server, "was moved to postgres://127.0.0.1").await;
    server.set_env(vec![("GRANARY_METADATA".to_owned(), url.clone())]);
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    assert!([listing(&client, BUCKET).await, listing(&client, OTHER).await] == before);
    ledger.verify(&client).await.unwrap();
    complete(&client, &upload).await;
    client.delete_bucket().bucket("empty-bucket").send().await.unwrap();
    let more = Load::start(&client, &ledger, WORKERS, 2, OnFailure::Fail);
    tokio::time::sleep(LOAD_TIME).await;
    more.finish().await.unwrap();

    let busy = output(copy(&url, &drives, 4000)).await;
    assert!(complaint(&busy).contains("sessions are connected"), "{}", complaint(&busy));
    server.stop().await.unwrap();
    database.wait_left("granary").unwrap();
    let back = report(&output(copy(&url, &drives, 4000)).await);
    assert_eq!(back["was_complete"], false);
    database.stop(Stop::Fast).unwrap();
    server.set_env(Vec::new());
    server.launch().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
    server.kill_and_restart().await.unwrap();
    ledger.verify(&server.client().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_store_is_not_copied_into() {
    let database = PostgresCluster::start(Flushing::On).unwrap();
    database.create_database("granary").unwrap();
    let url = database.url("granary");
    let config = ServerConfig::drives(2).env("GRANARY_METADATA", &url);
    let mut other = Server::start(config).await.unwrap();
    let mut server = Server::start(ServerConfig::drives(2)).await.unwrap();
    server.client().unwrap().create_bucket().bucket(BUCKET).send().await.unwrap();
    server.stop().await.unwrap();
    let drives = drives_of(&server);
    for _ in 0..2 {
        let refused = output(copy(&drives, &url, 4000)).await;
        assert!(!refused.status.success());
        assert!(complaint(&refused).contains("holds the metadata of a store"), "{}", complaint(&refused));
        assert!(!complaint(&refused).contains(":granary-test@"), "the password is shown");
    }
    other.stop_and_restart().await.unwrap();
    server.launch().await.unwrap();
    server.stop().await.unwrap();
    let one: PathBuf = server.drive_paths()[0].clone();
    let partial = output(copy(&format!("sqlite:{}", one.display()), &url, 4000)).await;
    assert!(complaint(&partial).contains("name all of them"), "{}", complaint(&partial));
}
