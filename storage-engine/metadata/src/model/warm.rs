//! Warm copies: a second place, on SSDs, of versions whose own place is on disks; and how often such versions are read.

use granary_types::{BucketId, ObjectKey, UnixMillis, VersionId, VolumeId, WriteId};
use serde::{Deserialize, Serialize};

use super::object::{Extent, PackedLocation};

/// Where the bytes of a warm copy are. They are the same as those of the version's own place, and hashed as those are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarmPlace {
    /// Of a packed object.
    Packed(PackedLocation),
    /// Of a large object: the extents of each of its parts, in their order.
    Parts(Vec<Vec<Extent>>),
    /// The beginning of such a copy: as many of the parts as are there, the last of them as far as it is. Nobody reads it; who
    /// makes the copy goes on behind it.
    Begun(Vec<Vec<Extent>>),
}

impl WarmPlace {
    /// How many bytes it holds.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.live().map(|(_, length_bytes)| length_bytes).sum()
    }

    /// What of it lives in which volume.
    pub(crate) fn live(&self) -> impl Iterator<Item = (VolumeId, u64)> {
        let packed = match self {
            Self::Packed(at) => Some((at.volume, u64::from(at.length_bytes))),
            Self::Parts(_) | Self::Begun(_) => None,
        };
        packed.into_iter().chain(live_in(self.parts().iter().flatten()))
    }

    /// The extents of the parts of a large object's copy, as far as it is there.
    #[must_use]
    pub fn parts(&self) -> &[Vec<Extent>] {
        match self {
            Self::Packed(_) => &[],
            Self::Parts(parts) | Self::Begun(parts) => parts,
        }
    }
}

pub(super) fn live_in<'e>(
    extents: impl Iterator<Item = &'e Extent>,
) -> impl Iterator<Item = (VolumeId, u64)> {
    extents.map(|extent| (extent.volume, extent.length_bytes))
}

/// What a version has a warm copy for, or wants one for. Each version has one kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WarmKind {
    /// None: it was read lately, and no more; or a copy of it was begun.
    Read,
    /// It was asked for, and goes when its room is needed.
    Prefetched,
    /// It is read often, and goes when that ends or its room is needed.
    Promoted,
    /// It stays until it is unpinned.
    Pinned,
    /// It is archived, and restored until a certain time.
    Restored,
    /// A restore was asked for and is done when nothing else waits.
    WantedBulk,
    /// A restore was asked for.
    WantedStandard,
    /// A restore was asked for and is done before the others.
    WantedExpedited,
}

impl WarmKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Prefetched,
        Self::Promoted,
        Self::Pinned,
        Self::Restored,
        Self::WantedBulk,
        Self::WantedStandard,
        Self::WantedExpedited,
    ];

    /// Whether a copy is still to be made for a restore.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        matches!(self, Self::WantedBulk | Self::WantedStandard | Self::WantedExpedited)
    }

    /// Whether the copy may go when its room is needed.
    #[must_use]
    pub fn is_evictable(self) -> bool {
        matches!(self, Self::Prefetched | Self::Promoted)
    }

    /// The number in the rows. The numbers are part of the schema.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Read => 0,
            Self::Prefetched => 1,
            Self::Promoted => 2,
            Self::Pinned => 3,
            Self::Restored => 4,
            Self::WantedBulk => 5,
            Self::WantedStandard => 6,
            Self::WantedExpedited => 7,
        }
    }

    pub(crate) fn of_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i64::from(kind.code()) == code)
    }
}

/// How often a version was read lately. A read counts less the longer it is ago: half as much after each half-life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heat {
    /// Reads, in thousandths, as they counted at the last of them.
    pub milli_reads: u64,
    /// When the last was; 0 if there was none.
    pub at_ms: i64,
}

impl Heat {
    /// What the reads count for at `now`, in thousandths. Between two half-lives they fade evenly; only whole numbers are
    /// reckoned with, so that every store gets the same.
    #[must_use]
    pub fn at(self, now: UnixMillis, half_life_ms: u64) -> u64 {
        let age_ms = u64::try_from(now.0.saturating_sub(self.at_ms)).unwrap_or(0);
        let half_life_ms = half_life_ms.max(1);
        let halved = u32::try_from(age_ms / half_life_ms).ok().and_then(|n| self.milli_reads.checked_shr(n));
        let halved = u128::from(halved.unwrap_or(0));
        let (rest_ms, twice_ms) = (u128::from(age_ms % half_life_ms), u128::from(half_life_ms) * 2);
        u64::try_from(halved * (twice_ms - rest_ms) / twice_ms).unwrap_or(u64::MAX)
    }

    /// With so many reads more, the last of them at `now`.
    #[must_use]
    pub fn read(self, reads: u32, now: UnixMillis, half_life_ms: u64) -> Self {
        let milli_reads = self.at(now, half_life_ms).saturating_add(u64::from(reads).saturating_mul(1_000));
        Self { milli_reads, at_ms: self.at_ms.max(now.0) }
    }
}

/// How warm a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmRow {
    /// The version that the row's write made.
    pub version: VersionId,
    /// What its copy is there for.
    pub kind: WarmKind,
    /// When it was read last, or its copy grew; of [`WarmKind::Restored`], when that ends; of what is wanted, since when.
    pub at: UnixMillis,
    /// The copy, if there is one, or the beginning of one. What is wanted may have one from before.
    pub place: Option<WarmPlace>,
    /// How often it is read.
    pub heat: Heat,
    /// Of what is wanted: for how many days, from when the copy is there.
    pub days: u32,
}

impl WarmRow {
    /// How many bytes its copy holds, or the beginning of one.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.place.as_ref().map_or(0, WarmPlace::length_bytes)
    }

    /// Whether it has a copy that is whole.
    #[must_use]
    pub fn has_copy(&self) -> bool {
        matches!(self.place, Some(WarmPlace::Packed(_) | WarmPlace::Parts(_)))
    }

    /// The parts of a copy that was begun, as far as they are there.
    #[must_use]
    pub fn begun(&self) -> Option<&[Vec<Extent>]> {
        match &self.place {
            Some(WarmPlace::Begun(parts)) => Some(parts),
            Some(WarmPlace::Packed(_) | WarmPlace::Parts(_)) | None => None,
        }
    }

    /// A restored copy whose restore ends before its time: it has expired, and is dropped and told of like others that have. `None`
    /// if it is there for something else; a restore that is only wanted is not over.
    pub(crate) fn ended(self) -> Option<Self> {
        (self.kind == WarmKind::Restored).then_some(Self { at: UnixMillis(0), ..self })
    }
}

/// A row, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmVersion {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The write that made the version.
    pub write: WriteId,
    /// How warm it is.
    pub row: WarmRow,
}

#[cfg(test)]
#[path = "warm_tests.rs"]
mod tests;
