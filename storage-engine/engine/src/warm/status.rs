//! Warm copies as operators see and direct them.

use std::sync::Arc;

use granary_metadata::{WarmAfter, WarmKind, WarmUsage, WarmVersion};
use granary_types::{BucketId, BucketName, UnixMillis};

use super::board::Told;
use super::copy::Pace;
use super::jobs::{WarmJob, WarmJobId, WarmJobKind, WarmJobState};
use super::pins::{Pin, PinStatus, all, prefixes, set};
use super::room::account_of;
use super::walk::{Walk, Walked, unpin};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};

const PAGE: u32 = 1_000;

/// What the warm copies of the store come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmStatus {
    /// How much prefetched and promoted copies together may take, parity left out; 0 if the store has no SSDs beside disks.
    pub limit_bytes: u64,
    /// Versions with prefetched copies, and the bytes of these.
    pub prefetched: (u64, u64),
    /// With promoted ones.
    pub promoted: (u64, u64),
    /// With pinned ones.
    pub pinned: (u64, u64),
    /// With restored ones.
    pub restored: (u64, u64),
    /// Versions whose restores are under way.
    pub restoring: u64,
}

impl WarmStatus {
    fn of(usage: &[WarmUsage], limit_bytes: u64) -> Self {
        let mut status = Self { limit_bytes, ..Self::default() };
        for usage in usage {
            let sum = (usage.versions, usage.bytes);
            match usage.kind {
                WarmKind::Read => {}
                WarmKind::Prefetched => status.prefetched = sum,
                WarmKind::Promoted => status.promoted = sum,
                WarmKind::Pinned => status.pinned = sum,
                WarmKind::Restored => status.restored = sum,
                WarmKind::WantedBulk | WarmKind::WantedStandard | WarmKind::WantedExpedited => {
                    status.restoring = status.restoring.saturating_add(usage.versions);
                }
            }
        }
        status
    }
}

async fn status(inner: &Inner) -> Result<WarmStatus> {
    let usage = inner.store.warm_usage().await?;
    Ok(WarmStatus::of(&usage, account_of(inner, &usage).limit_bytes))
}

/// Shows the numbers to who watches.
#[allow(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
pub(super) async fn show(inner: &Inner) -> Result<()> {
    let status = status(inner).await?;
    let kinds = [
        ("prefetched", status.prefetched),
        ("promoted", status.promoted),
        ("pinned", status.pinned),
        ("restored", status.restored),
    ];
    for (kind, (copies, bytes)) in kinds {
        metrics::gauge!("granary_warm_copies", "kind" => kind).set(copies as f64);
        metrics::gauge!("granary_warm_bytes", "kind" => kind).set(bytes as f64);
    }
    metrics::gauge!("granary_warm_limit_bytes").set(status.limit_bytes as f64);
    metrics::gauge!("granary_warm_restoring").set(status.restoring as f64);
    Ok(())
}

