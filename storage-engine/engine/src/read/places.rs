//! Where the parts of a large object lie, looked up ahead.
//!
//! A read may go on for minutes, and once its head is out it cannot be refused any more: a database that fails over meanwhile
//! would cut it off at the next part. So many parts are looked up at once, with their volumes, before the first of them
//! is sent.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt as _, stream};
use granary_metadata::{Extent, PartRef};
use granary_types::BlobId;

use super::handle::Reader;
use crate::error::{EngineError, Result};

/// Parts looked up with one question, unless they hold more: where a GiB lies takes some tens of KiB of memory.
const PARTS_AHEAD_MAX: usize = 256;
const BYTES_AHEAD_MAX: u64 = 4 << 30;
/// Volumes looked up at a time.
const VOLUMES_AT_ONCE: usize = 16;

/// What was looked up of the parts to come.
#[derive(Default)]
pub(super) struct Places(HashMap<BlobId, Vec<Extent>>);

impl Places {
    /// Where the first of `parts` lies; those behind it that have any of the first `length_bytes` will be asked for next.
    pub(super) async fn of_first(
        &mut self,
        reader: &Reader,
        parts: &[PartRef],
        length_bytes: u64,
    ) -> Result<Vec<Extent>> {
        let first = parts.first().ok_or(EngineError::Internal("no part is left to be read"))?.blob;
        if let Some(extents) = self.0.get(&first) {
            return Ok(extents.clone());
        }
        let limit_bytes = length_bytes.min(BYTES_AHEAD_MAX);
        let ahead = parts.iter().take(PARTS_AHEAD_MAX).scan(0_u64, |before, part| {
            let is_near = *before < limit_bytes;
            *before = before.saturating_add(part.length_bytes);
            is_near.then_some(part.blob)
        });
        let ahead: Vec<BlobId> = ahead.collect();
        let rows = reader.store.blobs(&ahead).await?;
        self.0 = rows.into_iter().map(|row| (row.id, row.extents)).collect();
        let volumes: BTreeSet<_> = self.0.values().flatten().map(|extent| extent.volume).collect();
        // One that cannot be looked up now fails the part that needs it, if it cannot be then either.
        let views = stream::iter(volumes).map(|volume| reader.map.view(volume));
        views.buffer_unordered(VOLUMES_AT_ONCE).for_each(|_| async {}).await;
        self.0.get(&first).cloned().ok_or_else(|| gone(first))
    }
}

/// Where a part lies now.
pub(super) async fn look_up(reader: &Reader, blob: BlobId) -> Result<Vec<Extent>> {
    let rows = reader.store.blobs(&[blob]).await?;
    Ok(rows.into_iter().next().ok_or_else(|| gone(blob))?.extents)
}

fn gone(blob: BlobId) -> EngineError {
    EngineError::Unreadable { context: format!("blob {blob} is gone") }
}
