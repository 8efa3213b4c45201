//! What the writer remembers of what it was answered, so that it notices when the database forgets.
//!
//! Each transaction stores its number in the writer's row. A database that names a lower one than was answered has lost
//! what came after, and by what the writer remembers of each batch it can tell what that was: how far volumes were
//! committed, which blocks tell of, and changes that no block tells of.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use granary_types::{NodeId, VolumeId};

use super::ops::Answer;
use crate::fail_over::{Lost, LostChange, LostTail};
use crate::model::{Commit, NewVolume, Write};
use crate::sqlite::op::Op;

/// Volumes that are remembered. One writer has a few open; the others were sealed.
const VOLUMES_MAX: usize = 1024;
/// Changes that are remembered.
const CHANGES_MAX: usize = 10_000;
/// Rows of writers that were idle for a week are forgotten; this is sooner.
const ROW_KEPT: Duration = Duration::from_hours(6 * 24);

/// A volume that this writer opened.
struct Marked {
    volume: NewVolume,
    end: u64,
    last_batch: u64,
}

/// What was answered.
#[derive(Default)]
pub(super) struct Marks {
    /// The last batch, and when.
    last: Option<(u64, Instant)>,
    volumes: HashMap<VolumeId, Marked>,
    changes: VecDeque<(u64, LostChange)>,
    /// Changes up to this batch are forgotten.
    forgotten: u64,
}

impl Marks {
    /// A batch was committed.
    pub(super) fn note(&mut self, batch: u64, ops: &[Op], answers: &[Answer]) {
        self.last = Some((batch, Instant::now()));
        for (op, _) in ops.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
            match op {
                Op::OpenVolume(volume) => {
                    let marked = Marked { volume: volume.clone(), end: 0, last_batch: batch };
                    self.volumes.insert(volume.id, marked);
                }
                Op::Commit(commit) => self.note_commit(batch, commit),
                other => self.changes.extend(change_of(other).map(|change| (batch, change))),
            }
        }
        while self.changes.len() > CHANGES_MAX {
            self.forgotten = self.changes.pop_front().map_or(self.forgotten, |(batch, _)| batch);
        }
        if self.volumes.len() > VOLUMES_MAX {
            let oldest = self.volumes.iter().min_by_key(|(_, marked)| marked.last_batch).map(|(id, _)| *id);
            self.volumes.retain(|id, _| Some(*id) != oldest);
        }
    }

    fn note_commit(&mut self, batch: u64, commit: &Commit) {
        for advance in &commit.advances {
            if let Some(marked) = self.volumes.get_mut(&advance.volume) {
                marked.end = marked.end.max(advance.end);
                marked.last_batch = batch;
            }
        }
        // What comes with its version is in the version's record.
        let new: HashSet<_> = commit
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Put(put) => Some(put.object.write),
                Write::Rename(rename) => Some(rename.put.object.write),
                Write::CompleteUpload(complete) => Some(complete.object.write),
                _ => None,
            })
            .collect();
        let changes = commit.writes.iter().filter_map(|write| match write {
            Write::Tag(tagging) if !new.contains(&tagging.write) => {
                Some(of_key("the tags of an object", tagging.bucket, &tagging.key))
            }
            Write::Lock(locking) if !new.contains(&locking.write) => {
                Some(of_key("the lock of an object", locking.bucket, &locking.key))
            }
            Write::Acl(change) if !new.contains(&change.write) => {
                Some(of_key("the access control list of an object", change.bucket, &change.key))
            }
            Write::CreateUpload(upload) => Some(of_key("an upload was begun", upload.bucket, &upload.key)),
            Write::AbortUpload { bucket, key, .. } => Some(of_key("an upload was aborted", *bucket, key)),
            Write::PutPart(part) => Some(of_key("a part of an upload", part.bucket, &part.key)),
            Write::ReferPart(refer) => Some(of_key("a part of an upload", refer.bucket, &refer.key)),
            Write::Restore(change) => Some(of_key("an object was restored", change.bucket, &change.key)),
            _ => None,
        });
        self.changes.extend(changes.map(|change| (batch, change)));
    }

    /// Whether a database whose row of this writer names `found` has lost what was answered.
    pub(super) fn are_beyond(&self, found: Option<u64>) -> bool {
        self.last.is_some_and(|(last, at)| match found {
            Some(found) => found < last,
            None => at.elapsed() < ROW_KEPT,
        })
    }

    /// The volumes whose ends a database that lost something is asked for.
    pub(super) fn volumes(&self) -> impl Iterator<Item = VolumeId> {
        self.volumes.keys().copied()
    }

    /// What a database lost that names `found` and knows these committed ends.
    pub(super) fn lost(
        &self,
        found: Option<u64>,
        ends: &HashMap<VolumeId, u64>,
        node: Option<NodeId>,
    ) -> (Lost, Vec<LostTail>) {
        let found = found.unwrap_or(0);
        let last = self.last.map_or(found, |(last, _)| last);
        let tails = self.volumes.values().filter_map(|marked| {
            let known_end = ends.get(&marked.volume.id).copied();
            // Of a volume that is older than what was lost, a row that is gone was removed when it had been freed.
            let is_lost = match known_end {
                Some(known) => known < marked.end,
                None => marked.last_batch > found && marked.end > 0,
            };
            let volume = marked.volume.clone();
            let known_end = known_end.unwrap_or(0);
            is_lost.then_some(LostTail { volume, known_end, answered_end: marked.end, node })
        });
        let mut changes: Vec<LostChange> = self
            .changes
            .iter()
            .filter(|(batch, _)| *batch > found)
            .map(|(_, change)| change.clone())
            .collect();
        if self.forgotten > found {
            let what = "more changes than are remembered: tags, locks, configurations, identities, uploads";
            changes.push(LostChange { what, bucket: None, key: String::new() });
        }
        (Lost { batches: last.saturating_sub(found), changes }, tails.collect())
    }
}

impl Marks {
    /// What was lost is told: from here on the database is measured by what it knows now.
    pub(super) fn accept(&mut self, found: Option<u64>) {
        self.last = found.map(|found| (found, Instant::now()));
        self.changes.retain(|(batch, _)| *batch <= found.unwrap_or(0));
        self.forgotten = self.forgotten.min(found.unwrap_or(0));
    }
}

fn of_key(what: &'static str, bucket: granary_types::BucketId, key: &granary_types::ObjectKey) -> LostChange {
    LostChange { what, bucket: Some(bucket), key: key.as_str().to_owned() }
}

/// The change that no block tells of.
fn change_of(op: &Op) -> Option<LostChange> {
    let change = |what, bucket, key: String| Some(LostChange { what, bucket, key });
    match op {
        Op::PutDocument(put) => change("a configuration of a bucket", Some(put.bucket), put.name.clone()),
        Op::ChangeIdentities(_) => change("users, keys, policies or roles", None, String::new()),
        Op::MoveShard(moved) => change("a shard was moved or healed", None, moved.volume.to_string()),
        // Blocks tell of these; or nobody outside was told.
        Op::Commit(_)
        | Op::CreateBucket(_)
        | Op::CreateBucketWith(_)
        | Op::ChangeBucket { .. }
        | Op::DeleteBucket(_)
        | Op::OpenVolume(_)
        | Op::SealVolume(_)
        | Op::FreeVolume { .. }
        | Op::ForgetVolume(_)
        | Op::PutDrive(_)
        | Op::PutClassedDrive(..)
        | Op::FinishEvents(_)
        | Op::Recount => None,
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
