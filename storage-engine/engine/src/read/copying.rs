//! Reading extents, to write what they hold elsewhere: in order and in long runs, the next of which is read while one is used.
//!
//! Every unit is checked against its hash, as for clients, and what is damaged is rebuilt. The memory is not that of clients. Nobody
//! waits for it, as who copies holds buffers to write as well: where there is none left, stripes are read one by one.

use std::sync::Arc;

use bytes::Bytes;
use granary_metadata::Extent;

use super::ahead::{Hold, Plan, Room, Run, Wanted, Window};
use super::handle::Reader;
use crate::error::{EngineError, Result};
use crate::volume::VolumeView;

/// Extents that are being copied.
pub(crate) struct Copying {
    reader: Arc<Reader>,
    plan: Plan,
    /// The next run, which is being read.
    following: Option<Run>,
}

/// A run that was read.
pub(crate) struct CopiedRun {
    reader: Arc<Reader>,
    view: Arc<VolumeView>,
    stripes: std::vec::IntoIter<Wanted>,
    windows: Vec<Window>,
    _hold: Hold,
}

impl Copying {
    /// Bytes of what the extents make up (from, to).
    pub(crate) async fn of(
        reader: &Arc<Reader>,
        room: &Room,
        extents: &[Extent],
        range: (u64, u64),
    ) -> Result<Self> {
        let plan = Plan::to_copy(room.clone(), reader, extents, range).await?;
        Ok(Self { reader: Arc::clone(reader), plan, following: None })
    }

    /// The next run; `None` at the end. The one behind it is begun now if `reads_ahead` says so and there is room.
    pub(crate) async fn next(&mut self, reads_ahead: bool) -> Result<Option<CopiedRun>> {
        let run = match self.following.take() {
            Some(run) => Some(run),
            None => self.plan.run_at_once(&self.reader)?,
        };
        let Some(Run { view, stripes, windows, hold }) = run else { return Ok(None) };
        if reads_ahead {
            self.following = self.plan.run_if_room(&self.reader);
        }
        let windows = windows.await.map_err(|_| EngineError::Internal("reading ahead panicked"))?;
        let (reader, stripes) = (Arc::clone(&self.reader), stripes.into_iter());
        Ok(Some(CopiedRun { reader, view, stripes, windows, _hold: hold }))
    }
}

impl CopiedRun {
    /// The bytes of the next stripe, checked; `None` behind the last one.
    ///
    /// # Errors
    /// When too few columns of it can be read.
    pub(crate) async fn stripe(&mut self) -> Result<Option<Vec<Bytes>>> {
        let Some((stripe, wanted)) = self.stripes.next() else { return Ok(None) };
        self.reader.blob_stripe(&self.view, stripe, wanted, &self.windows).await.map(Some)
    }
}
