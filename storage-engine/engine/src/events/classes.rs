//! What is told of storage classes: restores of archived versions, and moves by rules of the lifecycle.

use granary_metadata::{Bucket, NewObject, Write};
use granary_types::{ObjectKey, StorageClass, UnixMillis};

use super::{EventKind, Origin, Subject};
use crate::engine::Inner;
use crate::error::Result;

impl Inner {
    /// What has to be committed with a restore that begins: `origin` asked for it.
    pub(crate) async fn restore_begun_events(
        &self,
        origin: &Origin,
        bucket: &Bucket,
        (key, object): (&ObjectKey, &NewObject),
    ) -> Result<Vec<Write>> {
        self.event_writes(origin, bucket, Subject::created(EventKind::RestorePost, key, object)).await
    }

    /// What has to be committed with the end of a restore: the version can be read until `expires`.
    pub(crate) async fn restore_done_events(
        &self,
        origin: &Origin,
        bucket: &Bucket,
        (key, object): (&ObjectKey, &NewObject),
        expires: UnixMillis,
    ) -> Result<Vec<Write>> {
        let kind = EventKind::RestoreCompleted { expires, class: object.storage_class };
        self.event_writes(origin, bucket, Subject::created(kind, key, object)).await
    }

    /// What has to be committed when the copy of a version that was restored is removed.
    pub(crate) async fn restore_ended_events(
        &self,
        bucket: &Bucket,
        (key, object): (&ObjectKey, &NewObject),
    ) -> Result<Vec<Write>> {
        let subject = Subject::created(EventKind::RestoreDelete, key, object);
        self.event_writes(&Origin::lifecycle(), bucket, subject).await
    }

    /// What has to be committed with the move of a version to another class, by a rule.
    pub(crate) async fn transition_events(
        &self,
        bucket: &Bucket,
        (key, object): (&ObjectKey, &NewObject),
        to: StorageClass,
    ) -> Result<Vec<Write>> {
        let subject = Subject::created(EventKind::Transition { to }, key, object);
        self.event_writes(&Origin::lifecycle(), bucket, subject).await
    }
}
