//! What all buckets of an account may hold together.
//!
//! Accounts are not the engine's: whoever uses it tells, by [`Engine::limit_owners`], which account the owner of a bucket is
//! and what it may have. What an account holds is the sum over its buckets, which is read as seldom as that of a bucket with a
//! quota of its own.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures::TryStreamExt as _;
use granary_metadata::BucketUsage;

use crate::engine::Engine;
use crate::error::Result;

/// What an account may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Bytes of all versions and parts in its buckets.
    pub bytes_max: Option<u64>,
    /// Versions in its buckets, without delete markers.
    pub objects_max: Option<u64>,
}

/// What is known of the owners of buckets. It is asked with each write, so it must answer from memory.
pub trait OwnerDirectory: Send + Sync {
    /// The account that the owner of a bucket is, as the bucket names it.
    fn account_of(&self, owner: &str) -> Option<String>;

    /// What the account of an owner may have: the account, and its limits if there are any.
    fn limits_of(&self, owner: &str) -> Option<(String, OwnerLimits)>;
}

/// The directory, once it is known.
#[derive(Default)]
pub(crate) struct Owners(OnceLock<Arc<dyn OwnerDirectory>>);

impl Owners {
    pub(crate) fn limits_of(&self, owner: &str) -> Option<(String, OwnerLimits)> {
        self.0.get()?.limits_of(owner)
    }
}

impl Engine {
    /// Lets writes be bounded by what the owners of their buckets may have. Said once, before the first request; the first
    /// directory stays.
    pub fn limit_owners(&self, directory: Arc<dyn OwnerDirectory>) {
        let _first_stays = self.inner.quotas.owners.0.set(directory);
    }

    /// What all buckets of an account hold, as the metadata has it now. It reads the rows of all buckets.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn usage_of_account(&self, account: &str) -> Result<BucketUsage> {
        let Some(directory) = self.inner.quotas.owners.0.get() else { return Ok(BucketUsage::default()) };
        let mut sum = BucketUsage::default();
        let mut buckets = pin!(self.inner.all_buckets());
        while let Some(bucket) = buckets.try_next().await? {
            if directory.account_of(&bucket.owner).as_deref() == Some(account) {
                let usage = self.inner.store.bucket_usage(bucket.id).await?;
                sum.bytes = sum.bytes.saturating_add(usage.bytes);
                sum.objects = sum.objects.saturating_add(usage.objects);
            }
        }
        Ok(sum)
    }
}
