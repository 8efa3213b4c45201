//! Objects that rules move from SSDs to disks: what is written, what the rules are, and what must be true in the end.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, CompletedMultipartUpload, CompletedPart, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, Transition, TransitionStorageClass,
};
use serde_json::Value;

use crate::census::Census;
use crate::content::seeded_bytes;
use crate::{PATIENCE, Server, ServerConfig};

/// The bucket of [`contents`].
pub const BUCKET: &str = "tiers";
/// How many of a store's drives are disks, of [`config`].
pub const HDDS: usize = 4;
/// How many of [`contents`] are packed.
pub const SMALL: u64 = 60;
const SMALL_BYTES: usize = 10_000;
const LARGE: u64 = 6;
const LARGE_BYTES: usize = 500_000;
/// How long the parts are of what is uploaded in parts.
pub const PART_BYTES: usize = 6 << 20;

/// Three SSDs and four disks, a day of a second, and an impatient janitor. Reads that check what is there leave no copies.
pub fn config() -> ServerConfig {
    let config = ServerConfig { hdds: HDDS, ..ServerConfig::drives(3 + HDDS) };
    config
        .env("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", "1")
        .env("GRANARY_GRACE_MS", "500")
        .env("GRANARY_CACHE_READS", "0")
        .env("GRANARY_MAINTENANCE_INTERVAL_MS", "100")
}

/// Lets everything in a bucket move to a class after a day, however small it is.
pub async fn set_rule(client: &Client, bucket: &str, class: TransitionStorageClass) -> Result<()> {
    let filter = LifecycleRuleFilter::builder().object_size_greater_than(1).build();
    set_rules(client, bucket, vec![filter], class).await
}

/// Lets what fits one of these filters move to a class after a day.
pub async fn set_rules(
    client: &Client,
    bucket: &str,
    filters: Vec<LifecycleRuleFilter>,
    class: TransitionStorageClass,
) -> Result<()> {
    let transition = Transition::builder().days(1).storage_class(class).build();
    let mut rules = BucketLifecycleConfiguration::builder();
    for filter in filters {
        let rule = LifecycleRule::builder().filter(filter).status(ExpirationStatus::Enabled);
        rules = rules.rules(rule.transitions(transition.clone()).build()?);
    }
    let rules = rules.build()?;
    let put = client.put_bucket_lifecycle_configuration().bucket(bucket).lifecycle_configuration(rules);
    put.send().await?;
    Ok(())
}

/// Keys and what they hold: many that are packed, some large ones, and one of two parts.
pub fn contents() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> =
        (0..SMALL).map(|n| (format!("small/{n:03}"), seeded_bytes(n, SMALL_BYTES))).collect();
    all.extend((0..LARGE).map(|n| (format!("large/{n}"), seeded_bytes(1_000 + n, LARGE_BYTES))));
    all.push(("parts".to_owned(), seeded_bytes(2_000, 2 * PART_BYTES)));
    all
}

/// How many bytes [`contents`] are.
pub fn content_bytes() -> u64 {
    contents().iter().map(|(_, body)| body.len() as u64).sum()
}

/// Makes the bucket and writes [`contents`].
pub async fn put_all(client: &Client) -> Result<()> {
    client.create_bucket().bucket(BUCKET).send().await?;
    for (key, body) in contents() {
        if key == "parts" {
            put_parts(client, BUCKET, &key, body.chunks(PART_BYTES).map(<[u8]>::to_vec)).await?;
            continue;
        }
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body)).send().await?;
    }
    Ok(())
}

/// Writes an object of these parts.
pub async fn put_parts(
    client: &Client,
    bucket: &str,
    key: &str,
    bodies: impl Iterator<Item = Vec<u8>>,
) -> Result<()> {
    let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await?;
    let upload = begun.upload_id().context("upload id")?;
    let mut parts = Vec::new();
    for (number, bytes) in (1..).zip(bodies) {
        let part = client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
        let part = part.body(ByteStream::from(bytes)).send().await?;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let done = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
    complete.multipart_upload(done).send().await?;
    Ok(())
}

/// Reads all of [`contents`] and compares.
pub async fn check_all(client: &Client) -> Result<()> {
    for (key, body) in contents() {
        check(client, BUCKET, &key, &body).await?;
    }
    Ok(())
}

/// Reads an object and compares.
pub async fn check(client: &Client, bucket: &str, key: &str, body: &[u8]) -> Result<()> {
    let got = client.get_object().bucket(bucket).key(key).send().await.with_context(|| key.to_owned())?;
    ensure!(got.body.collect().await?.into_bytes() == body, "{key} holds other bytes");
    Ok(())
}

/// How many objects of a bucket the listing shows in each class, in the order of `classes`; others are a failure.
pub async fn count_classes<const N: usize>(
    client: &Client,
    bucket: &str,
    classes: [&str; N],
) -> Result<[usize; N]> {
    let mut counts = [0; N];
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let class = object.storage_class().map(|class| class.as_str()).unwrap_or("STANDARD");
            let number = classes.iter().position(|known| *known == class);
            let count = number.and_then(|number| counts.get_mut(number));
            *count.with_context(|| format!("an object of class {class}"))? += 1;
        }
    }
    Ok(counts)
}

