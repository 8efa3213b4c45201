//! Records that nothing in the metadata refers to, in volumes that are compacted or freed: manifests, deletes, refusals,
//! buckets. A rebuild of the metadata goes by them, from the newest backup on.
//!
//! What is still true is written again before its volume goes. What cannot be read may have been such a record, of a delete
//! say, without which an older record of the deleted object, in a volume that stays, would be taken for true. A backup of the
//! metadata that was begun later knows what became of all of it: until there is one the volume stays.

use std::collections::HashSet;
use std::sync::Arc;

use granary_drive::BlockKind;
use granary_metadata::{NewObject, VolumeRow};
use granary_types::{BlobId, UnixMillis, VolumeId};

#[cfg(test)]
use super::packed::entries_of;
use super::walk::{Step, Walk};
use crate::engine::Inner;
use crate::error::Result;
use crate::record::ObjectRecord;
use crate::told::{Deed, Told, is_before, is_ms_before};
use crate::volume::VolumeView;
use crate::write::{Recorded, Stamping};

/// What of a volume could not be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    places: u64,
    /// Whether the volume is one of large objects, which hold no records.
    is_of_blobs: bool,
}

impl Unread {
    /// A stripe was passed, of which so much could not be read.
    pub(super) fn pass(&mut self, kind: BlockKind, places: u64) {
        self.places = self.places.saturating_add(places);
        self.is_of_blobs |= kind == BlockKind::Blob;
    }

    /// Stripes were passed of which nothing is known.
    pub(super) fn pass_gap(&mut self) {
        self.places = self.places.saturating_add(1);
    }

    /// Whether nothing was lost that could still be needed: there is nothing, or the backup knows it. If not, that is noted, and
    /// nobody reads the volume through again before it can be freed. Where no backups are made none would ever know it, and a
    /// rebuild has nothing to begin with.
    pub(super) fn may_be_given_up(&self, inner: &Inner, volume: VolumeId, backup_ms: Option<i64>) -> bool {
        if self.places == 0 || self.is_of_blobs {
            return true;
        }
        let places = self.places;
        if !inner.makes_backups() {
            tracing::error!(%volume, places, "some of a volume cannot be read, and what changes it told of is given up: no backups of the metadata are made");
            return true;
        }
        let (met, now) = (inner.pool.records.unread(volume), UnixMillis::now());
        inner.pool.records.note_unread(volume, now);
        if met.is_some_and(|met| is_told(met, backup_ms)) {
            return true;
        }
        tracing::error!(%volume, places, "some of a volume cannot be read: it stays until a backup of the metadata that is begun later knows what it told");
        false
    }
}

/// Whether a backup surely knows what was written to a volume that took no more by then.
fn is_told(met: UnixMillis, backup_ms: Option<i64>) -> bool {
    backup_ms.is_some_and(|newest| is_ms_before(met, newest))
}

/// Whether some of a volume could not be read, all else was written again, and no backup knows the rest yet.
pub(super) async fn awaits_backup(inner: &Inner, volume: VolumeId) -> bool {
    match inner.pool.records.unread(volume) {
        Some(met) => !is_told(met, inner.trusted_backup_ms().await),
        None => false,
    }
}

/// Writes a record again that nothing refers to, if what it tells still matters.
pub(super) async fn move_manifest(
    inner: &Inner,
    victim: &VolumeRow,
    (told, record): (&ObjectRecord, Vec<u8>),
    backup_ms: Option<i64>,
) -> Result<u64> {
    if !still_tells(inner, told, &record, backup_ms).await? {
        return Ok(0);
    }
    let length = record.len() as u64;
    let kept = Recorded { stamping: Stamping::Kept, ..Recorded::default() };
    inner.packer.record_in(inner.pool.for_records(victim), vec![record], kept).await?;
    Ok(length)
}

/// Of a version: whether it is still there, and has the class or the blobs that are told. Of a delete or a refusal: whether no backup of the metadata can tell of it,
/// so that the older record it speaks of could be taken for true.
async fn still_tells(
    inner: &Inner,
    told: &ObjectRecord,
    record: &[u8],
    backup_ms: Option<i64>,
) -> Result<bool> {
    let whole = ObjectRecord::decode_all(record, 0).and_then(|whole| whole.told);
    match whole {
        Some((Told { deed: Deed::Erased | Deed::Refused(_) | Deed::BucketGone, .. }, stamp)) => {
            Ok(backup_ms.is_none_or(|newest| !is_before(stamp, newest)))
        }
        Some((Told { deed: Deed::Bucket(bucket), .. }, _)) => {
            // Only the last of them is true.
            Ok(inner.store.bucket(&bucket.name).await?.is_some_and(|row| row == *bucket))
        }
        Some((Told { deed: Deed::Retiered, .. }, _)) => {
            let row = inner.store.object(told.bucket, &told.key, Some(told.object.version)).await?;
            Ok(row.is_some_and(|row| still_has(&row.object, &told.object)))
        }
        Some((Told { deed: Deed::Put, .. }, _)) | None => {
            let row = inner.store.object(told.bucket, &told.key, Some(told.object.version)).await?;
            Ok(row.is_some_and(|row| row.object.write == told.object.write))
        }
    }
}

/// Whether a version still has the class that was told of it later, or the blobs: those are told only once, and stay through
/// other classes.
fn still_has(object: &NewObject, told: &NewObject) -> bool {
    let blobs: HashSet<BlobId> = object.content.parts().iter().map(|part| part.blob).collect();
    let mut told_blobs = told.content.parts().iter().map(|part| part.blob).peekable();
    let has_blobs = told_blobs.peek().is_some() && told_blobs.all(|blob| blobs.contains(&blob));
    object.write == told.write && (object.storage_class == told.storage_class || has_blobs)
}

/// Whether records may lie in a volume in which nothing lives. Volumes of large objects have none.
pub(crate) async fn may_hold_records(inner: &Arc<Inner>, row: &VolumeRow) -> Result<bool> {
    match inner.pool.records.bytes(row.volume.id) {
        Some(0) => return Ok(false),
        Some(_) => return Ok(true),
        None => {}
    }
    let view = Arc::new(VolumeView::of(row)?);
    let mut walk = Walk::new(view, row.committed_end);
    let mut has_gap = false;
    while let Some(step) = walk.next(&inner.map).await? {
        match step {
            Step::Stripe(stripe) => return Ok(stripe.header.kind == BlockKind::Packed),
            Step::Gap { .. } => has_gap = true,
        }
    }
    // Of what cannot be read nothing says what it was.
    Ok(has_gap)
}

/// The records of all packed objects and manifests in a volume, each with the length of the bytes beside it.
#[cfg(test)]
pub(crate) async fn records_in(inner: &Arc<Inner>, row: &VolumeRow) -> Result<Vec<(Vec<u8>, u32)>> {
    let view = Arc::new(VolumeView::of(row)?);
    let mut walk = Walk::new(Arc::clone(&view), row.committed_end);
    let mut found = Vec::new();
    while let Some(step) = walk.next(&inner.map).await? {
        let Step::Stripe(stripe) = step else { continue };
        let packed = entries_of(&stripe, &view)?.packed;
        found.extend(packed.into_iter().map(|(_, entry, _)| (entry.record, entry.length_bytes)));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
