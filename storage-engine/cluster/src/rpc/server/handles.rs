//! The shards and replacements that other nodes have open here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use granary_drive::{DriveError, ShardName};
use granary_types::DriveId;
use parking_lot::Mutex;

use crate::access::{DriveAccess, ReplacementAccess, ShardAccess};
use crate::rpc::wire::{Failure, Handle, LifeId, OnShard};
use crate::rpc::wire_error::peer_error;

/// Each shard that was created has two files open, one that is read has one.
const SHARDS_MAX: usize = 4096;
const REPLACEMENTS_MAX: usize = 64;
const LIVES_MAX: usize = 1024;

/// Whether the handle of a shard takes appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// By the life of the node that created it.
    Append,
    Read,
}

#[derive(Debug, Clone)]
pub(super) struct OpenShard {
    pub(super) drive: Arc<dyn DriveAccess>,
    pub(super) shard: Arc<dyn ShardAccess>,
}

#[derive(Debug)]
struct ShardEntry {
    open: OpenShard,
    allowed: Use,
    owner: LifeId,
    used: Instant,
}

/// A file that is not whole yet. It goes away on a thread that may block, whoever drops it last: what is at work on it or the
/// table, which others may take it out of at the same moment.
#[derive(Debug)]
struct Unfinished(Option<Arc<dyn ReplacementAccess>>);

impl Unfinished {
    fn of(replacement: Arc<dyn ReplacementAccess>) -> Arc<dyn ReplacementAccess> {
        Arc::new(Self(Some(replacement)))
    }

    /// It is there until this is dropped.
    fn access(&self) -> Result<&dyn ReplacementAccess, DriveError> {
        self.0.as_deref().ok_or_else(|| peer_error("a replacement", "it was dropped"))
    }
}

#[async_trait]
impl ReplacementAccess for Unfinished {
    async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), DriveError> {
        self.access()?.write(offset, bytes).await
    }

    async fn install(&self) -> Result<(), DriveError> {
        self.access()?.install().await
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let_go(self.0.take());
    }
}

#[derive(Debug)]
struct ReplacementEntry {
    replacement: Arc<dyn ReplacementAccess>,
    drive: DriveId,
    /// The shard in whose place it goes; a backup's goes in nobody's.
    replaces: Option<ShardName>,
    owner: LifeId,
    used: Instant,
}

/// A replacement that is being begun: one at a time of each shard.
#[derive(Debug)]
pub(super) struct Beginning {
    handles: Arc<Handles>,
    of: (DriveId, ShardName),
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.handles.beginning.lock().remove(&self.of);
    }
}

#[derive(Debug, Default)]
pub(super) struct Handles {
    next: AtomicU64,
    shards: Mutex<HashMap<Handle, ShardEntry>>,
    replacements: Mutex<HashMap<Handle, ReplacementEntry>>,
    beginning: Mutex<HashSet<(DriveId, ShardName)>>,
    /// When each life of another node was last heard.
    heard: Mutex<HashMap<LifeId, Instant>>,
}

