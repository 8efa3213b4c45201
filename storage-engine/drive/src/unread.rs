//! What was written past the page cache and not read since.
//!
//! A short read brings no more into the cache than it asks for: of what is old nobody knows what is read next. What was just
//! written lies beside what was written with it, and is mostly read soon if any of it is: the first read of a window of these
//! bytes brings all of it, in one request to the drive instead of one for each object. It does so once, so no byte that was
//! written is fetched more than once for it.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// About what one column holds of the objects of 32 clients that are packed together. Twice as much made no difference.
const WINDOW_BYTES: u64 = 128 * 1024;

/// A drive remembers so many files, the ones that were made last: those of volumes that are being written, and of the ones that were
/// sealed lately. Of a file of a gibibyte, that is a kilobyte.
const FILES_MAX: usize = 16;

/// What is unread in the files of a drive. Who reads a file has opened it apart from the one who writes it.
#[derive(Debug, Default)]
pub(crate) struct UnreadFiles(Mutex<VecDeque<(PathBuf, Arc<Unread>)>>);

impl UnreadFiles {
    /// Remembers a file that was made now.
    pub(crate) fn add(&self, path: &Path, unread: Arc<Unread>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES_MAX {
            files.pop_front();
        }
        files.push_back((path.to_owned(), unread));
    }

    /// What is unread of the file there. That another one has taken its place does no harm: the file is read for it once.
    pub(crate) fn of(&self, path: &Path) -> Option<Arc<Unread>> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().rev().find(|(known, _)| known == path).map(|(_, unread)| Arc::clone(unread))
    }
}

/// The windows of a shard file that nothing was read of since something was written to them past the cache.
#[derive(Debug, Default)]
pub(crate) struct Unread(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    /// A bit for each.
    bits: Vec<u64>,
    /// How far the file was written. What lies behind may be being written.
    end: u64,
}

impl Unread {
    /// Notes that these bytes were written, which is over.
    pub(crate) fn wrote(&self, offset: u64, length_bytes: u64) {
        let end = offset.saturating_add(length_bytes);
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.end = windows.end.max(end);
        for window in offset / WINDOW_BYTES..end.div_ceil(WINDOW_BYTES) {
            let Ok(word) = usize::try_from(window / 64) else { return };
            if word >= windows.bits.len() {
                windows.bits.resize(word + 1, 0);
            }
            if let Some(word) = windows.bits.get_mut(word) {
                *word |= 1 << (window % 64);
            }
        }
    }

    /// The window that `offset` lies in, its begin and its length, if nothing of it was read. It counts as read from now on.
    pub(crate) fn take(&self, offset: u64) -> Option<(u64, NonZeroU64)> {
        let window = offset / WINDOW_BYTES;
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, end) = (window * WINDOW_BYTES, windows.end);
        let word = windows.bits.get_mut(usize::try_from(window / 64).ok()?)?;
        let bit = 1 << (window % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        Some((from, NonZeroU64::new(end.saturating_sub(from).min(WINDOW_BYTES))?))
    }
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