impl Engine {
    /// What the warm copies of the store come to.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn warm_status(&self) -> Result<WarmStatus> {
        status(&self.inner).await
    }

    /// Begins to copy the objects of a prefix to SSDs that lie on disks and can be read at once. The copies go when their room
    /// is needed, those first that were read least recently.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`]; [`EngineError::Layout`] if the store has no SSDs beside disks.
    pub async fn prefetch(&self, bucket: &BucketName, prefix: &str) -> Result<WarmJobId> {
        self.start_warming(bucket, prefix, WarmJobKind::Prefetch).await
    }

    /// As [`Engine::prefetch`], of copies that stay until the prefix is unpinned. What comes to the prefix later gets copies
    /// within minutes.
    ///
    /// # Errors
    /// As [`Engine::prefetch`].
    pub async fn pin(&self, bucket: &BucketName, prefix: &str) -> Result<WarmJobId> {
        self.start_warming(bucket, prefix, WarmJobKind::Pin).await
    }

    /// Whether this very prefix is pinned, and not only what it is part of.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn is_pinned(&self, bucket: &BucketName, prefix: &str) -> Result<bool> {
        let id = self.bucket(bucket).await?.id;
        Ok(prefixes(&self.inner, id).await?.iter().any(|pinned| pinned == prefix))
    }

    /// Pins a prefix no longer. The copies that no other pin covers stay as long as nothing else needs their room; returns how
    /// many there are.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn unpin(&self, bucket: &BucketName, prefix: &str) -> Result<u64> {
        let id = self.bucket(bucket).await?.id;
        if !set(&self.inner, id, prefix, Pin::Unpinned).await? {
            return Err(EngineError::NoSuchBucket(bucket.clone()));
        }
        unpin(&self.inner, id, prefix).await
    }

    async fn start_warming(&self, bucket: &BucketName, prefix: &str, kind: WarmJobKind) -> Result<WarmJobId> {
        if !self.inner.warm.is_used() {
            let why = "the store has no SSDs beside disks, so that nothing can be copied to them";
            return Err(EngineError::Layout(why.to_owned()));
        }
        let id = self.bucket(bucket).await?.id;
        if kind == WarmJobKind::Pin && !set(&self.inner, id, prefix, Pin::Pinned).await? {
            return Err(EngineError::NoSuchBucket(bucket.clone()));
        }
        let (number, job) = self.inner.warm.jobs.begin(kind, bucket.clone(), prefix.to_owned());
        let (inner, prefix) = (Arc::clone(&self.inner), prefix.to_owned());
        let task = self.inner.upkeep.spawn(async move {
            let told = Told { inner: &inner, bucket: id, number, job: &job };
            let work = async {
                let _turn = Arc::clone(&inner.warm.jobs.turn).lock_owned().await;
                job.change(|job| job.began = Some(UnixMillis::now()));
                let pace = Pace::Urgent;
                Walk { inner: &inner, bucket: id, prefix: &prefix, kind, pace, job: &job }.run().await
            };
            let state = match told.while_at_work(work).await {
                Ok(Walked::Whole) => WarmJobState::Done,
                Ok(Walked::Unpinned) => WarmJobState::Failed("the prefix was unpinned meanwhile".to_owned()),
                Err(error) => WarmJobState::Failed(error.to_string()),
            };
            told.end(state).await;
        });
        self.inner.warm.jobs.note(task.abort_handle());
        Ok(number)
    }

    /// How far a job is; `None` if it was never begun here or is long forgotten.
    #[must_use]
    pub fn warm_job(&self, id: WarmJobId) -> Option<WarmJob> {
        self.inner.warm.jobs.get(id)
    }

    /// The pinned prefixes of all buckets, and what is there of them. Reads all rows of copies below them.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn pins(&self) -> Result<Vec<PinStatus>> {
        let mut pins = Vec::new();
        for (id, bucket, prefix) in all(&self.inner).await? {
            let (copies, bytes) = self.pinned_below(id, &prefix).await?;
            pins.push(PinStatus { bucket, prefix, copies, bytes });
        }
        Ok(pins)
    }

    /// How many copies there are of what is pinned below a prefix, and their bytes.
    async fn pinned_below(&self, bucket: BucketId, prefix: &str) -> Result<(u64, u64)> {
        let (mut after, mut copies, mut bytes) = (WarmAfter::prefix(bucket, prefix), 0_u64, 0_u64);
        loop {
            let page = self.inner.store.warm_after(after, PAGE).await?;
            let is_ours = |row: &&WarmVersion| row.bucket == bucket && row.key.as_str().starts_with(prefix);
            for found in page.iter().filter(is_ours).filter(|found| found.row.kind == WarmKind::Pinned) {
                copies = copies.saturating_add(1);
                bytes = bytes.saturating_add(found.row.length_bytes());
            }
            match page.last().filter(is_ours) {
                Some(last) => after = WarmAfter::behind(last),
                None => return Ok((copies, bytes)),
            }
        }
    }
}
