//! The worker: which buckets are due, and how far it has come in each.
//!
//! A bucket is walked once after each midnight, when its days end, and whenever its rules changed. The place is kept as
//! a configuration of the bucket after each page, so that another node, or this one after a restart, goes on there. What
//! could not be moved is tried again in between, and what waited to be moved before it expires is looked at when the moves have
//! ended ([`super::place`]).

use std::sync::Arc;
use std::time::Duration;

use granary_metadata::{Bucket, BucketDocument, BucketQuery, DocumentQuery};
use granary_types::UnixMillis;

use super::pass::{Batch, Pass};
use super::place::{MoveProgress, Place, WALKS_PER_DEBUG_DAY, hash_of};
use super::{Aim, DayLength, RULES, decode};
use crate::engine::Inner;
use crate::error::{EngineError, Result};

const BUCKETS_PAGE: u32 = 1_000;
/// How often buckets are looked at, and for debugged days the shortest such time.
const LOOK: Duration = Duration::from_mins(5);
const LOOK_MIN: Duration = Duration::from_millis(200);

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
    let moves = match aim {
        Aim::Delete if rules.move_anything() => document_place(inner, bucket, Aim::Move).await?,
        Aim::Delete | Aim::Move => Place::none(),
    };
    if !place.is_due(&hash, day, now) && !place.has_waited(&moves) {
        return Ok(());
    }
    let place = place.next_walk(hash, day, now);
    Pass { inner, bucket, rules: &rules, day, aim, place, moves, due: Batch::default() }.run().await
}

pub(super) async fn document(inner: &Inner, bucket: &Bucket, name: &str) -> Result<Option<Vec<u8>>> {
    let query = DocumentQuery { bucket: bucket.id, prefix: name.to_owned(), after: String::new(), limit: 1 };
    let first = inner.store.bucket_documents(query).await?.into_iter().next();
    Ok(first.filter(|found| found.name == name).and_then(|found| found.document))
}

/// A place that cannot be read is no harm: the walk begins anew.
async fn document_place(inner: &Inner, bucket: &Bucket, aim: Aim) -> Result<Place> {
    let stored = document(inner, bucket, aim.place()).await?;
    let place = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    Ok(place.unwrap_or_else(Place::none))
}

/// How far the moves of a bucket's versions are, if there is something to tell.
pub(crate) async fn move_progress(inner: &Inner, bucket: &Bucket) -> Result<Option<MoveProgress>> {
    let place = document_place(inner, bucket, Aim::Move).await?;
    if !place.has_progress() {
        return Ok(None);
    }
    // Those of rules that were taken back are not moved any more.
    let Some(rules) = document(inner, bucket, RULES).await? else { return Ok(None) };
    Ok(place.progress(&hash_of(&rules)))
}

/// Keeps the place. Returns `false` if the bucket is gone.
pub(super) async fn keep(inner: &Inner, bucket: &Bucket, aim: Aim, place: &Place) -> Result<bool> {
    let encoded = serde_json::to_vec(place);
    let encoded = encoded.map_err(|_| EngineError::Internal("encoding the place in a lifecycle"))?;
    let put = BucketDocument { bucket: bucket.id, name: aim.place().to_owned(), document: Some(encoded) };
    Ok(inner.store.put_bucket_document(put).await?)
}
