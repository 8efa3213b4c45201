//! The tags of objects.

use granary_metadata::{Bucket, Commit, NewObject, Outcome, Tag, Tagging, Write};
use granary_types::{Attributes, BucketId, BucketName, ObjectKey, VersionId};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::events::{EventKind, Subject};
use crate::objects::shown_version;

/// How often a call begins anew when the object is replaced meanwhile.
const TRIES: u32 = 8;

/// In the attributes of an upload, an entry for each tag of the object to be. No header has a colon in its name.
const UPLOAD_TAG: &str = "tag:";

/// Makes the tags true with the put of `object`, which comes before it in the same commit.
pub(crate) fn tag_write(
    bucket: BucketId,
    key: &ObjectKey,
    object: &NewObject,
    tags: Vec<Tag>,
) -> Option<Write> {
    let (version, write) = (object.version, object.write);
    let tagging = Tagging { bucket, key: key.clone(), version, write, tags };
    (!tagging.tags.is_empty()).then(|| Write::Tag(Box::new(tagging)))
}

/// Keeps tags with an upload until it is completed.
pub(crate) fn keep_upload_tags(attributes: &mut Attributes, tags: Vec<Tag>) {
    attributes.headers.extend(tags.into_iter().map(|(key, value)| (format!("{UPLOAD_TAG}{key}"), value)));
}

/// Takes out what [`keep_upload_tags`] put in.
pub(crate) fn take_upload_tags(attributes: &mut Attributes) -> Vec<Tag> {
    let mut tags = Vec::new();
    attributes.headers.retain(|(name, value)| match name.strip_prefix(UPLOAD_TAG) {
        Some(key) => {
            tags.push((key.to_owned(), value.clone()));
            false
        }
        None => true,
    });
    tags
}

impl Engine {
    /// The tags of the current version of a key, or of the one named; and which version it is, if it is shown.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`],
    /// [`EngineError::DeleteMarker`].
    pub async fn object_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<(Option<VersionId>, Vec<Tag>)> {
        let Bucket { id, settings, .. } = self.bucket(bucket).await?;
        for _ in 0..TRIES {
            let row = self.object_row(id, key, version).await?;
            if row.tag_count == 0 {
                return Ok((shown_version(row.object.version, settings), Vec::new()));
            }
            // None where some were counted: the object is another one, or has other tags, by now.
            let tags = self.inner.store.object_tags(id, key, row.object.write).await?;
            if !tags.is_empty() {
                return Ok((shown_version(row.object.version, settings), tags));
            }
        }
        Err(EngineError::Unavailable { context: "reading tags of an object that changes all the time" })
    }

    /// Gives the current version of a key, or the one named, these tags and no others. Returns which version it is, if it
    /// is shown.
    ///
    /// # Errors
    /// As [`Engine::object_tags`].
    pub async fn set_object_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        tags: Vec<Tag>,
    ) -> Result<Option<VersionId>> {
        let found = self.bucket(bucket).await?;
        let (id, settings) = (found.id, found.settings);
        let kind = if tags.is_empty() { EventKind::TaggingDelete } else { EventKind::TaggingPut };
        for _ in 0..TRIES {
            let row = self.object_row(id, key, version).await?;
            let NewObject { version, write, .. } = row.object;
            let events = self.event_writes(&found, Subject::of(kind, key, Some(version))).await?;
            let tagging = Tagging { bucket: id, key: key.clone(), version, write, tags: tags.clone() };
            let writes = std::iter::once(Write::Tag(Box::new(tagging))).chain(events).collect();
            let commit = Commit { advances: Vec::new(), writes };
            match self.commit_one(commit).await? {
                Outcome::NoSuchKey => {}
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    return Ok(shown_version(version, settings));
                }
            }
        }
        Err(EngineError::Unavailable { context: "tagging an object that changes all the time" })
    }
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
