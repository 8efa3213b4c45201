//! How a drive is, shared by everything that uses it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use std::sync::{Mutex, PoisonError};

use granary_types::DriveClass;

use crate::bad_pages::BadPages;
use crate::unread::UnreadFiles;

/// How long reads of a drive are not tried after one did not come back in time.
const READS_AVOIDED: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_mins(5);

/// The health of one drive.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    retired: AtomicBool,
    /// A lane has not answered within its deadline and not since.
    pub(crate) stuck_lanes: AtomicU64,
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    retry: Mutex<Option<(Instant, Duration)>>,
    reads_stalled: Mutex<Option<Instant>>,
    class: Mutex<DriveClass>,
    pub(crate) bad_pages: BadPages,
    pub(crate) unread: UnreadFiles,
}

impl Health {
    pub(crate) fn mark_failed(&self) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
            // A drive that fails again soon after it was taken back waits twice as long.
            let pause = retry.map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_MAX));
            *retry = Some((Instant::now() + pause, pause));
        }
    }

    /// Whether a failed drive has waited long enough to be tried again.
    pub(crate) fn may_retry(&self) -> bool {
        let retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        retry.is_none_or(|(at, _)| Instant::now() >= at)
    }

    pub(crate) fn mark_well(&self) {
        self.failed.store(false, Ordering::Release);
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.mark_failed();
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn set_space(&self, free_bytes: u64, total_bytes: u64) {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }

    pub(crate) fn space(&self) -> (u64, u64) {
        (self.free_bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn set_class(&self, class: DriveClass) {
        *self.class.lock().unwrap_or_else(PoisonError::into_inner) = class;
    }

    pub(crate) fn class(&self) -> DriveClass {
        *self.class.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read_stalled(&self) {
        *self.reads_stalled.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn avoid_reads(&self) -> bool {
        let stalled = self.reads_stalled.lock().unwrap_or_else(PoisonError::into_inner);
        stalled.is_some_and(|at| at.elapsed() < READS_AVOIDED)
    }
}
