//! Lifecycle rules against the real binary, with days of a second: what is over goes, what is not stays, locks hold, and
//! a server that dies in the middle of a walk goes on where it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectLockMode,
    VersioningConfiguration,
};
use granary_tests::client::decided;
use granary_tests::cluster::Cluster;
use granary_tests::{PATIENCE, Server, ServerConfig};

const BUCKET: &str = "lifecycle";
/// More than a page of the walk.
const MANY: usize = 1_300;

fn config() -> ServerConfig {
    ServerConfig::drives(3).env("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", "1")
}

fn rule(prefix: &str) -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
    let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
    LifecycleRule::builder().id(format!("rule-{prefix}")).filter(filter).status(ExpirationStatus::Enabled)
}

async fn set_rules(client: &Client, rules: Vec<LifecycleRule>) {
    let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().unwrap();
    let put = client.put_bucket_lifecycle_configuration().bucket(BUCKET).lifecycle_configuration(rules);
    put.send().await.unwrap();
}

fn expire(prefix: &str, days: i32) -> LifecycleRule {
    rule(prefix).expiration(LifecycleExpiration::builder().days(days).build()).build().unwrap()
}

async fn put(client: &Client, key: &str) -> Option<String> {
    let body = ByteStream::from_static(b"bytes");
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap().version_id
}

async fn enable_versioning(client: &Client) {
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled).send().await.unwrap();
}

async fn keys(client: &Client, prefix: &str) -> Vec<String> {
    let mut pages = client.list_objects_v2().bucket(BUCKET).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
    }
    keys
}

/// Versions and delete markers.
async fn versions(client: &Client, prefix: &str) -> (Vec<String>, usize) {
    let page = client.list_object_versions().bucket(BUCKET).prefix(prefix).send().await.unwrap();
    let versions = page.versions.unwrap_or_default().into_iter().filter_map(|version| version.version_id);
    (versions.collect(), page.delete_markers.unwrap_or_default().len())
}

