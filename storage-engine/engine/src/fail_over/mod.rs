//! After the database failed over to a standby that may not have received all.
//!
//! Whoever connects to the new primary sees by its timeline that there was a fail-over, before it asks anything there. From
//! then on nothing is freed, cut, moved or healed on any node ([`FailOver::is_unsettled`]) until all of this is done:
//!
//! 1. Each node's writer compares its last batch with what the database knows of it. If batches were lost, it stores which ends of
//!    volumes the database has forgotten, before it commits anything new; so the next life of the process knows them too.
//! 2. When all living nodes have done so, each looks on its drives for volumes that nobody knows any more.
//! 3. The node that does the shared work adds what dead nodes had open, reads all those ends ([`tails`]), and commits what they
//!    hold again ([`recommit`]), in the order it was written and each key by comparison; what cannot be is reported. Nothing
//!    can have been written over it: a volume has one writer, who goes on behind what it wrote.
//!
//! Then the timeline is settled. Until then nothing is deleted: it could come back with what is committed again. A node that
//! comes back later deals with its own losses alone.

mod decide;
mod recommit;
mod tails;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use granary_metadata::{FailOvers, LossPage, Timeline};

use crate::engine::Engine;
use crate::error::{EngineError, Result};

pub(crate) use worker::follow_fail_overs;

/// What is known of fail-overs.
#[derive(Default)]
pub(crate) struct FailOver {
    /// `None` of metadata that does not fail over.
    known: Option<Arc<dyn FailOvers>>,
    settled: AtomicU32,
    /// Commits were found to be lost, and not all is done yet.
    has_lost: AtomicBool,
}

impl FailOver {
    /// Asks the database what is settled.
    pub(crate) async fn open(known: Option<Arc<dyn FailOvers>>) -> Result<Self> {
        let opened = Self { known, ..Self::default() };
        if let Some(known) = &opened.known {
            if known.settled().await?.is_none()
                && let Some(first) = known.newest()
            {
                // A new database, or one of a release that did not ask: what it knows is all there is.
                known.settle(first).await?;
            }
            opened.look().await?;
        }
        Ok(opened)
    }

    async fn look(&self) -> Result<()> {
        if let Some(known) = &self.known
            && let Some(Timeline(settled)) = known.settled().await?
        {
            self.settled.fetch_max(settled, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Whether the database has failed over and not all nodes know yet what that lost. Nothing may be freed then. It is
    /// known before anything is read from the new primary.
    pub(crate) fn is_unsettled(&self) -> bool {
        let newest = self.known.as_ref().and_then(|known| known.newest());
        newest.is_some_and(|newest| newest.0 > self.settled.load(Ordering::Acquire))
    }

    /// Whether nothing may be freed: because of that, or because this process has lost something and is not done with it.
    pub(crate) fn holds_up(&self) -> bool {
        self.has_lost.load(Ordering::Acquire) || self.is_unsettled()
    }

    fn note_lost(&self, has_lost: bool) {
        if self.has_lost.swap(has_lost, Ordering::AcqRel) != has_lost {
            metrics::gauge!("granary_metadata_regressed").set(f64::from(u8::from(has_lost)));
        }
    }
}

impl Engine {
    /// What was answered to clients and lost in fail-overs of the database, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the metadata cannot be asked.
    pub async fn metadata_losses(&self, after: Option<Vec<u8>>, limit: u32) -> Result<LossPage> {
        match &self.inner.fail_over.known {
            Some(known) => Ok(known.losses(after, limit).await?),
            None => Ok(LossPage::default()),
        }
    }

    /// Forgets all of [`Engine::metadata_losses`]. Returns how many.
    ///
    /// # Errors
    /// When the metadata cannot be asked.
    pub async fn dismiss_metadata_losses(&self) -> Result<u64> {
        match &self.inner.fail_over.known {
            Some(known) => known.dismiss_losses().await.map_err(EngineError::from),
            None => Ok(0),
        }
    }

    /// Whether the database failed over, and what that lost is not settled yet.
    #[must_use]
    pub fn is_failing_over(&self) -> bool {
        self.inner.fail_over.is_unsettled()
    }
}
