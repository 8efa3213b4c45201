//! Reading from a warm copy, if there is one.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use granary_metadata::{Extent, ObjectRow, WarmPlace, WarmRow};
use granary_types::{BucketId, ObjectKey, VolumeId};

use super::heat::note_read;
use crate::api::ByteRange;
use crate::read::Reader;

/// What a read finds of warm copies; nothing where there cannot be any, which costs nothing.
pub(crate) struct WarmRead {
    place: Option<WarmPlace>,
}

impl WarmRead {
    /// Looks for the copy of a version of which a range is being read, and counts the read if that matters.
    pub(crate) async fn of(
        reader: &Reader,
        (bucket, key): (BucketId, &ObjectKey),
        row: &ObjectRow,
        range: ByteRange,
    ) -> Self {
        let object = &row.object;
        if !reader.warm.is_for(object.storage_class) {
            return Self { place: None };
        }
        let found = match reader.store.object_warmth(bucket, key, object.write).await {
            Ok(found) => found,
            Err(error) => {
                // The version's own place is as good.
                tracing::debug!(%key, %error, "it cannot be asked for a warm copy");
                None
            }
        };
        let is_known = found.is_some();
        let place = found.and_then(|WarmRow { place, .. }| place).filter(|place| fits(place, row));
        note_read(&reader.warm, (bucket, key), object, range, (place.is_some(), is_known));
        if place.is_none() {
            count("cold");
        }
        Self { place }
    }

    /// The stored bytes of a packed object; `None` to read them from its own place.
    pub(crate) async fn packed(&self, reader: &Reader) -> Option<Bytes> {
        let Some(WarmPlace::Packed(at)) = &self.place else { return None };
        match reader.packed(at).await {
            Ok(bytes) => {
                count("warm");
                Some(bytes)
            }
            Err(error) => {
                count("failed");
                tracing::warn!(volume = %at.volume, %error, "a warm copy cannot be read: the object's own place is");
                None
            }
        }
    }

    /// The extents of a large object's part, from 0.
    pub(crate) fn part(&self, index: usize) -> Option<&[Extent]> {
        let Some(WarmPlace::Parts(parts)) = &self.place else { return None };
        parts.get(index).map(Vec::as_slice)
    }

    /// The volumes that these parts of a large object's copy lie in.
    pub(crate) fn volumes(&self, parts: Range<usize>) -> BTreeSet<VolumeId> {
        parts.filter_map(|index| self.part(index)).flatten().map(|extent| extent.volume).collect()
    }
}

/// Whether a copy is of these bytes. It is under the write's id, so it always is; but the wrong bytes must never be sent.
fn fits(place: &WarmPlace, row: &ObjectRow) -> bool {
    let content = &row.object.content;
    match place {
        WarmPlace::Packed(at) => {
            content.packed().is_some_and(|own| own.hash == at.hash && own.length_bytes == at.length_bytes)
        }
        WarmPlace::Parts(parts) => content.packed().is_none() && parts.len() == content.parts().len(),
        WarmPlace::Begun(_) => false,
    }
}

/// Reads of versions that may have copies, by what became of them.
pub(super) fn count(outcome: &'static str) {
    metrics::counter!("granary_warm_reads_total", "outcome" => outcome).increment(1);
}

/// A large object's copy was read.
pub(crate) fn count_part(was_read: bool) {
    count(if was_read { "warm" } else { "failed" });
}
