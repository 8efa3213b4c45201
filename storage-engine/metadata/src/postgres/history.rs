//! Which history of the database this process is on, and what it lost when that changed.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::fail_over::{Lost, Timeline};

/// Shared by all connections of a process.
#[derive(Default)]
pub(super) struct History {
    /// 0 while none is known.
    newest: AtomicU32,
    lost: Mutex<Lost>,
}

impl History {
    /// The highest timeline that was met.
    pub(super) fn newest(&self) -> Option<Timeline> {
        Some(Timeline(self.newest.load(Ordering::Acquire))).filter(|timeline| timeline.0 > 0)
    }

    /// A connection on this timeline was made. `false` if that is an old history: its server was not told that another took
    /// its place, and what it answers or takes is nothing.
    pub(super) fn meet(&self, timeline: Option<Timeline>) -> bool {
        let Some(Timeline(timeline)) = timeline else { return true };
        let before = self.newest.fetch_max(timeline, Ordering::AcqRel);
        if before > 0 && before < timeline {
            tracing::warn!(before, timeline, "the metadata's database has failed over");
        }
        before <= timeline
    }

    /// Whether a connection on this timeline is one to an old history by now.
    pub(super) fn has_passed(&self, timeline: Option<Timeline>) -> bool {
        timeline.is_some_and(|timeline| Some(timeline) < self.newest())
    }

    pub(super) fn note_lost(&self, found: Lost) {
        let mut lost = self.lost.lock();
        lost.batches = lost.batches.saturating_add(found.batches);
        lost.changes.extend(found.changes);
    }

    pub(super) fn lost(&self) -> Lost {
        self.lost.lock().clone()
    }

    /// Takes out what was dealt with, and leaves what was found since.
    pub(super) fn finish_lost(&self, done: &Lost) {
        let mut lost = self.lost.lock();
        lost.batches = lost.batches.saturating_sub(done.batches);
        let count = done.changes.len().min(lost.changes.len());
        lost.changes.drain(..count);
    }
}
