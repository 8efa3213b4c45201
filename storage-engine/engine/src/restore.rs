//! Reading what is archived: a version of an archive class is readable while it is restored.
//!
//! Where the store has SSDs beside disks, a restore copies the version to the SSDs, and is in progress until the copy is there
//! (`warm/restore.rs`). Elsewhere its bytes lie where they would be copied to: it is done as soon as it is asked for,
//! whatever urgency was asked for.

use futures::{StreamExt as _, TryStreamExt as _};
use granary_metadata::{
    Commit, NewObject, ObjectRow, Outcome, RestoreChange, WarmChange, WarmKind, WarmRow, WarmStep, Write,
};
use granary_types::{BucketId, BucketName, ObjectKey, StorageClass, UnixMillis, VersionId};

use crate::api::{Restore, RestoreState, Restored, Urgency};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::objects::shown_version;
use crate::tiers::Tier;

/// How often a call begins anew when the object is replaced meanwhile.
const TRIES: u32 = 8;
/// The restores of so many versions are looked up at a time.
const STATES_AT_ONCE: usize = 32;

impl Urgency {
    fn wanted(self) -> WarmKind {
        match self {
            Self::Bulk => WarmKind::WantedBulk,
            Self::Standard => WarmKind::WantedStandard,
            Self::Expedited => WarmKind::WantedExpedited,
        }
    }
}

/// A version that a restore is asked for.
struct Asked<'a> {
    bucket: BucketId,
    key: &'a ObjectKey,
    object: &'a NewObject,
    days: u32,
    now: UnixMillis,
}

impl Asked<'_> {
    fn restore(&self, restored: Restored) -> Write {
        Write::Restore(Box::new(RestoreChange {
            bucket: self.bucket,
            key: self.key.clone(),
            version: self.object.version,
            write: self.object.write,
            restored: Some(restored),
        }))
    }

    fn warm(&self, step: WarmStep) -> Write {
        let (version, write) = (self.object.version, self.object.write);
        let (bucket, key) = (self.bucket, self.key.clone());
        Write::Warm(Box::new(WarmChange { bucket, key, version, write, step }))
    }
}

