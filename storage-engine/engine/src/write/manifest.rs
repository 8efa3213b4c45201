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

/// Writes, and what has to be true for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) stamping: Stamping,
    pub(crate) writes: Vec<Write>,
    /// Of the volumes that hold their bytes.
    pub(crate) advances: Vec<VolumeAdvance>,
    /// Those volumes: kept until the commit is done, as a held volume is not sealed.
    pub(crate) volumes: Vec<Arc<OpenVolume>>,
}

impl Inner {
    /// Makes writes true whose records are `records`. On full drives without the records: deletes and completions make
    /// room or need none, and the metadata and its copies have them.
    pub(crate) async fn commit_recorded(
        &self,
        records: Vec<Vec<u8>>,
        recorded: Recorded,
    ) -> Result<Vec<Outcome>> {
        let again = Commit { advances: recorded.advances.clone(), writes: recorded.writes.clone() };
        let volumes = recorded.volumes.clone();
        match self.packer.record(records, recorded).await {
            Err(EngineError::NoSpace) => {}
            result => return result,
        }
        metrics::counter!("granary_records_left_out_total").increment(again.writes.len() as u64);
        tracing::warn!(
            writes = again.writes.len(),
            "the drives are full: a change is recorded in the metadata alone"
        );
        let committed = self.store.commit(again).await;
        drop(volumes);
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
