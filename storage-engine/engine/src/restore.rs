//! Reading what is archived: a version of an archive class is readable while it is restored.
//!
//! Its bytes lie on drives of this store and stay where they are: a restore lets them be read, until it expires. So it is done
//! as soon as it is asked for, whatever urgency was asked for.

use granary_metadata::{Commit, Outcome, RestoreChange, Write};
use granary_types::{BucketName, ObjectKey, StorageClass, UnixMillis, VersionId};

use crate::api::{Restore, Restored};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::objects::shown_version;

/// How often a call begins anew when the object is replaced meanwhile.
const TRIES: u32 = 8;

impl Engine {
    /// Lets the current version of a key, or the one named, be read for so many days from now; the last of them ends at
    /// midnight.
    ///
    /// # Errors
    /// [`EngineError::NotArchived`] for a version of another class; [`EngineError::NoSuchBucket`],
    /// [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`], [`EngineError::DeleteMarker`].
    pub async fn restore_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        named: Option<VersionId>,
        days: u32,
    ) -> Result<Restore> {
        let found = self.bucket(bucket).await?;
        let (id, settings) = (found.id, found.settings);
        for _ in 0..TRIES {
            let object = self.object_row(id, key, named).await?.object;
            if !object.storage_class.is_archive() {
                return Err(EngineError::NotArchived(object.storage_class));
            }
            let before = self.inner.store.object_restore(id, key, object.write).await?;
            let now = UnixMillis::now();
            let restored =
                Restored { requested: now, expires: self.inner.options.lifecycle_day.after(now, days) };
            let change = RestoreChange {
                bucket: id,
                key: key.clone(),
                version: object.version,
                write: object.write,
                restored: Some(restored),
            };
            let mut writes = vec![Write::Restore(Box::new(change))];
            // One that is readable is only so for longer: no restore begins.
            if before.is_none_or(|before| before.expires <= now) {
                let (origin, subject) = (&self.origin, (key, &object));
                writes.extend(self.inner.restore_begun_events(origin, &found, subject).await?);
                let done = self.inner.restore_done_events(origin, &found, subject, restored.expires);
                writes.extend(done.await?);
            }
            let commit = Commit { advances: Vec::new(), writes };
            match self.commit_one(commit).await? {
                Outcome::NoSuchKey => {}
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    return Ok(Restore {
                        version: shown_version(object.version, settings),
                        was_restored: before.is_some_and(|before| before.expires > now),
                        expires: restored.expires,
                    });
                }
            }
        }
        Err(EngineError::Unavailable { context: "restoring an object that changes all the time" })
    }

    /// Until when a version of an archive class can be read, if it can.
    pub(crate) async fn restored(
        &self,
        bucket: granary_types::BucketId,
        key: &ObjectKey,
        object: &granary_metadata::NewObject,
    ) -> Result<Option<Restored>> {
        if !object.storage_class.is_archive() {
            return Ok(None);
        }
        let found = self.inner.store.object_restore(bucket, key, object.write).await?;
        let now = UnixMillis::now();
        Ok(found.filter(|restored| restored.expires > now))
    }
}

/// Refuses to read what is archived and not restored.
///
/// # Errors
/// [`EngineError::Archived`].
pub fn check_readable(class: StorageClass, restored: Option<Restored>) -> Result<()> {
    if class.is_archive() && restored.is_none() { Err(EngineError::Archived(class)) } else { Ok(()) }
}
