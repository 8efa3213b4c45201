//! Where the parts of a large object lie, looked up ahead.
//!
//! A read may go on for minutes, and once its head is out it cannot be refused any more: a database that fails over meanwhile
//! would cut it off at the next part. So many parts are looked up at once, with their volumes, before the first of them
//! is sent; and when half of them are, those that follow are, beside it and for as long as a fail-over may take. Who reads a
//! warm copy of much has the object's own place looked up like that, for parts of which the copy cannot be read.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use granary_metadata::{Extent, MetadataError, PartRef};
use granary_types::{BlobId, VolumeId};
use tokio::task::JoinHandle;

use super::handle::Reader;
use crate::error::{EngineError, Result};
use crate::warm::WarmRead;

/// Parts looked up with one question, unless they hold more: where a GiB lies takes some tens of KiB of memory.
const PARTS_AHEAD_MAX: usize = 256;
const BYTES_AHEAD_MAX: u64 = 4 << 30;
/// Volumes looked up at a time.
const VOLUMES_AT_ONCE: usize = 16;
/// How long it is tried to look up what comes later, while the database is away.
const PATIENCE: Duration = Duration::from_mins(2);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

type Found = HashMap<BlobId, Vec<Extent>>;

/// What was looked up of the parts to come.
pub(super) struct Places {
    parts_ahead: usize,
    /// Those of `found`.
    parts: Range<usize>,
    found: Found,
    coming: Option<Coming>,
}

/// What is being looked up. Dropped, it is not any more.
struct Coming {
    parts: Range<usize>,
    looking: JoinHandle<Result<Found>>,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Default for Places {
    fn default() -> Self {
        Self { parts_ahead: PARTS_AHEAD_MAX, parts: 0..0, found: Found::default(), coming: None }
    }
}

impl Places {
    /// Where the part of this number lies, of those that will be asked for.
    pub(super) async fn of_part(
        &mut self,
        reader: &Arc<Reader>,
        (parts, index): (&[PartRef], usize),
        warm: &WarmRead,
    ) -> Result<Vec<Extent>> {
        let blob = parts.get(index).ok_or(EngineError::Internal("no part is left to be read"))?.blob;
        if !self.found.contains_key(&blob) && self.is_coming(index) {
            self.take_coming().await;
        }
        if !self.found.contains_key(&blob) {
            let lookup = self.lookup(reader, parts, index, warm);
            // A volume that cannot be looked up now fails the part that needs it, if it cannot be then either.
            (self.found, _) = lookup.run().await?;
            self.parts = lookup.parts;
        }
        let extents = self.found.get(&blob).cloned().ok_or_else(|| gone(blob))?;
        self.look_ahead(reader, (parts, index), warm).await;
        Ok(extents)
    }

    /// Begins to look up what comes behind what is known, if the part that is sent next is in the latter half of that. Waits for
    /// nothing.
    pub(super) async fn look_ahead(
        &mut self,
        reader: &Arc<Reader>,
        (parts, index): (&[PartRef], usize),
        warm: &WarmRead,
    ) {
        if self.is_coming(index) && self.coming.as_ref().is_some_and(|coming| coming.looking.is_finished()) {
            self.take_coming().await;
        }
        let mut next = index;
        if self.parts.contains(&index) {
            if (index - self.parts.start) * 2 + 1 < self.parts.len() {
                return;
            }
            next = self.parts.end;
        }
        if next >= parts.len() || self.is_coming(next) {
            return;
        }
        let lookup = self.lookup(reader, parts, next, warm);
        let parts = lookup.parts.clone();
        self.coming = Some(Coming { parts, looking: tokio::spawn(lookup.run_patiently()) });
    }

    fn is_coming(&self, index: usize) -> bool {
        self.coming.as_ref().is_some_and(|coming| coming.parts.contains(&index))
    }

    /// Waits for what is being looked up. If it could not be, who needs it asks again, and learns why.
    async fn take_coming(&mut self) {
        let Some(mut coming) = self.coming.take() else { return };
        match (&mut coming.looking).await {
            Ok(Ok(found)) => (self.found, self.parts) = (found, coming.parts.clone()),
            Ok(Err(error)) => tracing::debug!(%error, "parts could not be looked up ahead"),
            Err(_) => {}
        }
    }

    fn lookup(&self, reader: &Arc<Reader>, parts: &[PartRef], from: usize, warm: &WarmRead) -> Lookup {
        let ahead = parts.iter().skip(from).take(self.parts_ahead).scan(0_u64, |before, part| {
            let is_near = *before < BYTES_AHEAD_MAX;
            *before = before.saturating_add(part.length_bytes);
            is_near.then_some(part.blob)
        });
        let mut blobs: Vec<BlobId> = ahead.collect();
        let parts = from..from.saturating_add(blobs.len());
        // Copies by reference may name one blob in every part.
        blobs.sort_unstable();
        blobs.dedup();
        Lookup { reader: Arc::clone(reader), volumes: warm.volumes(parts.clone()), blobs, parts }
    }
}

/// Parts to be looked up.
struct Lookup {
    reader: Arc<Reader>,
    parts: Range<usize>,
    blobs: Vec<BlobId>,
    /// Volumes that are needed beside those of the blobs.
    volumes: BTreeSet<VolumeId>,
}

impl Lookup {
    /// Where the blobs lie, and why a volume could not be looked up.
    async fn run(&self) -> Result<(Found, Option<EngineError>)> {
        let rows = self.reader.store.blobs(&self.blobs).await?;
        let found: Found = rows.into_iter().map(|row| (row.id, row.extents)).collect();
        let mut volumes = self.volumes.clone();
        volumes.extend(found.values().flatten().map(|extent| extent.volume));
        let views = stream::iter(volumes).map(|volume| self.reader.map.view(volume));
        let views: Vec<_> = views.buffer_unordered(VOLUMES_AT_ONCE).collect().await;
        Ok((found, views.into_iter().find_map(Result::err)))
    }

    /// As [`Self::run`], again and again for a while when the database is away.
    async fn run_patiently(self) -> Result<Found> {
        let begun = Instant::now();
        loop {
            let is_in_time = begun.elapsed() < PATIENCE;
            match self.run().await {
                Ok((_, Some(error))) if is_in_time && is_away(&error) => {}
                Err(error) if is_in_time && is_away(&error) => {}
                looked => return looked.map(|(found, _)| found),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

fn is_away(error: &EngineError) -> bool {
    matches!(error, EngineError::Metadata(MetadataError::Unavailable { .. }))
}

/// Where a part lies now.
pub(super) async fn look_up(reader: &Reader, blob: BlobId) -> Result<Vec<Extent>> {
    let rows = reader.store.blobs(&[blob]).await?;
    Ok(rows.into_iter().next().ok_or_else(|| gone(blob))?.extents)
}

fn gone(blob: BlobId) -> EngineError {
    EngineError::Unreadable { context: format!("blob {blob} is gone") }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
