//! A backup: everything a store knows, as a row of frames, ended by a manifest.
//!
//! A frame holds entries of one table. Where frames go ([`FrameSink`]) and come from ([`FrameSource`]) is another matter: one
//! file ([`super::FrameFile`]), or shards on the drives of a store. The manifest, the last frame, tells what the backup is of
//! and the digests of its entries; without one a backup is not whole and is not used. Reading it is an [`Export`], so that
//! restoring a backup is a copy like any other, resumable and verified.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Digests, Entry, Export, Page, Phase, Place, Progress, Source, Table};
use crate::error::{MetadataError, Result};
use crate::sqlite::failure::unavailable;

/// The format written here. Others are refused.
const FORMAT: u32 = 1;
/// Entries of one frame, at most.
const FRAME_ROWS: u32 = 2_000;
/// A frame is ended when its entries take this much.
const FRAME_BYTES: usize = 2 << 20;

/// Where the frames of a backup go. Its calls block.
pub trait FrameSink: Send {
    /// Adds a frame.
    ///
    /// # Errors
    /// When it cannot be written.
    fn append(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Makes the backup durable and, only then, one that can be found.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Where the frames of a backup come from. Its calls block.
pub trait FrameSource: Send + Sync {
    /// How many frames there are.
    fn count(&self) -> usize;

    /// The frame of that number, checked.
    ///
    /// # Errors
    /// When it cannot be read or is damaged beyond repair.
    fn frame(&self, number: usize) -> io::Result<Vec<u8>>;
}

/// What a backup is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// What it is of.
    pub source: Source,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The digests of its entries.
    pub digests: Digests,
    /// The table of each frame.
    frames: Vec<Table>,
}

impl Manifest {
    /// How many entries a table has.
    #[must_use]
    pub fn count(&self, of: Table) -> u64 {
        let counts = self.digests.iter().filter(|(table, ..)| *table == of).map(|(.., digest)| digest.count);
        counts.fold(0, u64::saturating_add)
    }
}

fn io_error(context: &str, source: io::Error) -> MetadataError {
    MetadataError::Io { context: context.to_owned(), source }
}

/// Writes a frame off the runtime's threads.
async fn append(mut sink: Box<dyn FrameSink>, frame: Vec<u8>) -> Result<Box<dyn FrameSink>> {
    let written = tokio::task::spawn_blocking(move || sink.append(&frame).map(|()| sink)).await;
    written
        .map_err(|_| unavailable("writing a backup", "its thread ended early"))?
        .map_err(|source| io_error("writing a backup", source))
}

fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|error| MetadataError::Corrupt { context: format!("a frame cannot be encoded: {error}") })
}

/// Writes everything of `from`, which must not change meanwhile, and makes the backup findable.
///
/// # Errors
/// When one side fails; then there is no backup.
pub async fn back_up(
    from: &dyn Export,
    mut sink: Box<dyn FrameSink>,
    created_ms: i64,
    mut watch: impl FnMut(Progress),
) -> Result<Manifest> {
    let source = from.source().await?;
    let mut manifest =
        Manifest { format: FORMAT, source, created_ms, digests: Digests::default(), frames: Vec::new() };
    let mut total = 0_u64;
    for table in Table::ALL {
        total = total.saturating_add(from.count(table).await?);
    }
    for table in Table::ALL {
        let mut after: Option<Place> = None;
        let mut rows = FRAME_ROWS / 4;
        loop {
            let page = from.page(table, after.as_ref(), rows).await?;
            let mut bytes = 0_usize;
            for entry in &page.entries {
                bytes = bytes.saturating_add(manifest.digests.add(entry)?);
            }
            if !page.entries.is_empty() {
                sink = append(sink, encoded(&page.entries)?).await?;
                manifest.frames.push(table);
            }
            rows = if bytes > FRAME_BYTES { rows / 2 } else { rows.saturating_mul(2) }.clamp(1, FRAME_ROWS);
            watch(Progress { phase: Phase::Copying, table, done: manifest.digests.total(), total });
            let Some(next) = page.next else { break };
            after = Some(next);
        }
    }
    sink = append(sink, encoded(&manifest)?).await?;
    let finished = tokio::task::spawn_blocking(move || sink.finish()).await;
    finished
        .map_err(|_| unavailable("writing a backup", "its thread ended early"))?
        .map_err(|source| io_error("writing a backup", source))?;
    Ok(manifest)
}

/// A backup that is read.
pub struct Backup {
    frames: Arc<dyn FrameSource>,
    manifest: Manifest,
}

impl Backup {
    /// Reads the manifest. Blocks.
    ///
    /// # Errors
    /// [`MetadataError::Corrupt`] if it is damaged or of another format; [`MetadataError::Io`].
    pub fn open(frames: Arc<dyn FrameSource>) -> Result<Self> {
        let corrupt = |context: &str| MetadataError::Corrupt { context: format!("the backup {context}") };
        let last = frames.count().checked_sub(1).ok_or_else(|| corrupt("is empty"))?;
        let bytes = frames.frame(last).map_err(|source| io_error("reading a backup", source))?;
        let manifest: Manifest =
            postcard::from_bytes(&bytes).map_err(|_| corrupt("has a manifest that cannot be decoded"))?;
        if manifest.format != FORMAT {
            return Err(corrupt("is of a format that this version does not know"));
        }
        if manifest.frames.len() != last {
            return Err(corrupt("has not the frames that its manifest tells of"));
        }
        Ok(Self { frames, manifest })
    }

    /// What it is.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

#[async_trait]
impl Export for Backup {
    async fn source(&self) -> Result<Source> {
        Ok(self.manifest.source)
    }

    async fn count(&self, table: Table) -> Result<u64> {
        Ok(self.manifest.count(table))
    }

    /// One frame, whatever the limit. The place is the frame's number.
    async fn page(&self, table: Table, after: Option<&Place>, _limit: u32) -> Result<Page> {
        let corrupt = |context: &str| MetadataError::Corrupt { context: format!("the backup {context}") };
        let first: usize = match after {
            None => 0,
            Some(place) => postcard::from_bytes::<usize>(&place.0)
                .ok()
                .and_then(|at| at.checked_add(1))
                .ok_or_else(|| corrupt("is not what the copy was begun from"))?,
        };
        let at = self.manifest.frames.iter().skip(first).position(|of| *of == table);
        let Some(number) = at.and_then(|at| at.checked_add(first)) else {
            return Ok(Page { entries: Vec::new(), next: None });
        };
        let frames = Arc::clone(&self.frames);
        let read = tokio::task::spawn_blocking(move || frames.frame(number)).await;
        let bytes = read
            .map_err(|_| unavailable("reading a backup", "its thread ended early"))?
            .map_err(|source| io_error("reading a backup", source))?;
        let entries: Vec<Entry> =
            postcard::from_bytes(&bytes).map_err(|_| corrupt("has a frame that cannot be decoded"))?;
        if entries.iter().any(|entry| entry.table() != table) {
            return Err(corrupt("has an entry of another table than its manifest says"));
        }
        Ok(Page { entries, next: Some(Place(encoded(&number)?)) })
    }
}
