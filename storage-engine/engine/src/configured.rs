//! Buckets with configurations of theirs, remembered: what every request asks for costs no read of the metadata.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use granary_types::BucketName;
use parking_lot::Mutex;

use crate::api::Bucket;
use crate::engine::Engine;
use crate::error::Result;

const BUCKETS_MAX: usize = 10_000;
/// How long a node believes that no other changed a configuration.
const BELIEVED: Duration = Duration::from_secs(1);

/// A bucket with the configurations that were asked for.
pub struct ConfiguredBucket {
    /// The bucket. Its settings may have changed meanwhile.
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

#[derive(Default)]
struct Known {
    buckets: HashMap<BucketName, Arc<ConfiguredBucket>>,
    /// Goes up whenever everything is forgotten, so that what was asked before is not remembered after.
    era: u64,
    generation: u64,
    checked: Option<Instant>,
}

/// The buckets known. They are right until a configuration changes or a bucket goes: by this process, or by another
/// node, which the counter of changes tells.
#[derive(Default)]
pub(crate) struct ConfiguredCache(Mutex<Known>);

impl ConfiguredCache {
    fn get(&self, bucket: &BucketName) -> Result<Arc<ConfiguredBucket>, u64> {
        let known = self.0.lock();
        known.buckets.get(bucket).cloned().ok_or(known.era)
    }

    fn era(&self) -> u64 {
        self.0.lock().era
    }

    fn remember(&self, bucket: &Arc<ConfiguredBucket>, era: u64) {
        let mut known = self.0.lock();
        if known.era == era && known.buckets.len() < BUCKETS_MAX {
            known.buckets.insert(bucket.bucket.name.clone(), Arc::clone(bucket));
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.0.lock();
        known.era += 1;
        known.buckets.clear();
    }

    fn is_due(&self) -> bool {
        self.0.lock().checked.is_none_or(|at| at.elapsed() >= BELIEVED)
    }

    fn checked(&self, generation: u64) {
        let mut known = self.0.lock();
        if known.generation != generation || known.checked.is_none() {
            known.era += 1;
            known.buckets.clear();
        }
        known.generation = generation;
        known.checked = Some(Instant::now());
    }
}

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
        if !alone && cache.is_due() {
            cache.checked(self.inner.store.configuration_generation().await?);
        }
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
        let mut found = Vec::with_capacity(documents.len());
        for document in documents {
            found.push(self.document_of(bucket.id, document).await?);
        }
        let configured = Arc::new(ConfiguredBucket { bucket, documents: found, read: OnceLock::new() });
        cache.remember(&configured, asked);
        Ok(configured)
    }
}