impl Handles {
    fn next(&self) -> Handle {
        Handle(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Remembers that a node lives.
    pub(super) fn hear(&self, life: LifeId) {
        let mut heard = self.heard.lock();
        if heard.len() < LIVES_MAX || heard.contains_key(&life) {
            heard.insert(life, Instant::now());
        }
    }

    /// Keeps a shard open. When there are too many, the one that was longest not read makes room; its reader opens it
    /// again. `None` if all are being appended to.
    pub(super) fn add_shard(&self, open: OpenShard, allowed: Use, owner: LifeId) -> Option<Handle> {
        let mut shards = self.shards.lock();
        let mut displaced = None;
        if shards.len() >= SHARDS_MAX {
            let readers = shards.iter().filter(|(_, entry)| entry.allowed == Use::Read);
            let oldest = *readers.min_by_key(|(_, entry)| entry.used)?.0;
            displaced = shards.remove(&oldest);
        }
        let handle = self.next();
        shards.insert(handle, ShardEntry { open, allowed, owner, used: Instant::now() });
        drop(shards);
        if let Some(displaced) = displaced {
            let_go(displaced);
        }
        Some(handle)
    }

    /// A shard that `owner` opened. Appending needs a handle that was given for it.
    pub(super) fn shard(&self, handle: Handle, wanted: Use, owner: LifeId) -> Result<OpenShard, Failure> {
        let mut shards = self.shards.lock();
        let entry = shards.get_mut(&handle).filter(|entry| entry.owner == owner);
        let entry = entry.filter(|entry| wanted == Use::Read || entry.allowed == Use::Append);
        let entry = entry.ok_or(Failure::NoHandle)?;
        entry.used = Instant::now();
        Ok(entry.open.clone())
    }

    /// Forgets an unfinished replacement of the same shard, so that a new one can begin. `None` if it is being written or
    /// begun at this moment or there are too many.
    pub(super) fn begin_replacement(self: &Arc<Self>, on: &OnShard) -> Option<Beginning> {
        let of = (on.drive, on.name());
        let (mut replacements, mut beginning) = (self.replacements.lock(), self.beginning.lock());
        let older =
            replacements.iter().find(|(_, entry)| entry.drive == of.0 && entry.replaces == Some(of.1));
        let mut forgotten = None;
        if let Some((handle, entry)) = older {
            let handle = *handle;
            // Whoever begins to write takes it from here, under the lock.
            if Arc::strong_count(&entry.replacement) > 1 {
                return None;
            }
            forgotten = replacements.remove(&handle);
        }
        let begins = replacements.len() + beginning.len() < REPLACEMENTS_MAX && beginning.insert(of);
        drop((replacements, beginning, forgotten));
        begins.then(|| Beginning { handles: Arc::clone(self), of })
    }

    pub(super) fn add_replacement(
        &self,
        replacement: Arc<dyn ReplacementAccess>,
        on: &OnShard,
        owner: LifeId,
    ) -> Handle {
        let (handle, replacement) = (self.next(), Unfinished::of(replacement));
        let (drive, replaces, used) = (on.drive, Some(on.name()), Instant::now());
        self.replacements
            .lock()
            .insert(handle, ReplacementEntry { replacement, drive, replaces, owner, used });
        handle
    }

    /// Keeps a backup's shard that is being written. `None` if there are too many.
    pub(super) fn add_backup(
        &self,
        shard: Arc<dyn ReplacementAccess>,
        drive: DriveId,
        owner: LifeId,
    ) -> Option<Handle> {
        let replacement = Unfinished::of(shard);
        let mut replacements = self.replacements.lock();
        if replacements.len() >= REPLACEMENTS_MAX {
            return None;
        }
        let (handle, used) = (self.next(), Instant::now());
        let entry = ReplacementEntry { replacement, drive, replaces: None, owner, used };
        replacements.insert(handle, entry);
        Some(handle)
    }

    pub(super) fn replacement(
        &self,
        handle: Handle,
        owner: LifeId,
    ) -> Result<(Arc<dyn ReplacementAccess>, DriveId), Failure> {
        let mut replacements = self.replacements.lock();
        let entry = replacements.get_mut(&handle).filter(|entry| entry.owner == owner);
        let entry = entry.ok_or(Failure::NoHandle)?;
        entry.used = Instant::now();
        Ok((Arc::clone(&entry.replacement), entry.drive))
    }

    pub(super) fn close(&self, handles: &[Handle], owner: LifeId) {
        let handles: HashSet<Handle> = handles.iter().copied().collect();
        self.let_go_of(
            |handle, entry| entry.owner == owner && handles.contains(handle),
            |handle, entry| entry.owner == owner && handles.contains(handle),
        );
    }

    /// Drops what was not used for long, and what belongs to lives that were not heard for as long.
    pub(super) fn sweep(&self, idle_limit: Duration) {
        let mut heard = self.heard.lock();
        heard.retain(|_, at| at.elapsed() < idle_limit);
        let is_idle = |used: Instant| used.elapsed() >= idle_limit;
        self.let_go_of(
            |_, entry| {
                !heard.contains_key(&entry.owner) || (entry.allowed == Use::Read && is_idle(entry.used))
            },
            |_, entry| !heard.contains_key(&entry.owner) || is_idle(entry.used),
        );
    }

    /// Takes out what these say, and drops it.
    fn let_go_of(
        &self,
        goes: impl Fn(&Handle, &ShardEntry) -> bool,
        replacement_goes: impl Fn(&Handle, &ReplacementEntry) -> bool,
    ) {
        let shards: Vec<ShardEntry> = {
            let mut shards = self.shards.lock();
            shards.extract_if(|handle, entry| goes(handle, entry)).map(|(_, entry)| entry).collect()
        };
        if !shards.is_empty() {
            let_go(shards);
        }
        let replacements: Vec<ReplacementEntry> = {
            let mut replacements = self.replacements.lock();
            replacements
                .extract_if(|handle, entry| replacement_goes(handle, entry))
                .map(|(_, it)| it)
                .collect()
        };
        drop(replacements);
    }
}

/// Drops what was taken out, on a thread that may block: it closes files and removes unfinished ones, for which a slow drive
/// is waited.
fn let_go<T: Send + 'static>(taken: T) {
    // Without threads the process is ending, and nobody is kept waiting.
    if let Ok(threads) = tokio::runtime::Handle::try_current() {
        drop(threads.spawn_blocking(move || drop(taken)));
    }
}

#[cfg(test)]
#[path = "handles_tests.rs"]
mod tests;
