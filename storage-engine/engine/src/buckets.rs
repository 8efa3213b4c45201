//! Buckets.

use std::collections::HashMap;

use futures::{Stream, TryStreamExt as _, stream};
use granary_metadata::MetadataError;
use granary_types::{BucketId, BucketName, UnixMillis};
use parking_lot::RwLock;

use crate::api::{
    Bucket, BucketChange, BucketPage, BucketQuery, BucketSettings, ListUploadsOptions, ListVersionsOptions,
    UploadEntry,
};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::told::Deed;

const BUCKETS_CACHED_MAX: usize = 10_000;
/// Buckets that are read at a time where all are.
const BUCKETS_PAGE: u32 = 1_000;
/// Uploads that the delete of a bucket aborts at a time, and how often.
const UPLOADS_PAGE: u32 = 1_000;
const UPLOAD_PAGES_MAX: u32 = 1_000;

/// Buckets looked up before, for a store on one machine. Only this process changes its metadata, so an entry is right
/// until this process deletes the bucket; with several nodes the metadata is always asked. The generation keeps a look-up that raced with a delete from being remembered.
#[derive(Default)]
pub(crate) struct BucketCache {
    entries: RwLock<(u64, HashMap<BucketName, Bucket>)>,
}

impl BucketCache {
    fn get(&self, name: &BucketName) -> Result<Bucket, u64> {
        let entries = self.entries.read();
        entries.1.get(name).cloned().ok_or(entries.0)
    }

    fn remember(&self, bucket: &Bucket, generation: u64) {
        let mut entries = self.entries.write();
        if entries.0 == generation && entries.1.len() < BUCKETS_CACHED_MAX {
            entries.1.insert(bucket.name.clone(), bucket.clone());
        }
    }

    pub(crate) fn forget(&self, name: &BucketName) {
        let mut entries = self.entries.write();
        entries.0 += 1;
        entries.1.remove(name);
    }
}

impl Engine {
    /// Creates a bucket.
    ///
    /// # Errors
    /// [`EngineError::BucketExists`] if the name is taken.
    pub async fn create_bucket(&self, name: &BucketName, region: &str, owner: &str) -> Result<Bucket> {
        self.create_bucket_with(name, region, owner, BucketSettings::default()).await
    }

    /// Creates a bucket that has these settings from the start.
    ///
    /// # Errors
    /// [`EngineError::BucketExists`] if the name is taken.
    pub async fn create_bucket_with(
        &self,
        name: &BucketName,
        region: &str,
        owner: &str,
        settings: BucketSettings,
    ) -> Result<Bucket> {
        let id = BucketId::random()
            .map_err(|source| EngineError::Io { context: "drawing a bucket id", source })?;
        let bucket = Bucket {
            id,
            name: name.clone(),
            created: UnixMillis::now(),
            region: region.to_owned(),
            owner: owner.to_owned(),
            settings,
        };
        self.inner.store.create_bucket(bucket.clone()).await?;
        // Another node may have deleted the one that had the name, and here it is still believed to be there.
        self.inner.configured.forget_all();
        self.tell_bucket(&bucket, Deed::Bucket(Box::new(bucket.clone()))).await;
        Ok(bucket)
    }

