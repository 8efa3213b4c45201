//! Writes whose bytes are elsewhere or nowhere: completions, large objects, empty ones, delete markers.
//!
//! What they make is written as small records into packed stripes, so that the metadata can be rebuilt from blocks. They
//! go with the group of small objects that waits anyway: one flush and one commit for all of them.

use std::sync::Arc;

use granary_metadata::{Bucket, Commit, Content, NewObject, Outcome, VolumeAdvance, Write};
use granary_types::{Attributes, ObjectKey};

use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::record::ObjectRecord;
use crate::told::{Deed, Told};
use crate::volume::OpenVolume;

/// Whether records get the stamp of their group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stamping {
    /// They tell of something new.
    #[default]
    Now,
    /// They were written before, and are moved.
    Kept,
}

/// What becomes of writes whose records find no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unrecorded {
    /// They are made true all the same, and the metadata and its copies alone know of them: deletes make room, and completions
    /// and moves are of bytes that are there.
    #[default]
    MadeTrue,
    /// They are refused like all that is new: a copy would be lost with the metadata, its bytes being there.
    Refused,
}

/// Writes, and what has to be true for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) stamping: Stamping,
    pub(crate) unrecorded: Unrecorded,
    pub(crate) writes: Vec<Write>,
    /// Of the volumes that hold their bytes.
    pub(crate) advances: Vec<VolumeAdvance>,
    /// Those volumes: kept until the commit is done, as a held volume is not sealed.
    pub(crate) volumes: Vec<Arc<OpenVolume>>,
}

impl Inner {
    /// Makes writes true whose records are `records`. On drives that are all full it becomes of them what [`Unrecorded`] says.
    pub(crate) async fn commit_recorded(
        &self,
        records: Vec<Vec<u8>>,
        recorded: Recorded,
    ) -> Result<Vec<Outcome>> {
        match self.record_where_room_is(&records, &recorded).await {
            Err(EngineError::NoSpace) => self.commit_unrecorded(recorded).await,
            result => result,
        }
    }

    /// Makes records durable and then the writes true: where records lie or, if that is full, on drives that have room, whatever
    /// their class is.
    pub(crate) async fn record_where_room_is(
        &self,
        records: &[Vec<u8>],
        recorded: &Recorded,
    ) -> Result<Vec<Outcome>> {
        match self.packer.record(records.to_vec(), recorded.clone()).await {
            Err(EngineError::NoSpace) => {}
            result => return result,
        }
        for tier in self.pool.tiers.all().into_iter().filter(|tier| self.pool.has_room_in(*tier)) {
            match self.packer.record_in(tier, records.to_vec(), recorded.clone()).await {
                Err(EngineError::NoSpace) => {}
                result => return result,
            }
        }
        Err(EngineError::NoSpace)
    }

    async fn commit_unrecorded(&self, recorded: Recorded) -> Result<Vec<Outcome>> {
        let Recorded { unrecorded, writes, advances, volumes: _held, .. } = recorded;
        if unrecorded == Unrecorded::Refused {
            self.pool.note_refused(self.pool.tiers.usual(), 1);
            return Err(EngineError::NoSpace);
        }
        metrics::counter!("granary_records_left_out_total").increment(writes.len() as u64);
        tracing::warn!(
            writes = writes.len(),
            "the drives are full: a change is recorded in the metadata alone"
        );
        let committed = self.store.commit(Commit { advances, writes }).await;
        if let Err(error) = &committed {
            self.pool.leave_fenced(error).await;
        }
        Ok(committed?)
    }
}

impl Engine {
    /// As [`Inner::commit_recorded`].
    pub(crate) async fn commit_recorded(
        &self,
        records: Vec<Vec<u8>>,
        recorded: Recorded,
    ) -> Result<Vec<Outcome>> {
        self.inner.commit_recorded(records, recorded).await
    }

    /// Lets the blocks tell that a write was refused whose record is in them: it must not come back from there.
    pub(crate) async fn tell_refusal(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        object: &NewObject,
        outcome: &Outcome,
    ) {
        if matches!(outcome, Outcome::Done { .. } | Outcome::Marked { .. }) {
            return;
        }
        let object =
            NewObject { content: Content::Empty, attributes: Attributes::default(), ..object.clone() };
        let told = Told::of(bucket, Deed::Refused(object.write));
        match ObjectRecord::manifest(bucket.id, key, &object, &told) {
            Ok(records) => self.inner.record_beside(records).await,
            Err(error) => tracing::warn!(%error, "a refusal could not be recorded"),
        }
    }

    /// Lets the blocks tell what became of a bucket.
    pub(crate) async fn tell_bucket(&self, bucket: &Bucket, deed: Deed) {
        match ObjectRecord::of_bucket(bucket, deed) {
            Ok(records) => self.inner.record_beside(records).await,
            Err(error) => tracing::warn!(%error, "a bucket could not be recorded"),
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
