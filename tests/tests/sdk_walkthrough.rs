//! The AWS SDK for Rust, plain and over TLS, through what most programs do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use granary_tests::client::{Refusal, decided};
use granary_tests::content::seeded_bytes;
use granary_tests::{Server, ServerConfig};

const MIB: usize = 1 << 20;
const BUCKET: &str = "walkthrough";

#[tokio::test]
async fn over_http_on_one_drive() {
    walk(ServerConfig::drives(1)).await;
}

#[tokio::test]
async fn over_http_on_six_drives() {
    walk(ServerConfig::drives(6)).await;
}

#[tokio::test]
async fn over_tls_on_six_drives() {
    walk(ServerConfig { tls: true, ..ServerConfig::drives(6) }).await;
}

async fn walk(config: ServerConfig) {
    let server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    client.head_bucket().bucket(BUCKET).send().await.unwrap();
    let buckets = client.list_buckets().send().await.unwrap();
    assert_eq!(buckets.buckets()[0].name(), Some(BUCKET));
    objects(&client).await;
    ranges(&client).await;
    conditions(&client).await;
    listing_and_deleting(&client).await;
    multipart(&client).await;
    copies(&client).await;
    empty_bucket(&client).await;
    client.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let gone = decided(client.list_objects_v2().bucket(BUCKET).send().await).unwrap();
    assert_eq!(gone.unwrap_err(), Refusal::new(404, "NoSuchBucket"));
}

async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.to_vec()));
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    got.body.collect().await.unwrap().to_vec()
}

async fn objects(client: &Client) {
    for (number, length) in [0, 1, 16 << 10, 64 << 10, (128 << 10) + 1, 9 * MIB + 3].into_iter().enumerate() {
        let body = seeded_bytes(number as u64, length);
        let etag = put(client, "objects/ü +%", &body).await;
        assert_eq!(etag, format!("\"{}\"", md5_hex(&body)));
        assert_eq!(get(client, "objects/ü +%").await, body);
        let head = client.head_object().bucket(BUCKET).key("objects/ü +%").send().await.unwrap();
        assert_eq!(head.content_length(), Some(i64::try_from(length).unwrap()));
        assert_eq!(head.e_tag(), Some(etag.as_str()));
    }
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32C, ChecksumAlgorithm::Crc64Nvme] {
        let put = client.put_object().bucket(BUCKET).key("sum").checksum_algorithm(algorithm);
        put.body(ByteStream::from_static(b"summed")).send().await.unwrap();
        assert_eq!(get(client, "sum").await, b"summed");
    }
    let put = client.put_object().bucket(BUCKET).key("meta").metadata("origin", "tests");
    put.content_type("text/x-test").body(ByteStream::from_static(b"m")).send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("meta").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["origin"], "tests");
    assert_eq!(head.content_type(), Some("text/x-test"));
    let absent = decided(client.get_object().bucket(BUCKET).key("absent").send().await).unwrap();
    assert_eq!(absent.err(), Some(Refusal::new(404, "NoSuchKey")));
}

async fn ranges(client: &Client) {
    let body = seeded_bytes(50, 3 * MIB + 11);
    put(client, "ranged", &body).await;
    let last = body.len() - 1;
    for (start, end) in [(0, 0), (1, 70_000), (65_535, 65_536), (MIB - 1, 2 * MIB), (last, last)] {
        let range = format!("bytes={start}-{end}");
        let got = client.get_object().bucket(BUCKET).key("ranged").range(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(format!("bytes {start}-{end}/{}", body.len()).as_str()));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), &body[start..=end]);
    }
    let beyond = client.get_object().bucket(BUCKET).key("ranged").range("bytes=99999999-");
    assert_eq!(decided(beyond.send().await).unwrap().err(), Some(Refusal::new(416, "InvalidRange")));
}

