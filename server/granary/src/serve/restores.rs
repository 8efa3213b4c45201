//! The admin API's restores of whole prefixes: each object by the engine's call that RestoreObject makes.

use futures::{StreamExt as _, stream};
use granary_admin::{AdminError, RestoreFailure, RestorePage, RestoreRequest, RestoreTier};
use granary_engine::{Engine, EngineError, ListEntry, ListOptions, ListedObject, Urgency};
use granary_types::{BucketName, StorageClass};

/// Keys of a page: what is restored in a few seconds, so that a request is never long.
const PAGE_KEYS: u32 = 1_000;
/// Objects that are restored together.
const TOGETHER: usize = 32;

/// What became of one object.
enum Fate {
    Begun,
    Extended,
    Readable,
    /// It was deleted since it was listed.
    Gone,
    InProgress,
    Failed(String),
}

/// Restores what is archived in one page of keys.
pub(super) async fn answer(engine: &Engine, request: RestoreRequest) -> Result<RestorePage, AdminError> {
    let RestoreRequest { bucket, prefix, after, days, tier } = request;
    let name = BucketName::new(&bucket)
        .map_err(|_| AdminError::Invalid(format!("{bucket:?} is no name of a bucket")))?;
    if days == 0 {
        return Err(AdminError::Invalid("an object is restored for at least one day".to_owned()));
    }
    let options = ListOptions { prefix, delimiter: None, after, limit: PAGE_KEYS };
    let listed = engine.list_objects(&name, options).await.map_err(refused)?;
    let objects: Vec<ListedObject> = listed
        .entries
        .into_iter()
        .filter_map(|entry| match entry {
            ListEntry::Object(object) => Some(object),
            ListEntry::CommonPrefix(_) => None,
        })
        .collect();
    let next_after = objects.last().filter(|_| listed.more).map(|object| object.key.to_string());
    let mut page = RestorePage { next_after, ..RestorePage::default() };
    let restores = objects.into_iter().map(|object| {
        let name = &name;
        async move { (restore(engine, name, &object, days, tier).await, object) }
    });
    let mut restores = stream::iter(restores).buffered(TOGETHER);
    while let Some((fate, object)) = restores.next().await {
        match fate {
            Fate::Begun => {
                page.begun += 1;
                page.begun_bytes += object.length_bytes;
            }
            Fate::Extended => page.extended += 1,
            Fate::Readable => page.readable += 1,
            Fate::Gone => {}
            Fate::InProgress => page.in_progress += 1,
            Fate::Failed(reason) => {
                page.failed.push(RestoreFailure { key: object.key.to_string(), reason });
            }
        }
    }
    Ok(page)
}

async fn restore(
    engine: &Engine,
    bucket: &BucketName,
    object: &ListedObject,
    days: u32,
    tier: RestoreTier,
) -> Fate {
    if !object.storage_class.is_archive() {
        return Fate::Readable;
    }
    if object.storage_class == StorageClass::DeepArchive && tier == RestoreTier::Expedited {
        return Fate::Failed("DEEP_ARCHIVE has no Expedited restores".to_owned());
    }
    let urgency = match tier {
        RestoreTier::Expedited => Urgency::Expedited,
        RestoreTier::Standard => Urgency::Standard,
        RestoreTier::Bulk => Urgency::Bulk,
    };
    match engine.restore_object(bucket, &object.key, None, (days, urgency)).await {
        Ok(done) if done.was_restored => Fate::Extended,
        Ok(_) => Fate::Begun,
        Err(EngineError::RestoreInProgress) => Fate::InProgress,
        Err(EngineError::NotArchived(_)) => Fate::Readable,
        Err(EngineError::NoSuchKey | EngineError::DeleteMarker { .. }) => Fate::Gone,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

fn refused(error: EngineError) -> AdminError {
    match error {
        EngineError::NoSuchBucket(_) => AdminError::NotFound(error.to_string()),
        other => {
            let error = format!("{:#}", anyhow::Error::from(other));
            tracing::error!(error, "a prefix could not be restored");
            AdminError::Unavailable("the objects cannot be listed now".to_owned())
        }
    }
}
