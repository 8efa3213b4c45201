//! Deleting objects, and telling the blocks of it.
//!
//! What is deleted for good leaves its record in the blocks until they are compacted, so a record of the delete goes there
//! too: who rebuilds the metadata from the blocks must not bring back what was deleted. A delete that surely happens if
//! its commit does is recorded in the group it is committed with; one that depends on what the commit finds, after it.

use granary_metadata::{
    Bucket, BucketSettings, Commit, DeleteObject, EraseObject, EraseTerms, NewObject, Outcome, RemoveObject,
    VersionKind, Versioning, Write, WriteConditions,
};
use granary_types::{BucketName, ObjectKey, UnixMillis, VersionId, WriteId};

use crate::api::{DeleteEntry, Deleted};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::events::without_events;
use crate::record::ObjectRecord;
use crate::told::{Deed, Told};
use crate::write::Recorded;

impl Engine {
    /// Deletes a key or one version of it. What is not there counts as deleted, unless a condition asked for it.
    ///
    /// # Errors
    /// [`EngineError::PreconditionFailed`], [`EngineError::NoSuchKey`] (an `if_match` without an object), …
    pub async fn delete_object(&self, bucket: &BucketName, entry: DeleteEntry) -> Result<Deleted> {
        let mut results = self.delete_objects(bucket, vec![entry]).await?;
        results.pop().unwrap_or(Err(EngineError::Internal("a delete without an outcome")))
    }

    /// Deletes many keys in one commit; each has a result of its own.
    ///
    /// # Errors
    /// As [`Engine::delete_object`] for each key; the outer error when nothing was deleted.
    pub async fn delete_objects(
        &self,
        bucket: &BucketName,
        entries: Vec<DeleteEntry>,
    ) -> Result<Vec<Result<Deleted>>> {
        let found = self.bucket(bucket).await?;
        let modified = UnixMillis::now();
        let writes = entries
            .into_iter()
            .map(|entry| write_of(&found, entry, modified))
            .collect::<Result<Vec<Write>>>()?;
        let mut expected = Vec::with_capacity(writes.len());
        let mut records = Vec::new();
        for write in &writes {
            let made = made_for_sure(&found, write);
            if let Some(made) = &made {
                records.extend(made.records(&found)?);
            }
            expected.push(made);
        }
        let all = self.inner.with_events(&self.origin, &found, &writes).await?;
        let outcomes = if records.is_empty() {
            self.inner.store.commit(Commit { advances: Vec::new(), writes: all.clone() }).await?
        } else {
            let recorded = Recorded { writes: all.clone(), ..Recorded::default() };
            self.commit_recorded(records, recorded).await?
        };
        let outcomes = without_events(&all, outcomes);
        self.inner.record_deletes(&found, &writes, &expected, &outcomes).await;
        let deleted = |outcome: &Outcome| {
            self.accepted(bucket, outcome)?;
            Ok(match outcome {
                Outcome::Marked { version, .. } => Deleted::Marked(*version),
                Outcome::Done { replaced: Some(row), .. } if row.object.kind == VersionKind::DeleteMarker => {
                    Deleted::MarkerGone
                }
                _ => Deleted::Gone,
            })
        };
        Ok(outcomes.iter().map(deleted).collect())
    }
}

fn write_of(bucket: &Bucket, entry: DeleteEntry, modified: UnixMillis) -> Result<Write> {
    let DeleteEntry { key, version, bypass, conditions } = entry;
    Ok(match version {
        Some(version) => Write::Erase(Box::new(EraseObject {
            delete: DeleteObject { bucket: bucket.id, key, version, conditions },
            terms: EraseTerms { at: modified, bypass, expected: None },
        })),
        None => Write::Remove(Box::new(RemoveObject {
            bucket: bucket.id,
            key,
            conditions,
            version: VersionId::random().map_err(EngineError::drawing)?,
            write: WriteId::random().map_err(EngineError::drawing)?,
            modified,
        })),
    })
}

/// What a delete made of a key, to be recorded.
pub(crate) struct Made {
    key: ObjectKey,
    object: NewObject,
    deed: Deed,
}

impl Made {
    fn records(&self, bucket: &Bucket) -> Result<Vec<Vec<u8>>> {
        let told = Told::of(bucket, self.deed.clone());
        ObjectRecord::manifest(bucket.id, &self.key, &self.object, &told)
    }

