//! Buckets with configurations of theirs, remembered: what every request asks for costs no read of the metadata.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use granary_types::BucketName;

use crate::api::Bucket;
use crate::configurations::ConfigurationCache;
use crate::engine::Engine;
use crate::error::Result;

/// A bucket with the configurations that were asked for.
pub struct ConfiguredBucket {
    /// The bucket. Another node may have changed its settings within the last second.
    pub bucket: Bucket,
    /// The configurations in the order in which they were asked for; `None` for one that there is not.
    pub documents: Vec<Option<Vec<u8>>>,
    /// What was made of them.
    read: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl ConfiguredBucket {
    /// What `read` makes of the documents, made once.
    ///
    /// # Panics
    /// Never: asked for as another type than before, it is made again each time.
    pub fn read_once<T: Send + Sync + 'static>(&self, read: impl Fn(&Self) -> T) -> Arc<T> {
        let kept = self.read.get_or_init(|| Arc::new(read(self)));
        Arc::clone(kept).downcast().unwrap_or_else(|_| Arc::new(read(self)))
    }
}

/// How sure a bucket must be the one that has the name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may have been another node's to delete it within the last second.
    Believed,
    /// It is looked up.
    Current,
}

/// The buckets known. They are right until a configuration or the settings of a bucket change, or a bucket goes.
pub(crate) type ConfiguredCache = ConfigurationCache<BucketName, Arc<ConfiguredBucket>>;

impl Engine {
    /// A bucket with its configurations of these names. What other nodes changed counts within a second; all callers
    /// must ask for the same names.
    ///
    /// # Errors
    /// [`crate::EngineError::NoSuchBucket`].
    pub async fn configured_bucket(
        &self,
        name: &BucketName,
        documents: &[&str],
        freshness: Freshness,
    ) -> Result<Arc<ConfiguredBucket>> {
        let cache = &self.inner.configured;
        let alone = self.inner.nodes.is_none();
        self.inner.refresh(cache).await?;
        let asked = match cache.get(name) {
            Ok(known) if alone || freshness == Freshness::Believed => return Ok(known),
            Ok(known) => {
                if self.bucket(name).await?.id == known.bucket.id {
                    return Ok(known);
                }
                cache.forget_all();
                cache.era()
            }
            Err(asked) => asked,
        };
        let bucket = self.bucket(name).await?;
        let found = self.inner.documents_of(bucket.id, documents).await?;
        let configured = Arc::new(ConfiguredBucket { bucket, documents: found, read: OnceLock::new() });
        cache.remember(name.clone(), Arc::clone(&configured), asked);
        Ok(configured)
    }
}
