//! The access control lists of objects. The engine keeps them and does not look into them.

use granary_metadata::{AclChange, Bucket, Commit, NewObject, Outcome, Write};
use granary_types::{Attributes, BucketId, BucketName, ObjectKey, VersionId, WriteId};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::events::{EventKind, Subject};
use crate::objects::shown_version;

/// How often a call begins anew when the object is replaced meanwhile.
const TRIES: u32 = 8;

/// In the attributes of an upload, the list of the object to be. No header has a colon in its name.
const UPLOAD_ACL: &str = "acl:";

/// Makes the list true with the put of `object`, which comes before it in the same commit.
pub(crate) fn acl_write(
    bucket: BucketId,
    key: &ObjectKey,
    object: &NewObject,
    acl: Option<String>,
) -> Option<Write> {
    let acl = Some(acl?.into_bytes());
    let (version, write) = (object.version, object.write);
    Some(Write::Acl(Box::new(AclChange { bucket, key: key.clone(), version, write, acl })))
}

/// Keeps a list with an upload until it is completed.
pub(crate) fn keep_upload_acl(attributes: &mut Attributes, acl: Option<String>) {
    attributes.headers.extend(acl.map(|acl| (UPLOAD_ACL.to_owned(), acl)));
}

/// Takes out what [`keep_upload_acl`] put in.
pub(crate) fn take_upload_acl(attributes: &mut Attributes) -> Option<String> {
    let place = attributes.headers.iter().position(|(name, _)| name == UPLOAD_ACL)?;
    Some(attributes.headers.remove(place).1)
}

/// A version with its access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectAcl {
    /// The version, if it is shown.
    pub version: Option<VersionId>,
    /// The write that made it, which the list belongs to.
    pub write: WriteId,
    /// The list; `None` for the default one.
    pub acl: Option<Vec<u8>>,
}

impl Engine {
    /// The list of the version that `write` made, for another version that takes its place.
    pub(crate) async fn acl_of(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<String>> {
        let acl = self.inner.store.object_acl(bucket, key, write).await?;
        let text = acl.map(String::from_utf8).transpose();
        text.map_err(|_| EngineError::Internal("an access control list is no text"))
    }

    /// The access control list of the current version of a key, or of the one named.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`],
    /// [`EngineError::DeleteMarker`].
    pub async fn object_acl(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<ObjectAcl> {
        let Bucket { id, settings, .. } = self.bucket(bucket).await?;
        let NewObject { version, write, .. } = self.object_row(id, key, version).await?.object;
        let acl = self.inner.store.object_acl(id, key, write).await?;
        Ok(ObjectAcl { version: shown_version(version, settings), write, acl })
    }

    /// Gives the version that `write` made another access control list, or the default one. Returns which version it is,
    /// if it is shown.
    ///
    /// # Errors
    /// As [`Engine::object_acl`]; [`EngineError::Unavailable`] if the object is another one by now.
    pub async fn set_object_acl(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        (named, write): (Option<VersionId>, WriteId),
        acl: Option<String>,
    ) -> Result<Option<VersionId>> {
        let found = self.bucket(bucket).await?;
        let (id, settings) = (found.id, found.settings);
        for _ in 0..TRIES {
            let object = self.object_row(id, key, named).await?.object;
            if object.write != write {
                break;
            }
            let version = object.version;
            let bytes = acl.clone().map(String::into_bytes);
            let change = AclChange { bucket: id, key: key.clone(), version, write, acl: bytes };
            let subject = Subject::of(EventKind::AclPut, key, Some(version));
            let events = self.event_writes(&found, subject).await?;
            let writes = std::iter::once(Write::Acl(Box::new(change))).chain(events).collect();
            let commit = Commit { advances: Vec::new(), writes };
            match self.commit_one(commit).await? {
                Outcome::NoSuchKey => {}
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    return Ok(shown_version(version, settings));
                }
            }
        }
        Err(EngineError::Unavailable {
            context: "changing the access of an object that changes all the time",
        })
    }
}
