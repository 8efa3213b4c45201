//! The rules of buckets that were looked up before, so that reads need not ask for them each time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_types::BucketId;
use parking_lot::Mutex;

use super::LifecycleRules;

const BUCKETS_MAX: usize = 10_000;
/// How long a node believes that no other changed a configuration.
const BELIEVED: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Known {
    rules: HashMap<BucketId, Option<Arc<LifecycleRules>>>,
    /// Goes up whenever everything is forgotten, so that what was asked before is not remembered after.
    era: u64,
    generation: u64,
    checked: Option<Instant>,
}

/// The rules known. They are right until a configuration changes: by this process, or by another node, which the
/// counter of changes tells.
#[derive(Default)]
pub(crate) struct RulesCache(Mutex<Known>);

impl RulesCache {
    /// The rules of a bucket, or the era for [`RulesCache::remember`] if they are not known.
    pub(super) fn get(&self, bucket: BucketId) -> Result<Option<Arc<LifecycleRules>>, u64> {
        let known = self.0.lock();
        known.rules.get(&bucket).cloned().ok_or(known.era)
    }

    pub(super) fn remember(&self, bucket: BucketId, rules: Option<Arc<LifecycleRules>>, era: u64) {
        let mut known = self.0.lock();
        if known.era == era && known.rules.len() < BUCKETS_MAX {
            known.rules.insert(bucket, rules);
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.0.lock();
        known.era += 1;
        known.rules.clear();
    }

    /// Whether it is time to ask for the counter of changes.
    pub(super) fn is_due(&self) -> bool {
        self.0.lock().checked.is_none_or(|at| at.elapsed() >= BELIEVED)
    }

    /// The counter of changes as it was just now.
    pub(super) fn checked(&self, generation: u64) {
        let mut known = self.0.lock();
        if known.generation != generation || known.checked.is_none() {
            known.era += 1;
            known.rules.clear();
        }
        known.generation = generation;
        known.checked = Some(Instant::now());
    }
}