    fn marker(remove: &RemoveObject, version: VersionId) -> Option<Self> {
        // Of which version it is, is said here.
        let any = BucketSettings { versioning: Versioning::Enabled, lock: None };
        let object = NewObject { version, ..remove.marker_in(any)? };
        Some(Self { key: remove.key.clone(), object, deed: Deed::Put })
    }

    fn erased(remove: &RemoveObject, version: VersionId) -> Option<Self> {
        Some(Self { deed: Deed::Erased, ..Self::marker(remove, version)? })
    }

    /// Takes back what was recorded of a delete.
    fn refused(remove: &RemoveObject) -> Option<Self> {
        Some(Self { deed: Deed::Refused(remove.write), ..Self::marker(remove, VersionId::NULL)? })
    }
}

/// The removal that an erasure is for its record.
fn removal(erase: &EraseObject) -> Option<RemoveObject> {
    Some(RemoveObject {
        bucket: erase.delete.bucket,
        key: erase.delete.key.clone(),
        conditions: WriteConditions::default(),
        version: erase.delete.version,
        write: WriteId::random().ok()?,
        modified: UnixMillis::now(),
    })
}

/// What a delete makes if it is committed; `None` if that is not sure before.
fn made_for_sure(bucket: &Bucket, write: &Write) -> Option<Made> {
    match write {
        Write::Remove(remove) if remove.conditions == WriteConditions::default() => {
            match remove.marker_in(bucket.settings) {
                Some(marker) => Made::marker(remove, marker.version),
                None => Made::erased(remove, VersionId::NULL),
            }
        }
        Write::Erase(erase)
            if erase.delete.conditions == WriteConditions::default()
                && erase.terms.expected.is_none()
                && bucket.settings.lock.is_none() =>
        {
            Made::erased(&removal(erase)?, erase.delete.version)
        }
        _ => None,
    }
}

/// What is to be recorded of a delete once its outcome is known.
fn made_after(write: &Write, expected: Option<&Made>, outcome: &Outcome) -> Vec<Made> {
    let remove = match write {
        Write::Remove(remove) => remove,
        Write::Expire(expire) => &expire.remove,
        Write::Erase(erase) => {
            let is_new = expected.is_none() && matches!(outcome, Outcome::Done { replaced: Some(_), .. });
            let made = removal(erase).filter(|_| is_new);
            return made.and_then(|made| Made::erased(&made, made.version)).into_iter().collect();
        }
        _ => return Vec::new(),
    };
    let made = match outcome {
        Outcome::Marked { version, .. } => Made::marker(remove, *version),
        Outcome::Done { replaced: Some(_), .. } => Made::erased(remove, VersionId::NULL),
        Outcome::Done { .. } => return Vec::new(),
        _ => None,
    };
    match (expected, made) {
        (Some(expected), Some(made))
            if expected.deed == made.deed && expected.object.version == made.object.version =>
        {
            Vec::new()
        }
        // The bucket's versioning was another one when the delete was committed.
        (Some(_), made) => Made::refused(remove).into_iter().chain(made).collect(),
        (None, made) => made.into_iter().collect(),
    }
}

impl Inner {
    /// Records what deletes made that could not be recorded before. They are done: what cannot be recorded is told by the
    /// metadata alone.
    pub(crate) async fn record_deletes(
        &self,
        bucket: &Bucket,
        writes: &[Write],
        expected: &[Option<Made>],
        outcomes: &[Outcome],
    ) {
        let expected = expected.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let made = writes.iter().zip(outcomes).zip(expected);
        let made = made.flat_map(|((write, outcome), expected)| made_after(write, expected, outcome));
        let records: Vec<Vec<u8>> = made.filter_map(|made| made.records(bucket).ok()).flatten().collect();
        self.record_beside(records).await;
    }

    /// Records that a key without versioning is deleted.
    pub(crate) async fn record_erased(&self, bucket: &Bucket, remove: &RemoveObject) {
        let records = Made::erased(remove, VersionId::NULL).and_then(|made| made.records(bucket).ok());
        self.record_beside(records.unwrap_or_default()).await;
    }

    /// Writes records of what the metadata knows already.
    pub(crate) async fn record_beside(&self, records: Vec<Vec<u8>>) {
        let count = records.len();
        if count == 0 {
            return;
        }
        if let Err(error) = self.record_where_room_is(&records, &Recorded::default()).await {
            metrics::counter!("granary_records_left_out_total").increment(count as u64);
            tracing::warn!(%error, count, "a change could not be recorded in the blocks: the metadata alone knows it");
        }
    }
}
