//! A column's new file, which is filled from its begin to its end, with holes.
//!
//! What follows each other is written in runs of about a MiB. A column that small stripes often leave out has short runs, and
//! each write takes its time, however short: so many are written at once as a long one would be, while the next fills. About
//! three MiB are in memory of each file.

use std::sync::Arc;

use bytes::BytesMut;
use granary_cluster::access::{ReplacementAccess, ShardAccess};
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, DriveError, PAGE_LENGTH_BYTES, aligned_buffer};
use tokio::task::JoinSet;

use crate::error::{EngineError, Result};
use crate::layout::{BLOB_BLOCK_BYTES, BLOB_HEAD_BYTES};
use crate::read::VerifiedBlock;

/// The longest run but for a block that alone is longer: eight full stripes of a large object.
pub(super) const RUN_BYTES: usize = 8 * (BLOB_HEAD_BYTES + BLOB_BLOCK_BYTES) as usize;
/// How many short runs are written at once.
pub(super) const RUNS_TOGETHER: usize = 8;

pub(super) struct NewFile {
    replacement: Arc<dyn ReplacementAccess>,
    /// What is not being written yet, and the room behind it.
    run: BytesMut,
    run_offset: u64,
    /// Each tells how long it was.
    writing: JoinSet<std::result::Result<usize, DriveError>>,
    writing_bytes: usize,
}

impl NewFile {
    pub(super) fn new(replacement: Arc<dyn ReplacementAccess>) -> Self {
        let (run, writing) = (BytesMut::new(), JoinSet::new());
        Self { replacement, run, run_offset: 0, writing, writing_bytes: 0 }
    }

    /// Adds a block behind those that were added.
    pub(super) async fn add(&mut self, offset: u64, block: &VerifiedBlock) -> Result<()> {
        let length_bytes = BLOCK_HEADER_LENGTH_BYTES + block.body.len();
        match self.padding_before(offset, length_bytes) {
            Some(padding) => self.run.resize(self.run.len() + padding, 0),
            None => {
                self.write_run().await?;
                self.run_offset = offset;
                // With room for the padding: a buffer that grows loses its place on a page.
                if self.run.capacity() < length_bytes + PAGE_LENGTH_BYTES {
                    self.run = aligned_buffer(RUN_BYTES.max(length_bytes) + PAGE_LENGTH_BYTES);
                }
            }
        }
        let start = self.run.len();
        self.run.resize(start + BLOCK_HEADER_LENGTH_BYTES, 0);
        if !self.run.get_mut(start..).is_some_and(|head| block.header.write(head)) {
            return Err(EngineError::Internal("a block's header does not fit"));
        }
        self.run.extend_from_slice(&block.body);
        Ok(())
    }

    /// What lies between the run and a block that goes on with it: only what pads the run to its page may.
    fn padding_before(&self, offset: u64, length_bytes: usize) -> Option<usize> {
        let padding = offset.checked_sub(self.run_offset + self.run.len() as u64)?;
        let padding = usize::try_from(padding).ok().filter(|padding| *padding < PAGE_LENGTH_BYTES)?;
        let room = RUN_BYTES.min(self.run.capacity().saturating_sub(PAGE_LENGTH_BYTES));
        (!self.run.is_empty() && self.run.len() + padding + length_bytes <= room).then_some(padding)
    }

    /// Copies bytes as they are from the file that this one takes the place of.
    pub(super) async fn copy_raw(&mut self, old: &dyn ShardAccess, from: u64, to: u64) -> Result<()> {
        const PIECE_BYTES: u64 = 1 << 20;
        self.write_run().await?;
        self.written(0).await?;
        let mut at = from;
        while at < to {
            let length = usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0);
            let bytes = old.read(at, length).await?;
            if bytes.is_empty() {
                break;
            }
            let offset = at;
            at += bytes.len() as u64;
            self.replacement.write(offset, bytes).await?;
        }
        Ok(())
    }

    /// Begins to write the run, when there is room for it among those that are being written.
    async fn write_run(&mut self) -> Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        // A page that is written in part goes through the page cache, and what is written behind it waits for that.
        self.run.resize(self.run.len().next_multiple_of(PAGE_LENGTH_BYTES), 0);
        let bytes = self.run.split().freeze();
        self.written(RUN_BYTES.saturating_sub(bytes.len())).await?;
        let (replacement, offset, length_bytes) =
            (Arc::clone(&self.replacement), self.run_offset, bytes.len());
        self.writing_bytes += length_bytes;
        self.writing.spawn(async move { replacement.write(offset, bytes).await.map(|()| length_bytes) });
        Ok(())
    }

    /// Waits until no more than so many bytes are being written.
    async fn written(&mut self, left_bytes: usize) -> Result<()> {
        while self.writing_bytes > left_bytes || self.writing.len() >= RUNS_TOGETHER {
            let Some(written) = self.writing.join_next().await else { break };
            let written = written.map_err(|_| EngineError::Internal("writing a rebuilt column panicked"))?;
            self.writing_bytes = self.writing_bytes.saturating_sub(written?);
        }
        Ok(())
    }

    /// The file, when all of it is written.
    pub(super) async fn finish(mut self) -> Result<Arc<dyn ReplacementAccess>> {
        self.write_run().await?;
        self.written(0).await?;
        Ok(self.replacement)
    }
}
