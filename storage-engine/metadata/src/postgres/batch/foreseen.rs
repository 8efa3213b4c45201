//! Batches that need not be loaded.
//!
//! Most batches put small objects at new keys, in volumes that this writer opened, in buckets it has written to before:
//! nothing that they would load is news. Such a batch is *foreseen*: it is applied to what the writer remembers of buckets and volumes, as
//! if none of its keys was there, and stored by one statement that is a transaction of its own (`sql::foreseen`). The statement
//! stores nothing unless all was as foreseen: the buckets' rows are the same, the volumes are still open at their epochs, and no key
//! is there. Otherwise the batch is loaded and applied like any other, so nothing depends on what is remembered but speed.
//!
//! A statement goes on when its client has gone. So one that got no answer is fenced before anybody believes that it came to nothing:
//! reading the writer's row back waits for a statement that has begun to store, and keeps one that has not from storing anything.
//!
//! What is there already is found before anything is stored. What comes between, a key that another node makes at the same moment or
//! a volume that is being sealed, makes the statement fail as a whole.

use std::collections::HashMap;

use granary_types::{BucketId, VolumeId};

use super::load::Wanted;
use super::store_objects::Versions;
use super::{Batch, BatchName, KeyState, KnownBucket, Volume};
use crate::error::MetadataError;
use crate::model::{Commit, Outcome, PutObject, VolumeState, Write};
use crate::postgres::connect::{CallFailure, Session, Statement};
use crate::postgres::failure::{Failure, is_refused, is_rolled_back, is_undone};
use crate::postgres::{sql, usage};

/// Buckets and volumes that are remembered; a node seldom writes to more at a time.
const REMEMBERED_MAX: usize = 1024;
/// A batch whose keys were there is likely followed by others: so many at most are loaded before the next is foreseen.
const RESTS_AFTER_KEYS_MAX: u32 = 32;
/// A server that does not take the statement is not asked often.
const RESTS_AFTER_REFUSALS_MAX: u32 = 1 << 16;

/// What a writer remembers of rows that were in its batches.
#[derive(Default)]
pub(in crate::postgres) struct Memory {
    buckets: HashMap<BucketId, KnownBucket>,
    volumes: HashMap<VolumeId, Volume>,
    /// How often the writer's row was read back, at least: statements of before are fenced by the times since.
    read_backs: u64,
    /// Batches that are loaded before the next one is foreseen.
    rests: u32,
    /// How many were loaded between the last two that were not as foreseen.
    last_rests: u32,
}

/// What a foreseen batch came to.
pub(in crate::postgres) enum Stored {
    /// It is stored; committed too, if no transaction was open.
    Applied,
    /// Nothing is stored.
    Unforeseen,
    /// It got no answer.
    Doubtful(Failure),
}

impl Memory {
    /// Nothing is remembered of rows any more, on a new session, but when the next batch is foreseen.
    pub(in crate::postgres) fn forget(&mut self) {
        self.buckets.clear();
        self.volumes.clear();
    }

    /// The writer's row was read back so often.
    pub(in crate::postgres) fn note_read_backs(&mut self, read_backs: u64) {
        self.read_backs = read_backs;
    }

    /// A batch was committed, and its rows are as it left them.
    pub(in crate::postgres) fn learn(&mut self, batch: &Batch) {
        if self.buckets.len() > REMEMBERED_MAX || self.volumes.len() > REMEMBERED_MAX {
            self.buckets.clear();
            self.volumes.clear();
        }
        self.buckets.extend(batch.buckets.iter().map(|(id, bucket)| (*id, *bucket)));
        for (id, volume) in &batch.volumes {
            if volume.state == VolumeState::Open {
                self.volumes.insert(*id, Volume { changed: false, ..*volume });
            } else {
                self.volumes.remove(id);
            }
        }
    }

    /// Something was not as remembered; the next batches are loaded, so that it is learned.
    fn missed(&mut self, rests_max: u32) {
        self.last_rests = self.last_rests.saturating_mul(2).clamp(1, rests_max);
        self.rests = self.last_rests;
    }

    /// Whether it is worth foreseeing the next batch.
    fn is_rested(&mut self) -> bool {
        let is_rested = self.rests == 0;
        self.rests = self.rests.saturating_sub(1);
        is_rested
    }

    fn buckets_of(&self, wanted: &Wanted<'_>) -> Option<HashMap<BucketId, KnownBucket>> {
        wanted.buckets.iter().map(|id| Some((*id, *self.buckets.get(id)?))).collect()
    }

    /// The volumes that `wanted` names, without what is stored in them: the statement adds to that.
    fn volumes_of(&self, wanted: &Wanted<'_>) -> Option<HashMap<VolumeId, Volume>> {
        let volume = |id: &VolumeId| Some((*id, Volume { stored_bytes: 0, ..*self.volumes.get(id)? }));
        wanted.volumes.iter().map(volume).collect()
    }