    /// The bucket of that name.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket(&self, name: &BucketName) -> Result<Bucket> {
        let generation = match self.inner.buckets.get(name) {
            Ok(bucket) => return Ok(bucket),
            Err(generation) => generation,
        };
        let bucket = self.inner.store.bucket(name).await?;
        let bucket = bucket.ok_or_else(|| EngineError::NoSuchBucket(name.clone()))?;
        if self.inner.nodes.is_none() {
            self.inner.buckets.remember(&bucket, generation);
        }
        Ok(bucket)
    }

    /// A bucket as it was within the last second, for what finds out by itself that it is gone: nothing is in a bucket that
    /// is not there, and a commit asks for it.
    pub(crate) async fn believed_bucket(&self, name: &BucketName) -> Result<Bucket> {
        if self.inner.nodes.is_none() {
            return self.bucket(name).await;
        }
        self.inner.refresh(&self.inner.configured).await?;
        match self.inner.configured.get(name) {
            Ok(known) => Ok(known.bucket.clone()),
            Err(_) => self.bucket(name).await,
        }
    }

    /// The settings of a bucket as the metadata has them now, whatever this node remembers.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_settings(&self, name: &BucketName) -> Result<BucketSettings> {
        self.inner.buckets.forget(name);
        Ok(self.bucket(name).await?.settings)
    }

    /// Changes the settings of a bucket. Writes that other nodes begin in the belief that it is as it was are decided
    /// by the new settings all the same.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::BucketSettings`] if those it has forbid it.
    pub async fn change_bucket(&self, name: &BucketName, change: BucketChange) -> Result<()> {
        let changed = self.inner.store.change_bucket(name, change).await;
        self.inner.buckets.forget(name);
        self.inner.configured.forget_all();
        changed?;
        if let Some(bucket) = self.inner.store.bucket(name).await? {
            self.tell_bucket(&bucket, Deed::Bucket(Box::new(bucket.clone()))).await;
        }
        Ok(())
    }

    /// Removes a bucket without versions. Uploads that are in progress in it are aborted first.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::BucketNotEmpty`].
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let bucket = self.inner.store.bucket(name).await?;
        let mut deleted = self.inner.store.delete_bucket(name).await;
        for _ in 0..UPLOAD_PAGES_MAX {
            let refused = matches!(deleted, Err(MetadataError::BucketNotEmpty(_)));
            if !refused || !self.abort_uploads_of_empty(name).await? {
                break;
            }
            deleted = self.inner.store.delete_bucket(name).await;
        }
        if !matches!(deleted, Err(MetadataError::BucketNotEmpty(_))) {
            self.inner.buckets.forget(name);
            self.inner.configured.forget_all();
        }
        deleted?;
        if let Some(bucket) = bucket {
            self.tell_bucket(&bucket, Deed::BucketGone).await;
        }
        Ok(())
    }

    /// Aborts a page of the uploads in a bucket that has no versions. `false` if there was nothing to abort.
    async fn abort_uploads_of_empty(&self, name: &BucketName) -> Result<bool> {
        let versions =
            self.list_versions(name, ListVersionsOptions { limit: 1, ..Default::default() }).await?;
        if !versions.entries.is_empty() {
            return Ok(false);
        }
        let options = ListUploadsOptions { limit: UPLOADS_PAGE, ..Default::default() };
        let page = self.list_uploads(name, options).await?;
        let mut aborted = false;
        for entry in page.entries {
            let UploadEntry::Upload(row) = entry else { continue };
            match self.abort_upload(name, &row.key, row.upload).await {
                Ok(()) | Err(EngineError::NoSuchUpload) => aborted = true,
                Err(error) => return Err(error),
            }
        }
        Ok(aborted)
    }

    /// Buckets in the order of their names.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage> {
        Ok(self.inner.store.list_buckets(query).await?)
    }
}

impl Inner {
    /// All buckets, in the order of their names.
    pub(crate) fn all_buckets(&self) -> impl Stream<Item = Result<Bucket>> + Send {
        let pages = stream::try_unfold(Some(None), move |after| async move {
            let Some(after) = after else { return Ok::<_, EngineError>(None) };
            let query = BucketQuery { prefix: String::new(), after, limit: BUCKETS_PAGE };
            let page = self.store.list_buckets(query).await?;
            let last = page.buckets.last().filter(|_| page.more).map(|bucket| Some(bucket.name.to_string()));
            Ok(Some((stream::iter(page.buckets.into_iter().map(Ok)), last)))
        });
        pages.try_flatten()
    }
}
