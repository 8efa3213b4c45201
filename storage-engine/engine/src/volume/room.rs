//! Room on drives: how much of it may be written into, and which drives have it.

use std::sync::Arc;

use granary_cluster::access::DriveAccess;
use granary_cluster::{Candidate, Redundancy, Site};
use granary_metadata::VolumeRow;
use granary_types::{DriveClass, DriveId};

use super::pool::VolumePool;
use crate::error::{EngineError, Result};
use crate::tiers::Tier;

/// Room that no new data is written into: metadata must still grow on a full drive, so that deletes, compaction
/// and restarts work. At least a tenth of small drives, and this much of others.
const RESERVE_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// The part of that which compaction leaves to the metadata.
const METADATA_PART: u64 = 4;
/// The most of a drive that is kept.
const RESERVE_PART_MAX: u64 = 10;
const VOLUMES_PER_DRIVE_MIN: u64 = 32;
const VOLUME_LIMIT_BYTES_MIN: u64 = 1024 * 1024;

/// How long the shard files of new volumes may become, on drives that are large enough. What is kept of a drive follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VolumeLimit(pub(crate) u64);

impl VolumeLimit {
    /// Where a volume ends of whose drives this is the smallest: a small drive holds several volumes, so that deleting can empty
    /// some and compacting the others does not need room for all that lives.
    pub(super) fn on(self, total_bytes: u64) -> u64 {
        self.0.min((total_bytes / VOLUMES_PER_DRIVE_MIN).max(VOLUME_LIMIT_BYTES_MIN))
    }

    /// How much object data may be written to a drive.
    pub(crate) fn room_bytes(self, free_bytes: u64, total_bytes: u64) -> u64 {
        free_bytes.saturating_sub(self.reserve_bytes(total_bytes))
    }

    /// What is kept: compaction of a volume of which all lives has to find its room there, or a drive whose volumes are all
    /// half dead would stay full.
    fn reserve_bytes(self, total_bytes: u64) -> u64 {
        let least = least_reserve_bytes(total_bytes);
        let volume = with_slack(self.on(total_bytes)).saturating_add(metadata_bytes(total_bytes));
        least.max(volume.min(total_bytes / RESERVE_PART_MAX))
    }
}

fn least_reserve_bytes(total_bytes: u64) -> u64 {
    RESERVE_BYTES_MIN.min(total_bytes / RESERVE_PART_MAX)
}

/// What compaction leaves to the metadata.
fn metadata_bytes(total_bytes: u64) -> u64 {
    least_reserve_bytes(total_bytes) / METADATA_PART
}

/// What so many live bytes take when they are written again: headers, and stripes that are not full, take some as well.
fn with_slack(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}

/// Which room on a drive may be written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// What is above the reserve.
    Free,
    /// The reserve too, but for what is the metadata's.
    Reserve,
}

impl Room {
    /// Whether a drive has such room.
    pub(crate) fn is_left(self, limit: VolumeLimit, free_bytes: u64, total_bytes: u64) -> bool {
        self.bytes(limit, free_bytes, total_bytes) > 0
    }

    fn bytes(self, limit: VolumeLimit, free_bytes: u64, total_bytes: u64) -> u64 {
        match self {
            Self::Free => limit.room_bytes(free_bytes, total_bytes),
            Self::Reserve => free_bytes.saturating_sub(metadata_bytes(total_bytes)),
        }
    }

    /// Whether as many of the drives as there are columns, or all of fewer, have more than so many bytes of it.
    fn has(self, limit: VolumeLimit, spaces: &[Space], columns: usize, each_bytes: u64) -> bool {
        let left = |space: &&Space| self.bytes(limit, space.free_bytes, space.total_bytes);
        let roomy = spaces.iter().filter(|space| left(space) > each_bytes).count();
        roomy >= columns.min(spaces.len())
    }
}

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
    (wanted, room, limit): (Redundancy, Room, VolumeLimit),
    site: impl Fn(DriveId) -> Site,
) -> Result<Vec<Candidate>> {
    let roomy = usable.iter().filter(|space| room.is_left(limit, space.free_bytes, space.total_bytes));
    let candidate = |space: &Space| Candidate {
        drive: space.drive,
        free_bytes: space.free_bytes,
        site: site(space.drive),
    };
    let candidates: Vec<Candidate> = roomy.map(candidate).collect();
    let needed = (usize::from(wanted.data) + usize::from(wanted.parity)).min(usable.len());
    if candidates.len() < needed { Err(EngineError::NoSpace) } else { Ok(candidates) }
}

impl VolumePool {
    /// Where compaction writes what belongs to a tier and lies in `victim`. On full drives only volumes in which nothing lives
    /// would ever be freed if it needed the room that clients need; what it takes of the reserve, it gives back with the victim.
    pub(crate) fn for_compacting(&self, tier: Tier, victim: &VolumeRow) -> Tier {
        let gives_back = tier == Tier::All || self.tiers.class_of(victim) == Some(self.tiers.drives_of(tier));
        // Not only when there is none: what began above the reserve would end where that begins.
        let takes_reserve = gives_back && !self.fits(victim, tier) && self.has_room_in(tier.reserve());
        // What has no room in the reserve either may still spill.
        if takes_reserve { tier.reserve() } else { tier }
    }

    /// Whether what lives in `victim` finds room. Compaction that ends half-way on full drives would have used the reserve up, and
    /// gives nothing back.
    pub(crate) fn has_room_to_compact(&self, victim: &VolumeRow) -> bool {
        // Only what lies on SSDs goes elsewhere.
        let spills = self.tiers.class_of(victim) == Some(DriveClass::Ssd)
            && self.tiers.spill(self.tiers.on(DriveClass::Ssd)).is_some();
        (spills && !self.is_full(DriveClass::Hdd))
            || self.fits(victim, self.tiers.of_unknown(victim).reserve())
    }

    /// Whether a tier has room for all that lives in `victim`.
    fn fits(&self, victim: &VolumeRow, tier: Tier) -> bool {
        let code = self.tiers.code(tier);
        let live_bytes = victim.live_bytes.saturating_add(self.records.bytes(victim.volume.id).unwrap_or(0));
        let each_bytes = live_bytes / u64::from(code.data.max(1));
        let spaces: Vec<Space> = self.usable(tier).iter().map(Space::of).collect();
        let columns = usize::from(code.data) + usize::from(code.parity);
        tier.room().has(self.limit, &spaces, columns, with_slack(each_bytes))
    }

    /// Where compaction writes a record again that was found in `victim`, and that nothing refers to.
    pub(crate) fn for_records(&self, victim: &VolumeRow) -> Tier {
        let usual = self.tiers.usual();
        if self.has_room_in(usual) {
            return usual;
        }
        self.for_compacting(self.tiers.of_unknown(victim), victim)
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
