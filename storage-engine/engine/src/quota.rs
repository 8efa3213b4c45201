//! What buckets, and all buckets of an account together, may take: quotas of bytes and objects, and how much of them is
//! left.
//!
//! Quotas of buckets are a configuration of their bucket; those of accounts are known to the caller (`owners`). What a
//! bucket holds is accounted with each commit and read here at most
//! once a second, so that a write to a bucket with a quota costs no read and one to a bucket without costs nothing. Between
//! two reads a node adds what it has let in itself. So one node never lets a bucket grow beyond its quota, and several
//! nodes beyond it by what the others let in within a second, and what is being uploaded through them then. When there seems
//! to be no room, the usage is read anew before a write is refused.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_metadata::BucketUsage;
use granary_types::{BucketId, BucketName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::api::Bucket;
use crate::configurations::OneConfiguration;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::owners::{OwnerLimits, Owners};

/// The name of the limits among the configurations of a bucket.
pub const BUCKET_LIMITS: &str = "limits/";

/// How long the usage of a bucket is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Buckets whose room is remembered.
const BUCKETS_MAX: usize = 10_000;

/// What the operator lets a bucket have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketLimits {
    /// Bytes of all versions and parts.
    pub bytes_max: Option<u64>,
    /// Versions, without delete markers.
    pub objects_max: Option<u64>,
    /// Requests a second to each node. The engine does not look at it.
    pub requests_per_s: Option<NonZeroU32>,
}

impl BucketLimits {
    /// Reads a configuration of the name [`BUCKET_LIMITS`].
    ///
    /// # Errors
    /// [`EngineError::Internal`] if it cannot be understood.
    pub fn decode(document: &[u8]) -> Result<Self> {
        serde_json::from_slice(document).map_err(|error| {
            tracing::error!(%error, "the limits of a bucket cannot be read");
            EngineError::Internal("the limits of a bucket cannot be read")
        })
    }
}

/// Which quota a write would exceed, with what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// So many bytes.
    Bytes(u64),
    /// So many versions.
    Objects(u64),
}

/// What a write adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: u64,
    pub(crate) objects: u64,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            objects: self.objects.saturating_add(other.objects),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            objects: self.objects.saturating_sub(other.objects),
        }
    }
}

/// Whose quota it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A bucket's own.
    Bucket(BucketId),
    /// That of an account, for all its buckets.
    Account(String),
}

/// What one node knows of the room of a bucket or an account.
#[derive(Default)]
struct Book {
    ledger: Mutex<Ledger>,
    /// Held while the usage is read, so that writes which find no room ask for it once together.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ledger {
    /// What the metadata said last, and when it was asked.
    usage: BucketUsage,
    read: Option<Instant>,
    /// What is being written.
    in_flight: Amount,
    /// What writes that ended took, in all; and how much of it is in `usage`.
    ended: Amount,
    seen: Amount,
}

impl Ledger {
    /// Takes what a write wants, if it is there.
    fn take(&mut self, limits: &BucketLimits, wanted: Amount) -> Result<(), Quota> {
        let used = Amount { bytes: self.usage.bytes, objects: self.usage.objects };
        let used = used.plus(self.in_flight).plus(self.ended.minus(self.seen));
        let after = used.plus(wanted);
        // A bucket that has more than it may, since its quota was lowered, takes what adds nothing.
        if let Some(max) = limits.bytes_max.filter(|max| wanted.bytes > 0 && after.bytes > *max) {
            return Err(Quota::Bytes(max));
        }
        if let Some(max) = limits.objects_max.filter(|max| wanted.objects > 0 && after.objects > *max) {
            return Err(Quota::Objects(max));
        }
        self.in_flight = self.in_flight.plus(wanted);
        Ok(())
    }

    /// A write ended. Until the next read it counts as if it had been committed.
    fn end(&mut self, taken: Amount) {
        self.in_flight = self.in_flight.minus(taken);
        self.ended = self.ended.plus(taken);
    }

    /// The metadata was read, after `ended` was this.
    fn learn(&mut self, usage: BucketUsage, ended: Amount, asked: Instant) {
        // Of two reads at once, the one that was begun later knows more.
        if ended.bytes >= self.seen.bytes && ended.objects >= self.seen.objects {
            (self.usage, self.seen, self.read) = (usage, ended, Some(asked));
        }
    }

    fn is_fresh(&self) -> bool {
        self.read.is_some_and(|at| at.elapsed() < BELIEVED)
    }
}

/// The quotas of buckets and accounts, and the room that is left of them.
#[derive(Default)]
pub(crate) struct Quotas {
    limits: OneConfiguration<BucketLimits>,
    books: Mutex<HashMap<Holder, Arc<Book>>>,
    pub(crate) owners: Owners,
}

impl Quotas {
    fn of(&self, holder: &Holder) -> Arc<Book> {
        let mut known = self.books.lock();
        if known.len() >= BUCKETS_MAX {
            known.retain(|_, book| Arc::strong_count(book) > 1);
        }
        Arc::clone(known.entry(holder.clone()).or_default())
    }
}

