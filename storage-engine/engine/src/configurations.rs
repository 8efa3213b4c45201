//! What is remembered of the configurations of buckets, so that requests need not ask for them each time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_types::{BucketId, BucketName};
use parking_lot::Mutex;

use crate::engine::{Engine, Inner};
use crate::error::Result;

const BUCKETS_MAX: usize = 10_000;
/// How long a node believes that no other changed a configuration.
const BELIEVED: Duration = Duration::from_secs(1);

struct Known<K, V> {
    found: HashMap<K, V>,
    /// Goes up whenever everything is forgotten, so that what was asked before is not remembered after.
    era: u64,
    generation: u64,
    checked: Option<Instant>,
}

/// What was found of buckets. It is right until a configuration changes: by this process, or by another node, which the
/// counter of changes tells.
pub(crate) struct ConfigurationCache<K, V>(Mutex<Known<K, V>>);

/// One kind of configuration; `None` for buckets that have none.
pub(crate) type OneConfiguration<T> = ConfigurationCache<BucketId, Option<Arc<T>>>;

impl<K, V> Default for ConfigurationCache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Known { found: HashMap::new(), era: 0, generation: 0, checked: None }))
    }
}

impl<K: Eq + Hash, V: Clone> ConfigurationCache<K, V> {
    /// What is known, or the era for [`ConfigurationCache::remember`] if nothing is.
    pub(crate) fn get(&self, bucket: &K) -> Result<V, u64> {
        let known = self.0.lock();
        known.found.get(bucket).cloned().ok_or(known.era)
    }

    pub(crate) fn era(&self) -> u64 {
        self.0.lock().era
    }

    pub(crate) fn remember(&self, bucket: K, found: V, era: u64) {
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

impl Inner {
    /// Lets a cache forget what other nodes changed, once a second.
    pub(crate) async fn refresh<K: Eq + Hash, V: Clone>(
        &self,
        cache: &ConfigurationCache<K, V>,
    ) -> Result<()> {
        if self.nodes.is_some() && cache.is_due() {
            cache.checked(self.store.configuration_generation().await?);
        }
        Ok(())
    }

    /// As [`Engine::cached`], of a bucket that was looked up.
    pub(crate) async fn cached_of<T>(
        &self,
        id: BucketId,
        cache: &OneConfiguration<T>,
        ask: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<Arc<T>>> {
        self.refresh(cache).await?;
        let asked = match cache.get(&id) {
            Ok(known) => return Ok(known),
            Err(asked) => asked,
        };
        let found = ask.await?.map(Arc::new);
        cache.remember(id, found.clone(), asked);
        Ok(found)
    }
}

impl Engine {
    /// A configuration of a bucket: as it is known, or as `ask` finds it. What other nodes changed counts within a second,
    /// also which bucket has the name: looking that up would cost every request a question of the metadata.
    pub(crate) async fn cached<T>(
        &self,
        bucket: &BucketName,
        cache: &OneConfiguration<T>,
        ask: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<Arc<T>>> {
        let id = self.believed_bucket(bucket).await?.id;
        self.inner.cached_of(id, cache, ask).await
    }
}
