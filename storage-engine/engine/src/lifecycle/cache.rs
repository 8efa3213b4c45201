//! Configurations of buckets that were looked up before, so that requests need not ask for them each time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_types::{BucketId, BucketName};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::error::Result;

const BUCKETS_MAX: usize = 10_000;
/// How long a node believes that no other changed a configuration.
const BELIEVED: Duration = Duration::from_secs(1);

struct Known<T> {
    found: HashMap<BucketId, Option<Arc<T>>>,
    /// Goes up whenever everything is forgotten, so that what was asked before is not remembered after.
    era: u64,
    generation: u64,
    checked: Option<Instant>,
}

/// One kind of configuration, as far as it is known. What is known is right until a configuration changes: by this
/// process, or by another node, which the counter of changes tells.
pub(crate) struct ConfigurationCache<T>(Mutex<Known<T>>);

impl<T> Default for ConfigurationCache<T> {
    fn default() -> Self {
        Self(Mutex::new(Known { found: HashMap::new(), era: 0, generation: 0, checked: None }))
    }
}

impl<T> ConfigurationCache<T> {
    /// The configuration of a bucket, or the era for [`ConfigurationCache::remember`] if it is not known.
    fn get(&self, bucket: BucketId) -> Result<Option<Arc<T>>, u64> {
        let known = self.0.lock();
        known.found.get(&bucket).cloned().ok_or(known.era)
    }

    fn remember(&self, bucket: BucketId, found: Option<Arc<T>>, era: u64) {
        let mut known = self.0.lock();
        if known.era == era && known.found.len() < BUCKETS_MAX {
            known.found.insert(bucket, found);
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.0.lock();
        known.era += 1;
        known.found.clear();
    }

    /// Whether it is time to ask for the counter of changes.
    fn is_due(&self) -> bool {
        self.0.lock().checked.is_none_or(|at| at.elapsed() >= BELIEVED)
    }

    /// The counter of changes as it was just now.
    fn checked(&self, generation: u64) {
        let mut known = self.0.lock();
        if known.generation != generation || known.checked.is_none() {
            known.era += 1;
            known.found.clear();
        }
        known.generation = generation;
        known.checked = Some(Instant::now());
    }
}

impl Engine {
    /// A configuration of a bucket: as it is known, or as `ask` finds it. What other nodes changed counts within a second.
    pub(crate) async fn cached<T>(
        &self,
        bucket: &BucketName,
        cache: &ConfigurationCache<T>,
        ask: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<Arc<T>>> {
        let id = self.bucket(bucket).await?.id;
        if self.inner.nodes.is_some() && cache.is_due() {
            cache.checked(self.inner.store.configuration_generation().await?);
        }
        let asked = match cache.get(id) {
            Ok(known) => return Ok(known),
            Err(asked) => asked,
        };
        let found = ask.await?.map(Arc::new);
        cache.remember(id, found.clone(), asked);
        Ok(found)
    }
}
