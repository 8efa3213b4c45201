//! When access keys were used last: noted in memory as requests come, and kept with the identities now and then.
//!
//! What is kept is a document of its own for each key, so that a use changes nothing that is decided by. All uses of a while are
//! kept in one change, because each change makes the other nodes read the identities again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use granary_auth::KeyUse;
use parking_lot::RwLock;

use crate::documents::{Document, UseDocument, use_document};
use crate::error::Result;
use crate::names::unix_ms;
use crate::state::{Changes, State};
use crate::store::IdentityStore;

/// How often uses are kept: so late may another node, or one that crashed, tell of them.
pub const KEEP_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// A use so soon after the one before it is not noted, so that most requests only read.
const NOTED_AGAIN_MS: i64 = 10_000;

/// The last uses that this node knows of.
#[derive(Default)]
pub(crate) struct Usage(RwLock<HashMap<String, Arc<UseDocument>>>);

impl Usage {
    /// Notes a use of a long-term key of the state's; of others nothing is kept.
    pub(crate) fn note(&self, state: &State, used: &KeyUse<'_>) {
        let used_ms = unix_ms(used.at);
        let service = used.service.name();
        let is_known = |known: &UseDocument| {
            known.service == service && used_ms.saturating_sub(known.used_ms) < NOTED_AGAIN_MS
        };
        if self.0.read().get(used.access_key).is_some_and(|known| is_known(known))
            || state.owner_of_key(used.access_key).is_none()
        {
            return;
        }
        let document = UseDocument {
            access_key: used.access_key.to_owned(),
            used_ms,
            service: service.to_owned(),
            region: used.region.to_owned(),
        };
        self.0.write().insert(used.access_key.to_owned(), Arc::new(document));
    }

    /// The last use of a key: one that this node saw, or one that was kept.
    pub(crate) fn last(&self, state: &State, access_key: &str) -> Option<Arc<UseDocument>> {
        let seen = self.0.read().get(access_key).cloned();
        let kept = state.use_of(access_key).cloned();
        seen.into_iter().chain(kept).max_by_key(|used| used.used_ms)
    }

    /// What is to be kept: uses that are newer than what is, and no use of a key that is gone.
    fn changes(&self, state: &State) -> Changes {
        let seen = self.0.read();
        let newer = seen.values().filter(|used| {
            state.owner_of_key(&used.access_key).is_some()
                && state.use_of(&used.access_key).is_none_or(|kept| kept.used_ms < used.used_ms)
        });
        let newer = newer.map(|used| (use_document(&used.access_key), Some(Document::Use(Arc::clone(used)))));
        let gone = state.uses().filter(|kept| state.owner_of_key(&kept.access_key).is_none());
        newer.chain(gone.map(|kept| (use_document(&kept.access_key), None))).collect()
    }

    /// Forgets the keys that are gone.
    fn forget(&self, state: &State) {
        self.0.write().retain(|access_key, _| state.owner_of_key(access_key).is_some());
    }
}

impl IdentityStore {
    /// Keeps the uses of keys that were noted since.
    ///
    /// # Errors
    /// They cannot be stored now; they stay noted.
    pub async fn keep_usage(&self) -> Result<()> {
        self.read(|state| self.usage().forget(state));
        self.change(|state| Ok((self.usage().changes(state), ()))).await
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
