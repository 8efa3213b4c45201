//! Reading a volume ahead of a walk: while one window is used, the next is checked and the one after it is read. None of the three
//! waits for the others' step, as long as there is one ready for it.
//!
//! So at most four windows are in memory, each of at most 8 MiB, whatever the code; checking has a thread of its own, beside
//! the one that uses what was checked.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::window::{Beyond, Checked, CheckedStripe, Outline, Window};
use crate::volume::{VolumeMap, VolumeView};

/// A volume that is read ahead. Dropped, the reading ends.
pub(super) struct Ahead {
    windows: mpsc::Receiver<Checked>,
    reading: JoinHandle<()>,
    current: Checked,
}

/// What lies at a place where a stripe may begin.
pub(super) enum Look {
    Stripe(CheckedStripe),
    /// No column has a valid header there, and all that are left were read.
    Nothing,
}

impl Ahead {
    /// Begins to read at `from`, where a stripe may begin; nothing is read from `end` on.
    pub(super) fn begin(
        map: &Arc<VolumeMap>,
        view: &Arc<VolumeView>,
        (from, end): (u64, u64),
        piece_bytes: u64,
    ) -> Self {
        let (sender, windows) = mpsc::channel(1);
        let source = Source { map: Arc::clone(map), view: Arc::clone(view), end, piece_bytes };
        let reading = tokio::spawn(source.read(from, sender));
        Self { windows, reading, current: Checked { from, to: from, ..Checked::default() } }
    }

    /// What lies at `at`, which only goes up. `None` if the columns have to be asked; then nothing more is read ahead.
    pub(super) async fn look(&mut self, at: u64) -> Option<Look> {
        if at >= self.current.to {
            let next = self.windows.recv().await?;
            if next.from != at || next.to <= at {
                return None;
            }
            self.current = next;
        }
        let begins_here = self.current.stripes.front().is_some_and(|stripe| stripe.offset == at);
        let stripe = if begins_here { self.current.stripes.pop_front() } else { None };
        Some(stripe.map_or(Look::Nothing, Look::Stripe))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

struct Source {
    map: Arc<VolumeMap>,
    view: Arc<VolumeView>,
    end: u64,
    piece_bytes: u64,
}

impl Source {
    async fn read(self, from: u64, windows: mpsc::Sender<Checked>) {
        let (sender, outlined) = mpsc::channel(1);
        tokio::join!(self.read_windows(from, sender), check_windows(outlined, windows));
    }

    /// Reads one window behind the other. There is room for one as soon as the one before it is being checked.
    async fn read_windows(&self, from: u64, outlined: mpsc::Sender<(Window, Outline)>) {
        let mut at = from;
        while let Ok(room) = outlined.reserve().await {
            let to = at.saturating_add(self.piece_bytes).min(self.end);
            let window = Window::read(&self.map, &self.view, (at, to)).await;
            let outline = window.outline();
            let goes_on = outline.beyond == Beyond::Window && outline.to < self.end;
            at = outline.to;
            room.send((window, outline));
            if !goes_on {
                return;
            }
        }
    }
}

/// Checks one window behind the other. There is room for one as soon as the one before it is in use.
async fn check_windows(mut outlined: mpsc::Receiver<(Window, Outline)>, checked: mpsc::Sender<Checked>) {
    while let Some((window, outline)) = outlined.recv().await {
        let Ok(room) = checked.reserve().await else { return };
        // Without its window, whoever walks asks the columns.
        let Ok(window) = spawn_blocking(move || window.check(outline)).await else { return };
        room.send(window);
    }
}
