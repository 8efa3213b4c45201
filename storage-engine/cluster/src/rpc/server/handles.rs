//! The shards and replacements that other nodes have open here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use granary_drive::ShardName;
use granary_types::DriveId;
use parking_lot::Mutex;

use crate::access::{DriveAccess, ReplacementAccess, ShardAccess};
use crate::rpc::wire::{Failure, Handle, LifeId, OnShard};

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
            if Arc::strong_count(&entry.replacement) > 1 {
                return None;
            }
            forgotten = replacements.remove(&handle);
        }
        let begins = replacements.len() + beginning.len() < REPLACEMENTS_MAX && beginning.insert(of);
        drop((replacements, beginning));
        if let Some(forgotten) = forgotten {
            let_go(forgotten);
        }
        begins.then(|| Beginning { handles: Arc::clone(self), of })
    }

    pub(super) fn add_replacement(
        &self,
        replacement: Arc<dyn ReplacementAccess>,
        on: &OnShard,
        owner: LifeId,
    ) -> Handle {
        let handle = self.next();
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
        let mut replacements = self.replacements.lock();
        if replacements.len() >= REPLACEMENTS_MAX {
            drop(replacements);
            let_go(shard);
            return None;
        }
        let (handle, used) = (self.next(), Instant::now());
        let entry = ReplacementEntry { replacement: shard, drive, replaces: None, owner, used };
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
        let shards = take(&self.shards, handles, |entry| entry.owner == owner);
        let replacements = take(&self.replacements, handles, |entry| entry.owner == owner);
        if !shards.is_empty() || !replacements.is_empty() {
            let_go((shards, replacements));
        }
    }

    /// Drops what was not used for long, and what belongs to lives that were not heard for as long.
    pub(super) fn sweep(&self, idle_limit: Duration) {
        let mut heard = self.heard.lock();
        heard.retain(|_, at| at.elapsed() < idle_limit);
        let shards: Vec<ShardEntry> = self
            .shards
            .lock()
            .extract_if(|_, entry| {
                !heard.contains_key(&entry.owner)
                    || (entry.allowed == Use::Read && entry.used.elapsed() >= idle_limit)
            })
            .map(|(_, entry)| entry)
            .collect();
        let replacements: Vec<ReplacementEntry> = self
            .replacements
            .lock()
            .extract_if(|_, entry| !heard.contains_key(&entry.owner) || entry.used.elapsed() >= idle_limit)
            .map(|(_, entry)| entry)
            .collect();
        drop(heard);
        if !shards.is_empty() || !replacements.is_empty() {
            let_go((shards, replacements));
        }
    }
}

/// Takes those of `handles` out that `belongs` says may be, for [`let_go`].
fn take<T>(entries: &Mutex<HashMap<Handle, T>>, handles: &[Handle], belongs: impl Fn(&T) -> bool) -> Vec<T> {
    let mut entries = entries.lock();
    let theirs = |handle: &&Handle| entries.get(*handle).is_some_and(&belongs);
    let theirs: Vec<Handle> = handles.iter().filter(theirs).copied().collect();
    theirs.iter().filter_map(|handle| entries.remove(handle)).collect()
}

/// Drops what was taken out, on a thread that may block: it closes files and removes unfinished ones, for which a slow drive
/// is waited. No lock may be held.
pub(super) fn let_go<T: Send + 'static>(taken: T) {
    drop(tokio::task::spawn_blocking(move || drop(taken)));
}

#[cfg(test)]
#[path = "handles_tests.rs"]
mod tests;
