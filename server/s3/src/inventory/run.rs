//! Makes the inventories that are due.

use std::time::Duration;

use granary_engine::{BucketQuery, Engine, Freshness, PutOptions, PutSource};
use granary_types::{Attributes, BucketName, ObjectKey, UnixMillis, WriteId};
use md5::{Digest as _, Md5};
use serde_json::json;

use super::config::{DOCUMENT, Frequency, Inventory};
use super::list::{File, Listed, Place};
use crate::access;
use crate::access::rules::{Rules, fragment};
use crate::access::services;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::state::{S3State, Shared};
use crate::text_body::TextBody;

/// What the names of the places begin with at which it is kept when an inventory was made last.
const MADE: &str = "worker/inventory/";
const BUCKETS_PAGE: u32 = 1_000;
/// The most inventories of a bucket, as the configurations may be.
const INVENTORIES_MAX: u32 = 1_000;
const DAYS_PER_WEEK: i64 = 7;

impl S3State {
    /// Makes the inventories of all buckets that are due, for ever; `day` is how long a day is.
    pub async fn make_inventories_forever(self, day: Duration) {
        let look = (day / 20).clamp(Duration::from_millis(200), Duration::from_mins(10));
        loop {
            tokio::time::sleep(look).await;
            if let Err(error) = make_all(&self.0, day).await {
                tracing::warn!(%error, "making inventories failed and will be tried again");
            }
        }
    }
}

async fn make_all(shared: &Shared, day: Duration) -> S3Result<()> {
    let mut after = None;
    while shared.engine.leads() {
        let query = BucketQuery { prefix: String::new(), after: after.take(), limit: BUCKETS_PAGE };
        let page = shared.engine.list_buckets(query).await?;
        after = page.buckets.last().map(|bucket| bucket.name.to_string());
        for bucket in &page.buckets {
            // One that cannot be made does not keep the others from their turn.
            if let Err(error) = make_due(shared, &bucket.name, day).await {
                let cause = error.causes();
                tracing::warn!(bucket = %bucket.name, %error, cause, "an inventory of a bucket could not be made");
            }
        }
        if !page.more {
            break;
        }
    }
    Ok(())
}

async fn make_due(shared: &Shared, bucket: &BucketName, day: Duration) -> S3Result<()> {
    let engine = &shared.engine;
    let mut failure = Ok(());
    for found in engine.bucket_documents(bucket, DOCUMENT, "", INVENTORIES_MAX).await? {
        let Ok(root) = fragment("Inventory", &found.document.unwrap_or_default()) else { continue };
        let Ok(inventory) = Inventory::of_element(&root) else { continue };
        if !inventory.is_enabled || !engine.leads() {
            continue;
        }
        let place = format!("{MADE}{}/", inventory.id);
        let made = engine.bucket_document(bucket, &place).await?;
        let made = made.and_then(|made| String::from_utf8(made).ok()?.parse::<i64>().ok());
        let now = number_of(UnixMillis::now(), day, inventory.frequency);
        if made == Some(now) {
            continue;
        }
        match make(shared, bucket, &inventory).await {
            Ok(()) => engine.put_bucket_document(bucket, &place, Some(now.to_string().into_bytes())).await?,
            Err(error) => failure = Err(error),
        }
    }
    failure
}

/// Which day or week it is, counted from the beginning of 1970.
fn number_of(now: UnixMillis, day: Duration, frequency: Frequency) -> i64 {
    let day_ms = i64::try_from(day.as_millis()).unwrap_or(i64::MAX).max(1);
    let days = now.0.div_euclid(day_ms);
    match frequency {
        Frequency::Daily => days,
        // Weeks begin on Sundays, as AWS makes weekly ones then; 1970 began on a Thursday.
        Frequency::Weekly => days.saturating_add(4).div_euclid(DAYS_PER_WEEK),
    }
}