/// Room that a write took of the quotas of its bucket and of the bucket's owner, until it ended.
pub(crate) struct Room<'e> {
    engine: &'e Engine,
    taken: Vec<Taken>,
}

struct Taken {
    holder: Holder,
    limits: BucketLimits,
    book: Arc<Book>,
    amount: Amount,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        for taken in &self.taken {
            taken.book.ledger.lock().end(taken.amount);
        }
    }
}

impl Room<'_> {
    async fn take(&mut self, holder: Holder, limits: BucketLimits, amount: Amount) -> Result<()> {
        let book = self.engine.inner.quotas.of(&holder);
        self.engine.take(&holder, &limits, &book, amount).await?;
        self.taken.push(Taken { holder, limits, book, amount });
        Ok(())
    }

    /// Takes more, if the write turned out to be longer than was announced.
    ///
    /// # Errors
    /// [`EngineError::QuotaExceeded`].
    pub(crate) async fn grow_to(&mut self, bytes: u64) -> Result<()> {
        for taken in &mut self.taken {
            let more = Amount { bytes: bytes.saturating_sub(taken.amount.bytes), objects: 0 };
            if more.bytes > 0 {
                self.engine.take(&taken.holder, &taken.limits, &taken.book, more).await?;
                taken.amount = taken.amount.plus(more);
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Takes room for a write. What other nodes changed of the limits counts within a second.
    ///
    /// # Errors
    /// [`EngineError::QuotaExceeded`].
    pub(crate) async fn room(&self, bucket: &Bucket, wanted: Amount) -> Result<Room<'_>> {
        let ask = async {
            self.inner
                .document_of(bucket.id, BUCKET_LIMITS)
                .await?
                .as_deref()
                .map(BucketLimits::decode)
                .transpose()
        };
        let limits = self.inner.cached_of(bucket.id, &self.inner.quotas.limits, ask).await?;
        let mut room = Room { engine: self, taken: Vec::new() };
        if let Some(limits) =
            limits.filter(|limits| limits.bytes_max.is_some() || limits.objects_max.is_some())
        {
            room.take(Holder::Bucket(bucket.id), *limits, wanted).await?;
        }
        if let Some((account, OwnerLimits { bytes_max, objects_max })) =
            self.inner.quotas.owners.limits_of(&bucket.owner)
        {
            let limits = BucketLimits { bytes_max, objects_max, requests_per_s: None };
            room.take(Holder::Account(account), limits, wanted).await?;
        }
        Ok(room)
    }

    async fn take(&self, holder: &Holder, limits: &BucketLimits, book: &Book, wanted: Amount) -> Result<()> {
        let exceeded = |quota| match holder {
            Holder::Bucket(_) => EngineError::QuotaExceeded(quota),
            Holder::Account(_) => EngineError::AccountQuotaExceeded(quota),
        };
        let asked = Instant::now();
        {
            let mut ledger = book.ledger.lock();
            if ledger.is_fresh() && ledger.take(limits, wanted).is_ok() {
                return Ok(());
            }
        }
        let _turn = book.reading.lock().await;
        let (ended, begun) = {
            let mut ledger = book.ledger.lock();
            // Whoever had the turn before may have asked the metadata after this write came.
            if ledger.read.is_some_and(|read| read >= asked) {
                return ledger.take(limits, wanted).map_err(exceeded);
            }
            (ledger.ended, Instant::now())
        };
        let usage = match holder {
            Holder::Bucket(bucket) => self.inner.store.bucket_usage(*bucket).await?,
            Holder::Account(account) => self.usage_of_account(account).await?,
        };
        let mut ledger = book.ledger.lock();
        ledger.learn(usage, ended, begun);
        ledger.take(limits, wanted).map_err(exceeded)
    }

    /// The limits of a bucket, as the metadata has them now.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_limits(&self, bucket: &BucketName) -> Result<BucketLimits> {
        let stored = self.bucket_document(bucket, BUCKET_LIMITS).await?;
        Ok(stored.as_deref().map(BucketLimits::decode).transpose()?.unwrap_or_default())
    }

    /// Gives a bucket other limits. What is there already stays, also where it is more than may be.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn set_bucket_limits(&self, bucket: &BucketName, limits: &BucketLimits) -> Result<()> {
        let document = match *limits == BucketLimits::default() {
            true => None,
            false => Some(
                serde_json::to_vec(limits)
                    .map_err(|_| EngineError::Internal("encoding the limits of a bucket"))?,
            ),
        };
        self.put_bucket_document(bucket, BUCKET_LIMITS, document).await?;
        self.inner.quotas.limits.forget_all();
        Ok(())
    }

    /// What a bucket holds, as the metadata has it now.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_usage(&self, bucket: &BucketName) -> Result<BucketUsage> {
        let id = self.bucket(bucket).await?.id;
        Ok(self.inner.store.bucket_usage(id).await?)
    }

    /// Counts anew what lives in volumes and what buckets hold. It reads all metadata.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn recount(&self) -> Result<()> {
        let drifted = self.inner.store.recount().await?;
        tracing::info!(volumes_repaired = drifted.len(), "what is stored was counted anew");
        Ok(())
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
