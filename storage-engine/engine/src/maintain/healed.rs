//! What became of the damage of volumes, and which were healed just now.

use std::collections::HashMap;
use std::time::Instant;

use granary_types::VolumeId;

/// Volumes that were found whole are remembered, so many at most.
const RECENT_MAX: usize = 10_000;

/// Who wants a volume healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Readers, by what they reported.
    ByReports,
    /// An operator, at that time.
    Since(Instant),
}

/// What became of a volume's damage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Healed {
    pub healed: u64,
    /// Columns that no drive can take now.
    pub unplaced: u64,
    pub lost_stripes: u64,
    /// Bytes read to examine it.
    pub read_bytes: u64,
    /// Another node is at work on the volume; nothing was done.
    pub is_elsewhere: bool,
}

impl Healed {
    /// Whether nothing of it is damaged any more.
    pub(crate) fn is_whole(&self) -> bool {
        self.unplaced == 0 && self.lost_stripes == 0 && !self.is_elsewhere
    }
}

/// The volumes that were examined and healed whole, and when that began. What readers reported and what an operator asked
/// for are healed side by side, and neither reads again what the other has just read.
#[derive(Default)]
pub(crate) struct RecentHeals(HashMap<VolumeId, (Instant, Healed)>);

impl RecentHeals {
    /// What became of a volume whose examination began then or later.
    pub(super) fn since(&self, volume: VolumeId, asked: Instant) -> Option<Healed> {
        self.0.get(&volume).filter(|(began, _)| *began >= asked).map(|(_, healed)| *healed)
    }

    pub(super) fn note(&mut self, volume: VolumeId, began: Instant, healed: Healed) {
        if self.0.len() >= RECENT_MAX {
            self.0.clear();
        }
        self.0.insert(volume, (began, healed));
    }
}

#[cfg(test)]
#[path = "healed_tests.rs"]
mod tests;
