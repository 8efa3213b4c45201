//! Pages of shard files that a drive cannot read, and says so only when nobody waits any more.
//!
//! A disk that tries for long to read a bad sector looks as if it hung: each reader gives up before the answer, and nobody is ever
//! told that it is one sector. So the thread that did get the answer looks which page it is by reading again, and only what
//! takes long and fails like that twice is noted, if the drive reads another page of the file well: one that was merely being reset
//! reads all of them by then, and one that is gone none. From then on readers of that page are told what the drive said; where nothing else has what was in it, it
//! counts for no more than if the drive had said so in time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::block::PAGE_LENGTH_BYTES;
use crate::error::is_of_sector;

/// Pages of one drive that are remembered; the oldest is forgotten for another.
const PAGES_MAX: usize = 256;
/// For how long. A volume with many bad sectors is healed in as many attempts, an hour apart in the end.
const REMEMBERED: Duration = Duration::from_hours(12);
/// How long nobody reads a page that is remembered. Then one reader does, as what nothing else has may be readable once more.
const TRIED_AFTER: Duration = Duration::from_mins(10);
/// How long none of a drive's pages is tried after one was, as each try keeps all readers of the drive waiting.
const TRIES_APART: Duration = Duration::from_mins(1);
/// How long the pages of one read are looked through.
const LOOK_MAX: Duration = Duration::from_mins(2);

/// A page that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadPage {
    pub(crate) path: PathBuf,
    /// Which file was there: another may have taken its place.
    pub(crate) inode: u64,
    pub(crate) offset: u64,
    /// What the drive said.
    pub(crate) errno: i32,
}

impl BadPage {
    fn is_in(&self, path: &Path, (from, to): (u64, u64)) -> bool {
        let end = self.offset.saturating_add(PAGE_LENGTH_BYTES as u64);
        self.path == path && self.offset < to && from < end
    }
}

/// A page, and when it was noted and read last.
#[derive(Debug)]
struct Known {
    noted: Instant,
    tried: Instant,
    page: BadPage,
}

/// The pages of one drive.
#[derive(Debug, Default)]
pub(crate) struct BadPages {
    /// The oldest first.
    pages: Mutex<VecDeque<Known>>,
    is_looking: AtomicBool,
}

/// The right to look for a page: one thread of a drive does at a time, as it is slow for everybody meanwhile.
pub(crate) struct Turn<'p>(&'p AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl BadPages {
    fn pages(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to look for a page, if nobody does.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        // Made only when it is there: one that is dropped gives the turn of whoever has it away.
        (!self.is_looking.swap(true, Ordering::AcqRel)).then(|| Turn(&self.is_looking))
    }

    pub(crate) fn note(&self, page: BadPage, now: Instant) {
        let mut pages = self.pages();
        pages.retain(|Known { page: known, .. }| {
            (&known.path, known.inode, known.offset) != (&page.path, page.inode, page.offset)
        });
        if pages.len() >= PAGES_MAX {
            pages.pop_front();
        }
        pages.push_back(Known { noted: now, tried: now, page });
    }

    /// What the drive said of a page that a read between two places of the file needs. `None` as well if it is this read that
    /// tries it again; whoever reads well tells it by [`BadPages::forget`].
    pub(crate) fn error_within(
        &self,
        path: &Path,
        file: &File,
        span: (u64, u64),
        now: Instant,
    ) -> Option<io::Error> {
        {
            let mut pages = self.pages();
            while pages.front().is_some_and(|known| now.duration_since(known.noted) >= REMEMBERED) {
                pages.pop_front();
            }
            if !pages.iter().any(|known| known.page.is_in(path, span)) {
                return None;
            }
        }
        let inode = file.metadata().ok()?.ino();
        let mut pages = self.pages();
        let is_tired = pages.iter().any(|known| now.duration_since(known.tried) < TRIES_APART);
        let found =
            pages.iter_mut().filter(|known| known.page.inode == inode && known.page.is_in(path, span));
        let mut found: Vec<&mut Known> = found.collect();
        let errno = found.first()?.page.errno;
        let is_due = |known: &&mut Known| now.duration_since(known.tried) >= TRIED_AFTER;
        if !is_tired && found.iter().all(is_due) {
            found.iter_mut().for_each(|known| known.tried = now);
            return None;
        }
        Some(io::Error::from_raw_os_error(errno))
    }

    /// What lies between two places of a file was written anew, or read well.
    pub(crate) fn forget(&self, path: &Path, span: (u64, u64)) {
        self.pages().retain(|known| !known.page.is_in(path, span));
    }

    /// Another file is there, or none.
    pub(crate) fn forget_file(&self, path: &Path) {
        self.forget(path, (0, u64::MAX));
    }
}

/// The first page that cannot be read, and what the drive says. `None` as well if it says so in less than `slow`: readers are told
/// by the drive then.
pub(crate) fn first_bad_page(
    pages: impl Iterator<Item = u64>,
    mut read: impl FnMut(u64) -> io::Result<()>,
    slow: Duration,
) -> Option<(u64, i32)> {
    let looking = Instant::now();
    for page in pages {
        let began = Instant::now();
        if let Err(error) = read(page) {
            let is_bad = is_of_sector(&error) && began.elapsed() >= slow;
            return error.raw_os_error().filter(|_| is_bad).map(|errno| (page, errno));
        }
        if looking.elapsed() >= LOOK_MAX {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[path = "bad_pages_tests.rs"]
mod tests;