    /// The commits applied as if all they name was as remembered and no key was there, with what they are answered; `None` if they
    /// do more than put small objects, or not all of them can be done.
    pub(in crate::postgres) fn foresee(&mut self, commits: &[&Commit]) -> Option<(Batch, Vec<Vec<Outcome>>)> {
        let mut writes = commits.iter().flat_map(|commit| &commit.writes).peekable();
        if writes.peek().is_none() || !writes.all(is_plain) || !self.is_rested() {
            return None;
        }
        let wanted = Wanted::of(commits);
        let mut batch = Batch {
            buckets: self.buckets_of(&wanted)?,
            volumes: self.volumes_of(&wanted)?,
            ..Batch::default()
        };
        let applied: Result<Vec<_>, MetadataError> =
            commits.iter().map(|commit| batch.commit(commit)).collect();
        // What is refused may be so for what was not loaded.
        let outcomes = applied.ok()?;
        let is_done = |outcome: &Outcome| matches!(outcome, Outcome::Done { .. });
        let all_done = outcomes.iter().flatten().all(is_done);
        (all_done && batch.has_only_new_keys()).then_some((batch, outcomes))
    }

    /// Stores a foreseen batch: in the transaction that is open on `session`, or in one of its own. After anything but
    /// [`Stored::Applied`] an open transaction is to be rolled back.
    pub(in crate::postgres) async fn store(
        &mut self,
        batch: &Batch,
        session: &mut Session,
        name: BatchName,
    ) -> Result<Stored, Failure> {
        let failure = match session.call(batch.foreseen(name, self.read_backs)?).await {
            Ok(0) => {
                self.missed(RESTS_AFTER_KEYS_MAX);
                return Ok(Stored::Unforeseen);
            }
            Ok(_) => {
                self.last_rests = 0;
                return Ok(Stored::Applied);
            }
            Err(failure) => failure,
        };
        Ok(match failure {
            CallFailure::Answered(error) if is_undone(&error) || is_rolled_back(&error) => {
                self.missed(RESTS_AFTER_KEYS_MAX);
                Stored::Unforeseen
            }
            CallFailure::Answered(error) if is_refused(&error) => {
                self.missed(RESTS_AFTER_REFUSALS_MAX);
                tracing::warn!(%error, "the database does not take a batch in one statement");
                Stored::Unforeseen
            }
            // It commits, too, and whatever else a server says may be of that.
            failure => {
                self.missed(RESTS_AFTER_REFUSALS_MAX);
                Stored::Doubtful(failure.into())
            }
        })
    }

    /// A foreseen batch is committed.
    pub(in crate::postgres) fn learn_ends(&mut self, batch: &Batch) {
        for (id, stored) in &batch.volumes {
            if let Some(volume) = self.volumes.get_mut(id) {
                volume.committed_end = stored.committed_end;
            }
        }
    }
}

/// Whether a write does no more than put a small object.
fn is_plain(write: &Write) -> bool {
    let is_small = |put: &PutObject| put.blobs.is_empty() && put.object.content.packed().is_some();
    matches!(write, Write::Put(put) if is_small(put))
}

impl Batch {
    /// Whether it stores new keys, what lives where, and nothing else.
    fn has_only_new_keys(&self) -> bool {
        let is_new = |state: &KeyState| state.changed && state.current.is_some() && state.older.is_empty();
        self.keys.values().all(is_new)
            && self.tags.is_empty()
            && self.acls.is_empty()
            && self.events.is_empty()
            && self.restores.is_empty()
            && self.warmth.is_empty()
            && self.uploads.is_empty()
            && self.parts.is_empty()
            && self.blobs.is_empty()
            && self.references.is_empty()
    }

    /// The statement that stores it.
    fn foreseen(&self, name: BatchName, read_backs: u64) -> Result<Statement<'static>, Failure> {
        let mut rows = Versions::default();
        for ((bucket, key), state) in &self.keys {
            if let Some(current) = &state.current {
                rows.push(*bucket, key, current)?;
            }
        }
        let (buckets, hashes): (Vec<_>, Vec<_>) =
            self.buckets.iter().map(|(id, bucket)| (*id.as_bytes(), bucket.row_hash)).unzip();
        let (mut volumes, mut epochs, mut ends, mut stored) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, volume) in &self.volumes {
            volumes.push(*id.as_bytes());
            epochs.push(volume.epoch.0.cast_signed());
            ends.push(volume.committed_end.cast_signed());
            stored.push(volume.stored_bytes.cast_signed());
        }
        let (lived, bytes, items) = self.lived();
        let (used, used_bytes, used_objects) = usage::columns(&self.used);
        Ok(rows
            .bind(sql::foreseen::STORE)
            .bind(*name.writer.as_bytes())
            .bind(name.number.cast_signed())
            .bind(buckets)
            .bind(hashes)
            .bind(volumes)
            .bind(epochs)
            .bind(ends)
            .bind(stored)
            .bind(lived)
            .bind(bytes)
            .bind(items)
            .bind(used)
            .bind(used_bytes)
            .bind(used_objects)
            .bind(read_backs.cast_signed()))
    }
}

#[cfg(test)]
#[path = "foreseen_tests.rs"]
mod tests;