impl Engine {
    /// Lets the current version of a key, or the one named, be read for so many days from when it is restored; the last of them
    /// ends at midnight. A restore that is in progress can be made more urgent, and one that is done be given another end.
    ///
    /// # Errors
    /// [`EngineError::NotArchived`] for a version of another class; [`EngineError::RestoreInProgress`] if it is being restored
    /// with that urgency or a greater one; [`EngineError::ExpeditedUnavailable`] if an expedited restore finds no room on the
    /// SSDs; [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`],
    /// [`EngineError::DeleteMarker`].
    pub async fn restore_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        named: Option<VersionId>,
        (days, urgency): (u32, Urgency),
    ) -> Result<Restore> {
        let found = self.bucket(bucket).await?;
        let (id, settings) = (found.id, found.settings);
        for _ in 0..TRIES {
            let ObjectRow { object, .. } = self.object_row(id, key, named).await?;
            if !object.storage_class.is_archive() {
                return Err(EngineError::NotArchived(object.storage_class));
            }
            let asked = Asked { bucket: id, key, object: &object, days, now: UnixMillis::now() };
            let (mut writes, state) = self.restore_writes(&asked, urgency).await?;
            let before = self.inner.store.object_restore(id, key, object.write).await?;
            // One that is readable is only so for longer: no restore begins.
            if before.is_none_or(|before| before.expires <= asked.now) {
                let (origin, subject) = (&self.origin, (key, &object));
                writes.extend(self.inner.restore_begun_events(origin, &found, subject).await?);
                if let RestoreState::Done(Restored { expires, .. }) = state {
                    writes.extend(self.inner.restore_done_events(origin, &found, subject, expires).await?);
                }
            }
            match self.commit_one(Commit { advances: Vec::new(), writes }).await? {
                // It was replaced, or is being restored by another request: that is looked at again.
                Outcome::NoSuchKey | Outcome::Moved => {}
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    self.inner.warm.wake();
                    return Ok(Restore {
                        version: shown_version(object.version, settings),
                        was_restored: before.is_some_and(|before| before.expires > asked.now),
                        state,
                    });
                }
            }
        }
        Err(EngineError::Unavailable { context: "restoring an object that changes all the time" })
    }

    /// How far the restores of some versions are, in their order: of the current version of a key where none is named. `None`
    /// also for what is not there.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn restore_states(
        &self,
        bucket: &BucketName,
        versions: Vec<(ObjectKey, Option<VersionId>)>,
    ) -> Result<Vec<Option<RestoreState>>> {
        let id = self.bucket(bucket).await?.id;
        let states = versions.into_iter().map(|(key, version)| async move {
            match self.object_row(id, &key, version).await {
                Ok(row) => self.restored(id, &key, &row.object).await,
                Err(
                    EngineError::NoSuchKey | EngineError::NoSuchVersion | EngineError::DeleteMarker { .. },
                ) => Ok(None),
                Err(error) => Err(error),
            }
        });
        futures::stream::iter(states).buffered(STATES_AT_ONCE).try_collect().await
    }

    /// What restores a version, or begins to, and what it is then.
    async fn restore_writes(
        &self,
        asked: &Asked<'_>,
        urgency: Urgency,
    ) -> Result<(Vec<Write>, RestoreState)> {
        let Asked { bucket, key, object, days, now } = asked;
        let expires = self.inner.options.lifecycle_day.after(*now, *days);
        let restored = Restored { requested: *now, expires };
        let done = RestoreState::Done(restored);
        let before = self.inner.store.object_restore(*bucket, key, object.write).await?;
        let is_restored = before.is_some_and(|before| before.expires > *now);
        if !self.inner.warm.is_for(object.storage_class) {
            return Ok((vec![asked.restore(restored)], done));
        }
        let warm = self.inner.store.object_warmth(*bucket, key, object.write).await?;
        let kind = warm.as_ref().map(|warm| warm.kind).filter(|kind| kind.is_wanted());
        if is_restored && kind.is_none() {
            let mut writes = Vec::new();
            // First, so that what became of it counts: it may just be ending.
            if let Some(WarmRow { kind: WarmKind::Restored, .. }) = warm {
                let (from, kind) = (WarmKind::Restored, WarmKind::Restored);
                writes.push(asked.warm(WarmStep::Keep { from, kind, at: expires }));
            }
            writes.push(asked.restore(restored));
            return Ok((writes, done));
        }
        if object.length_bytes == 0 {
            return Ok((vec![asked.restore(restored)], done));
        }
        let wanted = urgency.wanted();
        if kind.is_some_and(|kind| kind >= wanted) {
            return Err(EngineError::RestoreInProgress);
        }
        if urgency == Urgency::Expedited && !self.inner.pool.has_room_in(Tier::Warm) {
            return Err(EngineError::ExpeditedUnavailable);
        }
        let want = asked.warm(WarmStep::Want { kind: wanted, at: *now, days: *days });
        Ok((vec![want], RestoreState::Ongoing))
    }

    /// Whether a version of an archive class can be read, or is being restored; `None` if neither, or of another class.
    pub(crate) async fn restored(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        object: &NewObject,
    ) -> Result<Option<RestoreState>> {
        if !object.storage_class.is_archive() {
            return Ok(None);
        }
        let found = self.inner.store.object_restore(bucket, key, object.write).await?;
        let now = UnixMillis::now();
        if let Some(restored) = found.filter(|restored| restored.expires > now) {
            return Ok(Some(RestoreState::Done(restored)));
        }
        if !self.inner.warm.is_for(object.storage_class) {
            return Ok(None);
        }
        let warm = self.inner.store.object_warmth(bucket, key, object.write).await?;
        Ok(warm.filter(|warm| warm.kind.is_wanted()).map(|_| RestoreState::Ongoing))
    }
}

/// Refuses to read what is archived and not restored.
///
/// # Errors
/// [`EngineError::Archived`].
pub fn check_readable(class: StorageClass, restored: Option<RestoreState>) -> Result<()> {
    match restored {
        Some(RestoreState::Done(_)) => Ok(()),
        _ if class.is_archive() => Err(EngineError::Archived(class)),
        _ => Ok(()),
    }
}