async fn make(shared: &Shared, bucket: &BucketName, inventory: &Inventory) -> S3Result<()> {
    let source = access::rules(shared, bucket, Freshness::Current).await?;
    let target = access::rules(shared, &inventory.destination, Freshness::Current).await?;
    let now = UnixMillis::now();
    let folder = folder(inventory, bucket);
    check_access(&target, &source, &folder)?;
    let (mut files, mut addresses) = (Vec::new(), String::new());
    let mut place = Some(Place::default());
    while let Some(from) = place.take() {
        let unique =
            WriteId::random().map_err(|error| S3Error::new(ErrorCode::InternalError).because(error))?;
        let name = key(&format!("{folder}data/{unique}.csv.gz"))?;
        let mut file = File::new(&shared.engine, inventory, bucket, from);
        put(&shared.engine, inventory, &name, "application/gzip", &mut file).await?;
        let Listed { length_bytes, md5, next, lines } = file.listed();
        metrics::counter!("granary_inventory_lines_total").increment(lines);
        addresses.push_str(&format!("s3://{}/{name}\n", inventory.destination));
        files.push(json!({ "key": name.as_str(), "size": length_bytes, "MD5checksum": md5 }));
        place = next;
    }
    let manifest = json!({
        "sourceBucket": bucket.as_str(),
        "destinationBucket": format!("arn:aws:s3:::{}", inventory.destination),
        "version": "2016-11-30",
        "creationTimestamp": now.0.to_string(),
        "fileFormat": "CSV",
        "fileSchema": inventory.columns().join(", "),
        "files": files,
    })
    .to_string();
    let Stamps { folder: stamp, partition } = stamps(now)?;
    let checksum = hex::encode(Md5::digest(manifest.as_bytes()));
    let told = [
        (format!("hive/dt={partition}/symlink.txt"), "text/plain", addresses),
        (format!("{stamp}/manifest.json"), "application/json", manifest),
        (format!("{stamp}/manifest.checksum"), "application/json", checksum),
    ];
    for (name, content_type, text) in told {
        let name = key(&format!("{folder}{name}"))?;
        put(&shared.engine, inventory, &name, content_type, &mut TextBody::new(text)).await?;
    }
    Ok(())
}

fn check_access(target: &Rules, source: &Rules, folder: &str) -> S3Result<()> {
    let sample = key(&format!("{folder}data/sample"))?;
    if target.owner.account == source.owner.account
        && services::may_write(services::INVENTORY, source, (target, &sample))
    {
        return Ok(());
    }
    Err(S3Error::with_message(
        ErrorCode::AccessDenied,
        "The destination bucket does not let s3.amazonaws.com write the inventory",
    ))
}

/// `PREFIX/SOURCE/ID/`.
fn folder(inventory: &Inventory, bucket: &BucketName) -> String {
    let prefix = inventory.prefix.trim_end_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    format!("{prefix}{bucket}/{}/", inventory.id)
}

fn key(text: &str) -> S3Result<ObjectKey> {
    ObjectKey::new(text).map_err(|error| S3Error::new(ErrorCode::KeyTooLongError).because(error.to_string()))
}

/// When an inventory was made, as its keys say it.
struct Stamps {
    /// `2016-11-06T21-32Z`.
    folder: String,
    /// `2016-11-06-21-32`, by which Hive knows its partitions.
    partition: String,
}

fn stamps(now: UnixMillis) -> S3Result<Stamps> {
    let internal = |error: String| S3Error::new(ErrorCode::InternalError).because(error);
    let at = time::OffsetDateTime::from_unix_timestamp(now.seconds());
    let at = at.map_err(|error| internal(error.to_string()))?;
    let folder = time::macros::format_description!("[year]-[month]-[day]T[hour]-[minute]Z");
    let partition = time::macros::format_description!("[year]-[month]-[day]-[hour]-[minute]");
    Ok(Stamps {
        folder: at.format(folder).map_err(|error| internal(error.to_string()))?,
        partition: at.format(partition).map_err(|error| internal(error.to_string()))?,
    })
}

async fn put(
    engine: &Engine,
    inventory: &Inventory,
    key: &ObjectKey,
    content_type: &str,
    source: &mut dyn PutSource,
) -> S3Result<()> {
    let attributes = Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() };
    let options = PutOptions { attributes, ..PutOptions::default() };
    engine.put_object(&inventory.destination, key, options, source).await?;
    Ok(())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
