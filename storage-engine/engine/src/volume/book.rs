//! What is known of the records in volumes that no metadata refers to.
//!
//! Records of manifests are no live bytes, but they have to be kept while they are true. A volume that was written in
//! this life of the process is known to hold so many bytes of them; of others, and of what was written long ago, that is
//! not known, and whoever wants to free or compact them looks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use granary_types::{UnixMillis, VolumeId};
use parking_lot::Mutex;

/// Records that are older may be true no more.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// Bytes of records by volume.
#[derive(Debug, Default)]
pub(crate) struct RecordBook {
    volumes: Mutex<HashMap<VolumeId, (u64, Instant)>>,
    /// Volumes of which some could not be read when all else was written again, and when that was.
    unread: Mutex<HashMap<VolumeId, UnixMillis>>,
}

impl RecordBook {
    /// A volume was opened: it holds none.
    pub(crate) fn begin(&self, volume: VolumeId) {
        self.volumes.lock().insert(volume, (0, Instant::now()));
    }

    /// Records of so many bytes were written.
    pub(crate) fn add(&self, volume: VolumeId, bytes: u64) {
        if let Some((known, written)) = self.volumes.lock().get_mut(&volume) {
            (*known, *written) = (known.saturating_add(bytes), Instant::now());
        }
    }

    /// How many bytes it holds, if that is known.
    pub(crate) fn bytes(&self, volume: VolumeId) -> Option<u64> {
        let volumes = self.volumes.lock();
        volumes.get(&volume).filter(|(_, written)| written.elapsed() < KNOWN_FOR).map(|(bytes, _)| *bytes)
    }

    /// Some of the volume cannot be read, and all else of it was written again.
    pub(crate) fn note_unread(&self, volume: VolumeId, now: UnixMillis) {
        self.unread.lock().insert(volume, now);
    }

    /// When that was noted last.
    pub(crate) fn unread(&self, volume: VolumeId) -> Option<UnixMillis> {
        self.unread.lock().get(&volume).copied()
    }

    /// All of the volume can be read.
    pub(crate) fn found_whole(&self, volume: VolumeId) {
        self.unread.lock().remove(&volume);
    }

    /// The volume is gone.
    pub(crate) fn forget(&self, volume: VolumeId) {
        self.volumes.lock().remove(&volume);
        self.found_whole(volume);
    }
}
