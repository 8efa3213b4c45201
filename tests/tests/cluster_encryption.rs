//! Encrypted objects on several nodes that share a key ring.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};
use granary_tests::PATIENCE;
use granary_tests::client::{Refusal, decided};
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::server::binary;

const BUCKET: &str = "encrypted";
const LENGTHS: [usize; 3] = [10, 100_000, 3_000_000];

fn keyring(file: &Path, words: &[&str]) {
    let done = Command::new(binary().unwrap()).arg("keyring").args(words).arg("--keyring").arg(file).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

async fn put(client: &Client, prefix: &str) {
    for (seed, length) in (0..).zip(LENGTHS) {
        let body = ByteStream::from(seeded_bytes(seed, length));
        let put = client.put_object().bucket(BUCKET).key(format!("{prefix}{length}")).body(body);
        let put = put.send().await.unwrap();
        assert_eq!(put.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
    }
}

async fn check(client: &Client, prefix: &str) {
    for (seed, length) in (0..).zip(LENGTHS) {
        let got = client.get_object().bucket(BUCKET).key(format!("{prefix}{length}")).send().await.unwrap();
        assert_eq!(got.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
        let body = got.body.collect().await.unwrap().into_bytes();
        assert!(body == seeded_bytes(seed, length), "{prefix}{length}");
    }
}

#[tokio::test]
async fn nodes_that_share_a_key_ring_read_what_the_others_encrypt() {
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("keyring");
    keyring(&ring, &["create"]);
    let setting = ring.display().to_string();
    let mut cluster = Cluster::start_with(3, 2, &[("GRANARY_KEYRING", &setting)]).await.unwrap();
    let clients = cluster.clients().unwrap();
    let [one, two, three] = clients.as_slice() else { panic!("three nodes") };
    one.create_bucket().bucket(BUCKET).send().await.unwrap();
    let default =
        ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build().unwrap();
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
    let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
    let configured = one.put_bucket_encryption().bucket(BUCKET).server_side_encryption_configuration(rules);
    configured.send().await.unwrap();
    // What one node configures counts on the others soon.
    for client in [two, three] {
        let begun = Instant::now();
        loop {
            let probe = client.put_object().bucket(BUCKET).key("probe").body(ByteStream::from_static(b"x"));
            if probe.send().await.unwrap().server_side_encryption().is_some() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "a node does not learn of the default");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    put(two, "before/").await;
    check(three, "before/").await;

    keyring(&ring, &["rotate", "sse-s3"]);
    keyring(&ring, &["add", "training"]);
    let deadline = Instant::now() + PATIENCE;
    for client in [one, two, three] {
        loop {
            let put = client.put_object().bucket(BUCKET).key("training").body(ByteStream::from_static(b"x"));
            let put = put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id("training");
            match decided(put.send().await).unwrap() {
                Ok(_) => break,
                Err(refused) => {
                    assert_eq!(refused, Refusal::new(400, "KMS.NotFoundException"));
                    assert!(Instant::now() < deadline, "a node does not learn of the new key");
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    put(one, "after/").await;
    check(two, "before/").await;
    check(three, "after/").await;

    // A node that is gone takes no key along.
    cluster.nodes.first_mut().unwrap().kill().unwrap();
    check(two, "after/").await;
    check(three, "before/").await;
}

#[tokio::test]
async fn nodes_without_a_key_ring_do_not_pretend_to_encrypt() {
    let cluster = Cluster::start(2, 2).await.unwrap();
    let clients = cluster.clients().unwrap();
    let client = clients.first().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x"));
    let put = put.server_side_encryption(ServerSideEncryption::Aes256).send().await;
    assert_eq!(decided(put).unwrap().unwrap_err(), Refusal::new(501, "NotImplemented"));
    let head = client.head_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(decided(head).unwrap().unwrap_err().status, 404);
}