/// Waits until `reached` tells so.
async fn until<F: Future<Output = bool>>(what: &str, mut reached: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn start() -> (Server, Client) {
    let server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    (server, client)
}

#[tokio::test]
async fn what_is_over_goes_and_what_is_not_stays() {
    let (_server, client) = start().await;
    for key in ["short/a", "short/b", "long/a", "other/a"] {
        put(&client, key).await;
    }
    let tagged = client.put_object().bucket(BUCKET).key("tagged/yes").tagging("gone=1&x=2");
    tagged.body(ByteStream::from_static(b"x")).send().await.unwrap();
    put(&client, "tagged/no").await;
    let upload = client.create_multipart_upload().bucket(BUCKET).key("short/upload").send().await.unwrap();
    let tag = aws_sdk_s3::types::Tag::builder().key("gone").value("1").build().unwrap();
    let by_tag = LifecycleRule::builder()
        .filter(LifecycleRuleFilter::builder().tag(tag).build())
        .status(ExpirationStatus::Enabled)
        .expiration(LifecycleExpiration::builder().days(1).build());
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(1).build();
    let abort = rule("short/u").abort_incomplete_multipart_upload(abort).build().unwrap();
    set_rules(&client, vec![expire("short/", 1), expire("long/", 1_000), by_tag.build().unwrap(), abort])
        .await;
    let written = client.put_object().bucket(BUCKET).key("long/b").body(ByteStream::from_static(b"x"));
    let header = written.send().await.unwrap().expiration.unwrap();
    assert!(header.starts_with("expiry-date=\"") && header.ends_with("rule-id=\"rule-long/\""), "{header}");
    until("the objects are gone", || async { keys(&client, "short/").await.is_empty() }).await;
    until("the tagged one is gone", || async { keys(&client, "tagged/").await == ["tagged/no"] }).await;
    let parts =
        || client.list_parts().bucket(BUCKET).key("short/upload").upload_id(upload.upload_id().unwrap());
    until("the upload is gone", || async { decided(parts().send().await).unwrap().is_err() }).await;
    assert_eq!(keys(&client, "").await, ["long/a", "long/b", "other/a", "tagged/no"]);
    let head = client.head_object().bucket(BUCKET).key("other/a").send().await.unwrap();
    assert_eq!(head.expiration, None);
}

#[tokio::test]
async fn older_versions_go_as_the_rules_say_and_markers_that_hide_nothing_go_too() {
    let (_server, client) = start().await;
    enable_versioning(&client).await;
    let mut written = Vec::new();
    for _ in 0..5 {
        written.push(put(&client, "many").await.unwrap());
    }
    put(&client, "current").await;
    let older =
        NoncurrentVersionExpiration::builder().noncurrent_days(1).newer_noncurrent_versions(2).build();
    let older = rule("many").noncurrent_version_expiration(older).build().unwrap();
    let all = NoncurrentVersionExpiration::builder().noncurrent_days(2).build();
    let current = rule("current").noncurrent_version_expiration(all);
    let current = current.expiration(LifecycleExpiration::builder().days(1).build()).build().unwrap();
    set_rules(&client, vec![older, current]).await;
    let left: Vec<String> = written.into_iter().rev().take(3).collect();
    until("two older versions stay", || async { versions(&client, "many").await.0 == left }).await;
    // The current version becomes an older one behind a marker; then that goes, and then the marker.
    until("nothing is left", || async { versions(&client, "current").await == (Vec::new(), 0) }).await;
    assert_eq!(versions(&client, "many").await, (left, 0));
}

#[tokio::test]
async fn locked_versions_stay_whatever_the_rules_say() {
    let server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(BUCKET).object_lock_enabled_for_bucket(true).send().await.unwrap();
    let later = DateTime::from_secs(4_000_000_000);
    let locked =
        client.put_object().bucket(BUCKET).key("locked").object_lock_mode(ObjectLockMode::Compliance);
    let locked = locked.object_lock_retain_until_date(later).body(ByteStream::from_static(b"x"));
    let locked = locked.send().await.unwrap().version_id.unwrap();
    put(&client, "free").await;
    put(&client, "locked").await;
    put(&client, "free").await;
    let older = NoncurrentVersionExpiration::builder().noncurrent_days(1).build();
    set_rules(&client, vec![rule("").noncurrent_version_expiration(older).build().unwrap()]).await;
    until("the free one is gone", || async { versions(&client, "free").await.0.len() == 1 }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(versions(&client, "locked").await.0.contains(&locked));
    let gone = client.delete_object().bucket(BUCKET).key("locked").version_id(&locked).send().await;
    assert_eq!(decided(gone).unwrap().unwrap_err().status, 403);
}

/// Objects that are written again and again while a rule with days of a second walks over them: the walk deletes what it
/// looked at, so a version that was just acknowledged is never among the deleted before its time.
#[tokio::test]
async fn what_was_just_written_is_not_deleted_in_its_place() {
    let (_server, client) = start().await;
    set_rules(&client, vec![expire("", 2)]).await;
    let ends = Instant::now() + Duration::from_secs(8);
    while Instant::now() < ends {
        let began = Instant::now();
        put(&client, "hot").await;
        let found = decided(client.head_object().bucket(BUCKET).key("hot").send().await).unwrap();
        assert!(found.is_ok() || began.elapsed() > Duration::from_millis(1_500), "{found:?}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn a_walk_that_was_cut_off_goes_on() {
    for point in ["lifecycle.after_commit_before_place", "lifecycle.after_place"] {
        let (mut server, client) = start().await;
        let all: Vec<usize> = (0..MANY).collect();
        for some in all.chunks(50) {
            let keys: Vec<String> = some.iter().map(|n| format!("old/{n:05}")).collect();
            futures_join(keys.iter().map(|key| put(&client, key))).await;
        }
        put(&client, "kept").await;
        set_rules(&client, vec![expire("old/", 20_000)]).await;
        server.stop().await.unwrap();
        let mut env = config().env;
        env.push(("GRANARY_CRASH_POINT".to_owned(), format!("{point}:1")));
        server.set_env(env);
        server.launch().await.unwrap();
        set_rules(&server.client().unwrap(), vec![expire("old/", 1)]).await;
        until(point, || std::future::ready(server.try_wait().unwrap().is_some())).await;
        server.kill().unwrap();
        server.set_env(config().env);
        server.launch().await.unwrap();
        let client = server.client().unwrap();
        until("the rest is gone", || async { keys(&client, "old/").await.is_empty() }).await;
        assert_eq!(keys(&client, "").await, ["kept"], "{point}");
    }
}

async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) {
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pinned.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pinned.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// What the running nodes of a cluster have counted of an outcome of rules.
async fn counted(cluster: &Cluster, outcome: &str) -> f64 {
    let series = format!("granary_lifecycle_total{{outcome=\"{outcome}\"}}");
    let mut sum = 0.0;
    for node in cluster.running() {
        sum += node.metric(&series).await.unwrap();
    }
    sum
}

/// One node at a time walks for all. Each object is looked at by one and marked once, and when that node dies another goes on.
#[tokio::test]
async fn one_node_of_several_walks_and_another_goes_on_when_it_dies() {
    const OBJECTS: usize = 150;
    let day = [("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", "1")];
    let mut cluster = Cluster::start_with(3, 1, &day).await.unwrap();
    let client = cluster.nodes[2].client().unwrap();
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    enable_versioning(&client).await;
    set_rules(&client, vec![expire("", 1)]).await;
    for lot in ["first", "second"] {
        let client = cluster.running().next().unwrap().client().unwrap();
        let before = counted(&cluster, "marked").await;
        for number in 0..OBJECTS {
            // What the node that was killed was writing may be refused for a moment.
            until("it is written", async || {
                let put = client.put_object().bucket(BUCKET).key(format!("{lot}/{number}"));
                put.body(ByteStream::from_static(b"bytes")).send().await.is_ok()
            })
            .await;
        }
        // What was marked is counted after it can be seen.
        until("everything is over and counted", async || {
            let counted = counted(&cluster, "marked").await - before;
            keys(&client, lot).await.is_empty() && counted >= OBJECTS as f64
        })
        .await;
        assert_eq!(versions(&client, lot).await.1, OBJECTS);
        let told = (counted(&cluster, "marked").await - before, counted(&cluster, "changed").await);
        assert_eq!(
            told,
            (OBJECTS as f64, 0.0),
            "{lot}: what two look at at once has changed for one of them"
        );
        for node in &mut cluster.nodes {
            if lot == "first" && node.metric("granary_lifecycle_total").await.unwrap() > 0.0 {
                node.kill().unwrap();
                break;
            }
        }
    }
}