/// Waits until the listing shows every object of a bucket in a class.
pub async fn wait_moved(client: &Client, bucket: &str, from: &str, to: &str) -> Result<()> {
    wait(&format!("everything in {bucket} is {to}"), PATIENCE, async || {
        let [left, moved] = count_classes(client, bucket, [from, to]).await?;
        Ok(left == 0 && moved > 0)
    })
    .await
}

/// Waits for something to be true.
pub async fn wait(
    what: &str,
    deadline: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        if begun.elapsed() > deadline {
            bail!("not in {deadline:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// What lives on drives of a class.
pub async fn live_bytes(server: &Server, class: &str) -> Result<u64> {
    let list: Value = serde_json::from_str(&server.admin(&["tier", "list", "--json"]).await?)?;
    let tiers = list.get("tiers").and_then(Value::as_array).context("tiers")?;
    let of_class = tiers.iter().filter(|tier| tier.get("class").is_some_and(|name| name == class));
    Ok(of_class.filter_map(|tier| tier.get("live_bytes").and_then(Value::as_u64)).sum())
}

/// Waits until no restore is under way.
pub async fn wait_restored(server: &Server, deadline: Duration) -> Result<()> {
    wait("everything is restored", deadline, async || {
        let list: Value = serde_json::from_str(&server.admin(&["tier", "list", "--json"]).await?)?;
        let restoring = list.get("warm").and_then(|warm| warm.get("restoring")).and_then(Value::as_u64);
        Ok(restoring.context("restores under way")? == 0)
    })
    .await
}

/// Waits until exactly so many bytes live, wherever: a heal that has too few disks left takes an SSD.
pub async fn wait_live(server: &Server, bytes: u64) -> Result<()> {
    let mut last = 0;
    let waited = wait("nothing lives twice", PATIENCE, async || {
        let list: Value = serde_json::from_str(&server.admin(&["tier", "list", "--json"]).await?)?;
        let tiers = list.get("tiers").and_then(Value::as_array).context("tiers")?;
        last = tiers.iter().filter_map(|tier| tier.get("live_bytes").and_then(Value::as_u64)).sum();
        Ok(last == bytes)
    })
    .await;
    waited.with_context(|| format!("{last} bytes live, not {bytes}"))
}

/// Waits until exactly so many bytes live on the disks and none on the SSDs: nothing lost, nothing doubled.
pub async fn wait_on_disks(server: &Server, bytes: u64) -> Result<()> {
    wait_lives(server, 0, bytes..=bytes).await
}

/// Waits until exactly so many bytes live on the SSDs and so many on the disks: a range where objects may share their bytes.
pub async fn wait_lives(server: &Server, ssd: u64, hdd: RangeInclusive<u64>) -> Result<()> {
    let mut last = (0, 0);
    let waited = wait("nothing lives twice", PATIENCE, async || {
        last = (live_bytes(server, "ssd").await?, live_bytes(server, "hdd").await?);
        Ok(last.0 == ssd && hdd.contains(&last.1))
    })
    .await;
    waited.with_context(|| format!("{last:?} live on SSDs and disks, not {ssd} and {hdd:?}"))
}

/// Waits until volumes in which nothing lives are gone, but for those with records, and every other one has all its shards.
pub async fn wait_collected(server: &Server, parity_min: usize) -> Result<()> {
    wait_collected_on(server, server.drive_paths(), parity_min).await
}

/// As [`wait_collected`], of a store with these drives.
pub async fn wait_collected_on(server: &Server, drives: &[PathBuf], parity_min: usize) -> Result<()> {
    let mut last = None;
    let waited = wait("the census is complete", PATIENCE, async || {
        last = collected(server, drives, parity_min).await.err();
        Ok(last.is_none())
    })
    .await;
    waited.with_context(|| format!("{last:?}"))
}

/// Whether every volume is complete, with so much parity at least.
pub async fn complete(server: &Server, parity_min: usize) -> Result<()> {
    let volumes: Value = serde_json::from_str(&server.admin(&["volume", "list", "--json"]).await?)?;
    Census::take(server.drive_paths())?.ensure_complete(&volumes, parity_min)
}

/// Whether every volume is complete, with so much parity at least, and nothing is left of those that were freed.
async fn collected(server: &Server, drives: &[PathBuf], parity_min: usize) -> Result<()> {
    let volumes: Value = serde_json::from_str(&server.admin(&["volume", "list", "--json"]).await?)?;
    let census = Census::take(drives)?;
    let listed = volumes.as_array().context("a list of volumes")?;
    let of = |volume: &Value, name: &str| volume.get(name).and_then(Value::as_str).map(str::to_owned);
    let freed = listed.iter().filter(|volume| of(volume, "state").is_some_and(|state| state == "freed"));
    let waiting = freed.count();
    let is_listed = |id: &String| listed.iter().any(|volume| of(volume, "id").as_ref() == Some(id));
    let unknown: Vec<_> = census.volumes.keys().filter(|id| !is_listed(id)).cloned().collect();
    census.ensure_complete(&volumes, parity_min)?;
    ensure!(waiting == 0, "{waiting} freed volumes wait");
    ensure!(unknown.is_empty(), "files of no volume: {unknown:?}");
    Ok(())
}
