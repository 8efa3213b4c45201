//! One shard file.

use std::fs::{File, OpenOptions};
use std::io::IoSlice;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::aligned::{aligned_buffer, is_aligned};
use crate::bad_pages::{BadPage, first_bad_page};
use crate::block::{FileHeader, PAGE_LENGTH_BYTES};
use crate::error::{DriveError, is_of_sector};
use crate::health::Health;
use crate::lane::Cache;
use crate::long::{LONG_READ_BYTES, long_buffer, open_direct, read_cached, read_full, read_long};
use crate::unread::Unread;

/// How long a drive may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A read that takes longer counts as failed; the bytes come from other columns then.
    read: Duration,
    /// A page that is read again and fails after less is none of those that nobody waits for.
    again: Duration,
    /// A place that must be readable when another is not: else the drive is unwell as a whole, and nothing is known of a sector.
    witness: u64,
}

const PATIENCE: Patience =
    Patience { read: Duration::from_secs(5), again: Duration::from_secs(1), witness: 0 };

/// An open shard file. Reading never changes it; only a lane of its drive writes it.
#[derive(Debug)]
pub struct ShardFile {
    file: File,
    /// The same file, opened to go past the page cache when that was first wanted; none where the file system cannot.
    direct: OnceLock<Option<File>>,
    path: PathBuf,
    /// A write or flush failed. The kernel reports a lost page once and then calls it clean, so a later flush that
    /// succeeds proves nothing: from the first failure on, every write and flush of this file fails.
    poisoned: AtomicBool,
    unread: Arc<Unread>,
    health: Arc<Health>,
}

