//! Object lock: what a request says of a version's locks, on its way to the commit that decides.

use granary_metadata::{
    Bucket, Commit, LegalHold, LockChange, LockMode, Locking, NewObject, ObjectLock, Outcome, Retention,
    Write,
};
use granary_types::{Attributes, BucketId, BucketName, ObjectKey, UnixMillis, VersionId};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::objects::shown_version;

/// How often a call begins anew when the object is replaced meanwhile.
const TRIES: u32 = 8;

/// In the attributes of an upload, the locks of the object to be. No header has a colon in its name.
const UPLOAD_GOVERNANCE: &str = "lock:governance";
const UPLOAD_COMPLIANCE: &str = "lock:compliance";
const UPLOAD_HOLD: &str = "lock:hold";

/// Makes the locks true with the put of `object`, which comes before it in the same commit.
pub(crate) fn lock_write(
    bucket: BucketId,
    key: &ObjectKey,
    object: &NewObject,
    lock: ObjectLock,
) -> Option<Write> {
    let (version, write, change) = (object.version, object.write, LockChange::Initial(lock));
    let locking = Locking { bucket, key: key.clone(), version, write, change };
    (lock != ObjectLock::default()).then(|| Write::Lock(Box::new(locking)))
}

/// Refuses locks where the bucket has no object lock.
pub(crate) fn check_bucket(bucket: &Bucket, lock: ObjectLock) -> Result<()> {
    if lock != ObjectLock::default() && bucket.settings.lock.is_none() {
        return Err(EngineError::BucketNotLocked(bucket.name.clone()));
    }
    Ok(())
}

/// Keeps locks with an upload until it is completed.
pub(crate) fn keep_upload_lock(attributes: &mut Attributes, lock: ObjectLock) {
    if let Some(Retention { mode, until }) = lock.retention {
        let name = match mode {
            LockMode::Governance => UPLOAD_GOVERNANCE,
            LockMode::Compliance => UPLOAD_COMPLIANCE,
        };
        attributes.headers.push((name.to_owned(), until.0.to_string()));
    }
    match lock.legal_hold {
        LegalHold::Unset => {}
        LegalHold::Off => attributes.headers.push((UPLOAD_HOLD.to_owned(), "OFF".to_owned())),
        LegalHold::On => attributes.headers.push((UPLOAD_HOLD.to_owned(), "ON".to_owned())),
    }
}

/// Takes out what [`keep_upload_lock`] put in. What cannot be understood is an error: it is not taken for no lock.
pub(crate) fn take_upload_lock(attributes: &mut Attributes) -> Result<ObjectLock> {
    let mut lock = ObjectLock::default();
    let mut unreadable = false;
    attributes.headers.retain(|(name, value)| {
        let mode = match name.as_str() {
            UPLOAD_GOVERNANCE => LockMode::Governance,
            UPLOAD_COMPLIANCE => LockMode::Compliance,
            UPLOAD_HOLD => {
                lock.legal_hold = if value == "OFF" { LegalHold::Off } else { LegalHold::On };
                return false;
            }
            other => {
                unreadable |= other.starts_with("lock:");
                return true;
            }
        };
        match value.parse() {
            Ok(until) => lock.retention = Some(Retention { mode, until: UnixMillis(until) }),
            Err(_) => unreadable = true,
        }
        false
    });
    if unreadable {
        Err(EngineError::Internal("the locks of an upload cannot be understood"))
    } else {
        Ok(lock)
    }
}

impl Engine {
    /// Changes the locks of the current version of a key, or of the one named. Returns which version it is, if it is
    /// shown.
    ///
    /// # Errors
    /// [`EngineError::Locked`] if the locks it has forbid it, [`EngineError::BucketNotLocked`],
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`],
    /// [`EngineError::DeleteMarker`].
    pub async fn change_object_lock(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        change: LockChange,
    ) -> Result<Option<VersionId>> {
        let found = self.bucket(bucket).await?;
        if found.settings.lock.is_none() {
            return Err(EngineError::BucketNotLocked(found.name));
        }
        for _ in 0..TRIES {
            let row = self.object_row(found.id, key, version).await?;
            let NewObject { version, write, .. } = row.object;
            let locking = Locking { bucket: found.id, key: key.clone(), version, write, change };
            let commit = Commit { advances: Vec::new(), writes: vec![Write::Lock(Box::new(locking))] };
            match self.commit_one(commit).await? {
                Outcome::NoSuchKey => {}
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    return Ok(shown_version(version, found.settings));
                }
            }
        }
        Err(EngineError::Unavailable { context: "locking an object that changes all the time" })
    }
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