async fn conditions(client: &Client) {
    let stale = put(client, "conditional", b"one").await;
    let put_if = |etag: &str| client.put_object().bucket(BUCKET).key("conditional").if_match(etag);
    let fresh = put_if(&stale).body(ByteStream::from_static(b"two")).send().await.unwrap().e_tag.unwrap();
    let failed = Some(Refusal::new(412, "PreconditionFailed"));
    assert_eq!(decided(put_if(&stale).send().await).unwrap().err(), failed);
    let create = client.put_object().bucket(BUCKET).key("conditional").if_none_match("*");
    assert_eq!(decided(create.send().await).unwrap().err(), failed);
    let read = client.get_object().bucket(BUCKET).key("conditional").if_match(&stale);
    assert_eq!(decided(read.send().await).unwrap().err(), failed);
    let read = client.get_object().bucket(BUCKET).key("conditional").if_none_match(&fresh);
    assert_eq!(decided(read.send().await).unwrap().unwrap_err().status, 304);
    assert_eq!(get(client, "conditional").await, b"two");
}

async fn listing_and_deleting(client: &Client) {
    let keys: Vec<String> = (0..25).map(|number| format!("list/{}/{number:02}", number % 3)).collect();
    for key in &keys {
        put(client, key, key.as_bytes()).await;
    }
    let mut listed = Vec::new();
    let pages = client.list_objects_v2().bucket(BUCKET).prefix("list/").max_keys(4);
    let mut pages = pages.into_paginator().send();
    while let Some(page) = pages.next().await {
        listed.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(listed, sorted);
    let folders =
        client.list_objects_v2().bucket(BUCKET).prefix("list/").delimiter("/").send().await.unwrap();
    let prefixes: Vec<_> = folders.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
    assert_eq!(prefixes, ["list/0/", "list/1/", "list/2/"]);
    let identifiers = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(identifiers.collect())).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), keys.len());
    let left = client.list_objects_v2().bucket(BUCKET).prefix("list/").send().await.unwrap();
    assert_eq!(left.key_count(), Some(0));
}

async fn multipart(client: &Client) {
    let bodies = [seeded_bytes(60, 5 * MIB), seeded_bytes(61, 5 * MIB + 1), seeded_bytes(62, 77)];
    let upload = client.create_multipart_upload().bucket(BUCKET).key("parts").send().await.unwrap();
    let upload = upload.upload_id().unwrap().to_owned();
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(&bodies) {
        let part = client.upload_part().bucket(BUCKET).key("parts").upload_id(&upload).part_number(number);
        let sent = part.body(ByteStream::from(body.clone())).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
    }
    let completed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("parts").upload_id(&upload);
    let done = complete.multipart_upload(completed).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-3\""));
    assert_eq!(get(client, "parts").await, bodies.concat());

    let upload = client.create_multipart_upload().bucket(BUCKET).key("aborted").send().await.unwrap();
    let upload = upload.upload_id().unwrap().to_owned();
    client.abort_multipart_upload().bucket(BUCKET).key("aborted").upload_id(&upload).send().await.unwrap();
    let parts = client.list_parts().bucket(BUCKET).key("aborted").upload_id(&upload).send().await;
    assert_eq!(decided(parts).unwrap().err(), Some(Refusal::new(404, "NoSuchUpload")));
}

async fn copies(client: &Client) {
    for (key, body) in [("small", seeded_bytes(70, 1000)), ("large", seeded_bytes(71, 7 * MIB))] {
        put(client, key, &body).await;
        let target = format!("{key}-copy");
        let source = format!("{BUCKET}/{key}");
        client.copy_object().bucket(BUCKET).key(&target).copy_source(source).send().await.unwrap();
        client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert_eq!(get(client, &target).await, body);
    }
}

async fn empty_bucket(client: &Client) {
    let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    for object in listed.contents() {
        client.delete_object().bucket(BUCKET).key(object.key().unwrap()).send().await.unwrap();
    }
}

fn md5_hex(body: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(body))
}
