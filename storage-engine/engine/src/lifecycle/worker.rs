//! The worker: which buckets are due, and how far it has come in each.
//!
//! A bucket is walked once after each midnight, when its days end, and whenever its rules changed. The place is kept as
//! a configuration of the bucket after each page, so that another node, or this one after a restart, goes on there.

use std::sync::Arc;
use std::time::Duration;

use granary_metadata::{Bucket, BucketDocument, BucketQuery, DocumentQuery};
use granary_types::{UnixMillis, UploadId};
use serde::{Deserialize, Serialize};

use super::pass::Pass;
use super::{Aim, DayLength, RULES, decode};
use crate::engine::Inner;
use crate::error::{EngineError, Result};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const BUCKETS_PAGE: u32 = 1_000;
/// How often buckets are looked at, and for debugged days the shortest such time.
const LOOK: Duration = Duration::from_mins(5);
const LOOK_MIN: Duration = Duration::from_millis(200);
/// How many walks there are in a debugged day.
const WALKS_PER_DEBUG_DAY: u32 = 10;

/// Before all versions of a key: higher than any order, as far as databases count.
const ORDER_MAX: u64 = i64::MAX.cast_unsigned();

/// What is walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    #[default]
    Versions,
    Uploads,
    Done,
}

/// How far a walk has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The hash of the rules that are followed.
    rules: String,
    /// When the walk began.
    began_ms: i64,
    pub(super) stage: Stage,
    /// The prefix that is walked; `None` before the first.
    pub(super) prefix: Option<String>,
    /// The last key looked at.
    pub(super) after: Option<String>,
    /// The order of the last version looked at.
    pub(super) order: Option<u64>,
    /// The last upload looked at.
    pub(super) upload: Option<UploadId>,
    /// How many older versions of the last key were met, and when the last version met was written.
    pub(super) older_met: u32,
    pub(super) replaced_ms: Option<i64>,
}

impl Place {
    /// The beginning of the keys with that prefix.
    pub(super) fn enter(&mut self, prefix: String) {
        *self = Self {
            rules: std::mem::take(&mut self.rules),
            began_ms: self.began_ms,
            stage: self.stage,
            prefix: Some(prefix),
            ..Self::default()
        };
    }

    /// The beginning of that stage.
    pub(super) fn begin(&mut self, stage: Stage) {
        *self = Self {
            rules: std::mem::take(&mut self.rules),
            began_ms: self.began_ms,
            stage,
            ..Self::default()
        };
    }

    /// Begins the key anew within which a former walk was cut off: how many of its older versions there are now, and when
    /// each was replaced, is not what it was then.
    pub(super) fn resume(&mut self) {
        if self.stage == Stage::Versions && self.order.is_some() {
            self.order = Some(ORDER_MAX);
            (self.older_met, self.replaced_ms) = (0, None);
        }
    }

    /// Whether the bucket's rules are still those that the walk began with.
    pub(super) async fn rules_stand(&self, inner: &Inner, bucket: &Bucket) -> Result<bool> {
        let now = document(inner, bucket, RULES).await?;
        Ok(now.is_some_and(|document| hash_of(&document) == self.rules))
    }

    fn is_due(&self, rules: &str, day: DayLength, now: UnixMillis) -> bool {
        let waited = match day {
            DayLength::Real => self.began_ms < now.0 - now.0.rem_euclid(DAY_MS),
            DayLength::Debug(length) => {
                let pause = i64::try_from((length / WALKS_PER_DEBUG_DAY).as_millis()).unwrap_or(i64::MAX);
                self.began_ms.saturating_add(pause) <= now.0
            }
        };
        self.stage != Stage::Done || waited || self.rules != rules
    }
}

/// Follows the rules of all buckets while the shared work is this node's.
pub(crate) async fn follow_forever(inner: Arc<Inner>, aim: Aim) {
    let day = inner.options.lifecycle_day;
    let look = match day {
        DayLength::Real => LOOK,
        DayLength::Debug(length) => {
            tracing::warn!(
                ?aim,
                seconds = length.as_secs_f64(),
                "a day of a lifecycle rule is cut short for debugging"
            );
            (length / WALKS_PER_DEBUG_DAY).clamp(LOOK_MIN, LOOK)
        }
    };
    loop {
        tokio::time::sleep(look).await;
        // A database that went back in time may not know what took the place of what it says is over.
        if inner.is_regressed() {
            continue;
        }
        if let Err(error) = follow_all(&inner, aim, day).await {
            tracing::warn!(%error, "following the lifecycles of buckets failed and will be tried again");
        }
    }
}

async fn follow_all(inner: &Arc<Inner>, aim: Aim, day: DayLength) -> Result<()> {
    let mut after = None;
    while inner.does_shared_work() && !inner.is_regressed() {
        let query = BucketQuery { prefix: String::new(), after: after.take(), limit: BUCKETS_PAGE };
        let page = inner.store.list_buckets(query).await?;
        after = page.buckets.last().map(|bucket| bucket.name.to_string());
        for bucket in &page.buckets {
            // One bucket that cannot be followed does not keep the others from their turn.
            if let Err(error) = follow(inner, bucket, aim, day).await {
                tracing::warn!(bucket = %bucket.name, %error, "the lifecycle of a bucket cannot be followed now");
            }
        }
        if !page.more {
            break;
        }
    }
    Ok(())
}

async fn follow(inner: &Arc<Inner>, bucket: &Bucket, aim: Aim, day: DayLength) -> Result<()> {
    let Some(document) = document(inner, bucket, RULES).await? else { return Ok(()) };
    let rules = decode(&document)?;
    if aim == Aim::Move && !rules.move_anything() {
        return Ok(());
    }
    let hash = hash_of(&document);
    let place = document_place(inner, bucket, aim).await?;
    let now = UnixMillis::now();
    if !place.is_due(&hash, day, now) {
        return Ok(());
    }
    let place = if place.stage == Stage::Done || place.rules != hash {
        Place { rules: hash, began_ms: now.0, ..Place::default() }
    } else {
        place
    };
    Pass { inner, bucket, rules: &rules, day, aim, place }.run().await
}

fn hash_of(document: &[u8]) -> String {
    blake3::hash(document).to_hex().to_string()
}

async fn document(inner: &Inner, bucket: &Bucket, name: &str) -> Result<Option<Vec<u8>>> {
    let query = DocumentQuery { bucket: bucket.id, prefix: name.to_owned(), after: String::new(), limit: 1 };
    let first = inner.store.bucket_documents(query).await?.into_iter().next();
    Ok(first.filter(|found| found.name == name).and_then(|found| found.document))
}

/// A place that cannot be read is no harm: the walk begins anew.
async fn document_place(inner: &Inner, bucket: &Bucket, aim: Aim) -> Result<Place> {
    let stored = document(inner, bucket, aim.place()).await?;
    let place = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    Ok(place.unwrap_or(Place { stage: Stage::Done, ..Place::default() }))
}

/// Keeps the place. Returns `false` if the bucket is gone.
pub(super) async fn keep(inner: &Inner, bucket: &Bucket, aim: Aim, place: &Place) -> Result<bool> {
    let encoded = serde_json::to_vec(place);
    let encoded = encoded.map_err(|_| EngineError::Internal("encoding the place in a lifecycle"))?;
    let put = BucketDocument { bucket: bucket.id, name: aim.place().to_owned(), document: Some(encoded) };
    Ok(inner.store.put_bucket_document(put).await?)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