impl ShardFile {
    /// Creates a shard file that must not exist, writes its header and flushes it. The caller flushes the directory.
    pub(crate) fn create(path: &Path, header: FileHeader, health: Arc<Health>) -> Result<Self, DriveError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| DriveError::io("creating", path, e))?;
        file.write_all_at(&header.to_page(), 0).map_err(|e| DriveError::io("writing", path, e))?;
        file.sync_all().map_err(|e| DriveError::io("flushing", path, e))?;
        // At once: a path is that of this very file only as long as nobody replaces it.
        let direct = OnceLock::from(open_direct(path));
        Ok(Self::of(file, direct, path, health))
    }

    /// Opens a shard file and checks that it is the one expected.
    pub(crate) fn open(path: &Path, expected: FileHeader, health: Arc<Health>) -> Result<Self, DriveError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| DriveError::io("opening", path, e))?;
        let (shard, began) = (Self::of(file, OnceLock::new(), path, health), Instant::now());
        match shard.check_header(expected) {
            Ok(()) => Ok(shard),
            Err(error) => {
                if error.is_of_sector() && began.elapsed() >= PATIENCE.again {
                    shard.look_for_bad_header();
                }
                Err(error)
            }
        }
    }

    /// Whoever asks for the file again, for each stripe say, is spared the wait. Whoever asked now has waited long enough: that is
    /// looked for on a thread of its own. Without one nothing is noted.
    fn look_for_bad_header(self) {
        let patience = Patience { witness: PAGE_LENGTH_BYTES as u64, ..PATIENCE };
        let look = move || self.look_for_bad_page(0, PAGE_LENGTH_BYTES, patience);
        let _looking = std::thread::Builder::new().name("bad-header".to_owned()).spawn(look);
    }

    /// Fails if the header is another than the one expected. That it cannot be read says nothing of what it is.
    fn check_header(&self, expected: FileHeader) -> Result<(), DriveError> {
        self.check_readable(0, PAGE_LENGTH_BYTES)?;
        let mut page = [0; PAGE_LENGTH_BYTES];
        match self.file.read_exact_at(&mut page, 0) {
            Ok(()) if FileHeader::read(&page).is_some_and(|found| found == expected) => {
                self.found_well(0, PAGE_LENGTH_BYTES);
                Ok(())
            }
            // A file that is shorter than its header has none.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                Err(DriveError::io("reading", &self.path, error))
            }
            _ => {
                let what = "the shard file's header";
                Err(DriveError::Corrupt { path: self.path.clone(), offset: 0, what })
            }
        }
    }

    fn of(file: File, direct: OnceLock<Option<File>>, path: &Path, health: Arc<Health>) -> Self {
        // Readers say themselves how much they need. An advice that is refused only costs speed.
        let _advice = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random);
        let unread = health.unread.of(path).unwrap_or_default();
        let (path, poisoned) = (path.to_owned(), AtomicBool::new(false));
        Self { file, direct, path, poisoned, unread, health }
    }

    /// Whoever opens this file from now on knows what is unread of it.
    pub(crate) fn share_unread(&self) {
        self.health.unread.add(&self.path, Arc::clone(&self.unread));
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn length_bytes(&self) -> Result<u64, DriveError> {
        Ok(self.file.metadata().map_err(|e| DriveError::io("inspecting", &self.path, e))?.len())
    }

    /// Reads up to `length_bytes` at `offset`; fewer come back only at the end of the file. Short reads that the page
    /// cache has are done in place; all others on the blocking pool, so that a slow drive never holds up the runtime.
    ///
    /// # Errors
    /// When the drive fails, or does not answer within 5 seconds (and for a while after that at once).
    pub async fn read(self: &Arc<Self>, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError> {
        if length_bytes >= LONG_READ_BYTES && !self.health.avoid_reads() {
            self.check_readable(offset, length_bytes)?;
            // Taken here and not on the thread that reads: what many threads of a pool allocate, and others free, the allocator
            // keeps for each of them.
            let buffer = long_buffer(length_bytes);
            let run = move |shard: &Self| shard.read_long(offset, length_bytes, buffer);
            return self.read_apart((offset, length_bytes), PATIENCE, run).await;
        }
        let mut buffer = vec![0_u8; length_bytes];
        if read_cached(&self.file, &mut buffer, offset) == length_bytes {
            return Ok(Bytes::from(buffer));
        }
        self.check_readable(offset, length_bytes)?;
        self.read_apart((offset, length_bytes), PATIENCE, move |shard| {
            shard.fetch_unread(offset);
            let filled = read_full(&shard.file, &mut buffer, offset)?;
            buffer.truncate(filled);
            Ok(Bytes::from(buffer))
        })
        .await
    }

    /// Fails if a page of these bytes is known to be one that the drive cannot read, and takes long to say so.
    fn check_readable(&self, offset: u64, length_bytes: usize) -> Result<(), DriveError> {
        let span = (offset, offset.saturating_add(length_bytes as u64));
        let known = self.health.bad_pages.error_within(&self.path, &self.file, span, Instant::now());
        known.map_or(Ok(()), |error| Err(DriveError::io("reading, as before,", &self.path, error)))
    }

    async fn read_apart(
        self: &Arc<Self>,
        (offset, length_bytes): (u64, usize),
        patience: Patience,
        run: impl FnOnce(&Self) -> std::io::Result<Bytes> + Send + 'static,
    ) -> Result<Bytes, DriveError> {
        let stalled = || DriveError::Stalled { path: self.path.clone() };
        if self.health.avoid_reads() {
            return Err(stalled());
        }
        let (shard, began) = (Arc::clone(self), Instant::now());
        let read = tokio::task::spawn_blocking(move || {
            let done = run(&shard);
            match &done {
                Ok(bytes) => shard.found_well(offset, bytes.len()),
                // Nobody is told any more.
                Err(error) if is_of_sector(error) && began.elapsed() >= patience.read => {
                    shard.look_for_bad_page(offset, length_bytes, patience);
                }
                Err(_) => {}
            }
            done.map_err(|error| DriveError::io("reading", &shard.path, error))
        });
        if let Ok(done) = tokio::time::timeout(patience.read, read).await {
            return done.map_err(|_| stalled())?;
        }
        self.health.read_stalled();
        Err(stalled())
    }

    /// Notes the first of these pages that cannot be read this time either, past the page cache where that can be. Blocks.
    fn look_for_bad_page(&self, offset: u64, length_bytes: usize, patience: Patience) {
        let Some(_turn) = self.health.bad_pages.turn() else { return };
        let direct = self.direct.get_or_init(|| self.open_direct_again()).as_ref();
        let mut page = aligned_buffer(PAGE_LENGTH_BYTES);
        page.resize(PAGE_LENGTH_BYTES, 0);
        let first = offset - offset % PAGE_LENGTH_BYTES as u64;
        let pages = (first..offset.saturating_add(length_bytes as u64)).step_by(PAGE_LENGTH_BYTES);
        let mut read = |at| match direct.map(|direct| direct.read_at(&mut page, at)) {
            // The file system takes the flag and then wants more than a page's alignment.
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidInput => {
                self.file.read_at(&mut page, at)
            }
            Some(done) => done,
            None => self.file.read_at(&mut page, at),
        };
        let bad = first_bad_page(pages, |at| read(at).map(drop), patience.again);
        let Some((offset, errno)) = bad else { return };
        let is_well = read(patience.witness).is_ok_and(|length| length > 0);
        if is_well && let Ok(metadata) = self.file.metadata() {
            let page = BadPage { path: self.path.clone(), inode: metadata.ino(), offset, errno };
            self.health.bad_pages.note(page, Instant::now());
        }
    }

    /// Has the kernel fetch what was written around `offset` and not read yet, without waiting for it.
    fn fetch_unread(&self, offset: u64) {
        let Some((from, length_bytes)) = self.unread.take(offset) else { return };
        // An advice that is refused only costs speed.
        let _advice = rustix::fs::fadvise(&self.file, from, Some(length_bytes), rustix::fs::Advice::WillNeed);
    }

    fn read_long(&self, offset: u64, length_bytes: usize, buffer: BytesMut) -> std::io::Result<Bytes> {
        let direct = self.direct.get_or_init(|| self.open_direct_again());
        read_long(&self.file, direct.as_ref(), (offset, length_bytes), buffer)
    }

    /// By path, but only if the path still is this file: healing may have put another in its place.
    fn open_direct_again(&self) -> Option<File> {
        let direct = open_direct(&self.path)?;
        let (ours, theirs) = (self.file.metadata().ok()?, direct.metadata().ok()?);
        ((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())).then_some(direct)
    }

    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8], cache: Cache) -> Result<(), DriveError> {
        self.guarded("writing", || match cache {
            Cache::Keep => self.file.write_all_at(bytes, offset),
            Cache::Bypass => self.write_past_the_cache(offset, bytes),
        })?;
        if cache == Cache::Bypass {
            self.unread.wrote(offset, bytes.len() as u64);
        }
        self.found_well(offset, bytes.len());
        Ok(())
    }

    /// These bytes were read, or written: a drive has another sector in the place of a bad one then.
    fn found_well(&self, offset: u64, length_bytes: usize) {
        let span = (offset, offset.saturating_add(length_bytes as u64));
        self.health.bad_pages.forget(&self.path, span);
    }

    /// Writes the whole pages of an aligned buffer directly and what is left as usual. Nobody reads these bytes before
    /// they are committed, so the cache holds no older form of them; the flush that follows covers both ways.
    fn write_past_the_cache(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let whole = bytes.len() - bytes.len() % PAGE_LENGTH_BYTES;
        let aligned = is_aligned(bytes) && offset.is_multiple_of(PAGE_LENGTH_BYTES as u64);
        let (Some(Some(direct)), true, Some((pages, rest))) =
            (self.direct.get(), aligned && whole > 0, bytes.split_at_checked(whole))
        else {
            return self.file.write_all_at(bytes, offset);
        };
        match direct.write_all_at(pages, offset) {
            // The file system takes the flag and then wants more than a page's alignment.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                self.file.write_all_at(pages, offset)?;
            }
            other => other?,
        }
        self.file.write_all_at(rest, offset + whole as u64)
    }

    /// Writes pieces that follow each other, the first at `offset`, as one if they are whole pages: a disk is given long
    /// writes rather than many.
    pub(crate) fn write_together(&self, offset: u64, pieces: &[Bytes]) -> Result<(), DriveError> {
        let are_pages = |piece: &Bytes| is_aligned(piece) && piece.len().is_multiple_of(PAGE_LENGTH_BYTES);
        let is_aligned = offset.is_multiple_of(PAGE_LENGTH_BYTES as u64) && pieces.iter().all(are_pages);
        let direct = self.direct.get().and_then(Option::as_ref).filter(|_| is_aligned && pieces.len() > 1);
        self.guarded("writing", || {
            let written = match direct {
                Some(direct) => write_vectored(direct, offset, pieces)?,
                None => 0,
            };
            let (mut at, mut skipped) = (offset, written);
            for piece in pieces {
                let rest = piece.get(skipped.min(piece.len())..).unwrap_or_default();
                skipped = skipped.saturating_sub(piece.len());
                let begin = at + (piece.len() - rest.len()) as u64;
                at += piece.len() as u64;
                if !rest.is_empty() {
                    self.write_past_the_cache(begin, rest)?;
                }
            }
            Ok(())
        })?;
        let length_bytes = pieces.iter().map(Bytes::len).sum();
        self.unread.wrote(offset, length_bytes as u64);
        self.found_well(offset, length_bytes);
        Ok(())
    }

    /// Flushes data and length to the drive.
    pub(crate) fn flush(&self) -> Result<(), DriveError> {
        self.guarded("flushing", || self.file.sync_data())
    }

    fn guarded(
        &self,
        context: &'static str,
        run: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<(), DriveError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(DriveError::Tampered {
                path: self.path.clone(),
                what: "given up after a failed write",
            });
        }
        run().map_err(|error| {
            self.poisoned.store(true, Ordering::Release);
            DriveError::io(context, &self.path, error)
        })
    }

    /// Fails if the file was removed, or cut to less than `length_bytes`. A write to a removed file succeeds and
    /// is lost, so this is asked around every append.
    pub(crate) fn check_intact(&self, length_bytes: u64) -> Result<(), DriveError> {
        let metadata = self.file.metadata().map_err(|e| DriveError::io("inspecting", &self.path, e))?;
        let tampered = |what| Err(DriveError::Tampered { path: self.path.clone(), what });
        if metadata.nlink() == 0 {
            return tampered("removed");
        }
        if metadata.len() < length_bytes {
            return tampered("cut short");
        }
        Ok(())
    }

    /// Cuts what lies at and after `length_bytes` and flushes.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn truncate(&self, length_bytes: u64) -> Result<(), DriveError> {
        self.file.set_len(length_bytes).map_err(|e| DriveError::io("truncating", &self.path, e))?;
        self.health.bad_pages.forget(&self.path, (length_bytes, u64::MAX));
        self.file.sync_all().map_err(|e| DriveError::io("flushing", &self.path, e))
    }
}

/// Writes as much as the kernel takes at once. What it does not is left to the caller, also if it wants another alignment.
fn write_vectored(direct: &File, offset: u64, pieces: &[Bytes]) -> std::io::Result<usize> {
    let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    match rustix::io::pwritev(direct, &slices, offset) {
        Ok(written) => Ok(written - written % PAGE_LENGTH_BYTES),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
