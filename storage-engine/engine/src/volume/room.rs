//! Room on drives: how much of it may be written into, and which drives have it.

use std::sync::Arc;

use granary_cluster::access::DriveAccess;
use granary_cluster::{Candidate, Redundancy, Site};
use granary_types::DriveId;

use crate::error::{EngineError, Result};

/// Room that no object data is written into: metadata must still grow on a full drive, so that deletes, compaction
/// and restarts work. A tenth of small drives, this much of large ones.
const RESERVE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A drive and its room, as last heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    pub(crate) drive: DriveId,
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

impl Space {
    pub(crate) fn of(drive: &Arc<dyn DriveAccess>) -> Self {
        let (free_bytes, total_bytes) = drive.space_bytes();
        Self { drive: drive.id(), free_bytes, total_bytes }
    }
}

/// Those of the drives that are usable which something new with this code may be placed on.
///
/// # Errors
/// [`EngineError::NoSpace`] if they are too few because some are full. Full drives are no lost drives: going on with less
/// redundancy because of them would hide the need for room.
pub(crate) fn with_room(
    usable: &[Space],
    wanted: Redundancy,
    site: impl Fn(DriveId) -> Site,
) -> Result<Vec<Candidate>> {
    let roomy = usable.iter().filter(|space| has_room(space.free_bytes, space.total_bytes));
    let candidate = |space: &Space| Candidate {
        drive: space.drive,
        free_bytes: space.free_bytes,
        site: site(space.drive),
    };
    let candidates: Vec<Candidate> = roomy.map(candidate).collect();
    let needed = (usize::from(wanted.data) + usize::from(wanted.parity)).min(usable.len());
    if candidates.len() < needed { Err(EngineError::NoSpace) } else { Ok(candidates) }
}

/// Whether object data may be written to a drive with this much room.
pub(crate) fn has_room(free_bytes: u64, total_bytes: u64) -> bool {
    room_bytes(free_bytes, total_bytes) > 0
}

/// How much object data may be written to a drive.
pub(crate) fn room_bytes(free_bytes: u64, total_bytes: u64) -> u64 {
    free_bytes.saturating_sub(RESERVE_BYTES_MAX.min(total_bytes / 10))
}
