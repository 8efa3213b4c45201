//! What a walk is asked about objects that lie in the blocks it has read, and not in its batch.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use granary_metadata::PackedLocation;
use granary_types::UnixMillis;
use tokio::sync::Semaphore;

use super::judge::Seen;
use super::pass::{LOOKS, PAGE, Pass};
use crate::error::Result;
use crate::record::ObjectRecord;
use crate::transit::{Companions, Due};

/// Says which of the objects in blocks are due, by the rules that the walk follows.
///
/// Older versions are left to the walk: since when they are old, and behind how many, only their neighbours in the index tell.
pub(super) struct MetInBlocks<'a> {
    pass: &'a Pass<'a>,
    /// For all blocks together.
    looks: Semaphore,
    looked: AtomicU32,
    /// The rules are not those any more that the walk began with.
    is_over: AtomicBool,
}

impl<'a> MetInBlocks<'a> {
    pub(super) fn new(pass: &'a Pass<'a>) -> Self {
        let (looked, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { pass, looks: Semaphore::new(LOOKS), looked, is_over }
    }

    async fn look(&self, record: &ObjectRecord, at: &PackedLocation) -> Result<Option<Due>> {
        let Pass { inner, bucket, .. } = self.pass;
        if !self.rules_stand().await? {
            return Ok(None);
        }
        let row = inner.store.object(bucket.id, &record.key, None).await?;
        let Some(row) = row.filter(|row| row.object.content.packed() == Some(at)) else { return Ok(None) };
        let (seen, now) = (Seen::current(&record.key, &row.object), UnixMillis::now());
        if self.pass.new_class(&seen, None, now).is_none() {
            return Ok(None);
        }
        let tags = self.pass.tags(&seen.key, &row).await?;
        self.pass.due(seen, (row, tags), now).await
    }

    /// As often as the walk asks it, once for so many versions: far more may lie in the blocks of a batch than are in it.
    async fn rules_stand(&self) -> Result<bool> {
        let looked = self.looked.fetch_add(1, Ordering::Relaxed);
        if looked % PAGE == PAGE - 1
            && !self.pass.place.rules_stand(self.pass.inner, self.pass.bucket).await?
        {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Ok(!self.is_over.load(Ordering::Relaxed))
    }
}

impl Companions for MetInBlocks<'_> {
    async fn due(&self, record: &ObjectRecord, at: &PackedLocation) -> Option<Due> {
        // Most of what is not due shows that already. Its class may be another one by now.
        let may_move = || {
            let seen = Seen::current(&record.key, &record.object);
            self.pass.new_class(&seen, None, UnixMillis::now()).is_some()
        };
        if record.bucket != self.pass.bucket.id || !may_move() {
            return None;
        }
        let _turn = self.looks.acquire().await.ok()?;
        match self.look(record, at).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(key = %record.key, %error, "what lies beside moved objects is left to the walk");
                None
            }
        }
    }
}

#[cfg(test)]
#[path = "companions_tests.rs"]
mod tests;
