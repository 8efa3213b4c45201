//! Warm copies: a second place, on SSDs, of versions whose own place is on disks; and how often such versions are read.

use granary_types::{BucketId, ObjectKey, UnixMillis, VersionId, VolumeId, WriteId};
use serde::{Deserialize, Serialize};

use super::commit::Outcome;
use super::object::{Extent, PackedLocation};

/// Where the bytes of a warm copy are. They are the same as those of the version's own place, and hashed as those are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarmPlace {
    /// Of a packed object.
    Packed(PackedLocation),
    /// Of a large object: the extents of each of its parts, in their order.
    Parts(Vec<Vec<Extent>>),
}

impl WarmPlace {
    /// How many bytes it holds.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.live().map(|(_, length_bytes)| length_bytes).sum()
    }

    /// What of it lives in which volume.
    pub(crate) fn live(&self) -> impl Iterator<Item = (VolumeId, u64)> {
        let (packed, parts) = match self {
            Self::Packed(at) => (Some((at.volume, u64::from(at.length_bytes))), &[][..]),
            Self::Parts(parts) => (None, parts.as_slice()),
        };
        packed.into_iter().chain(live_in(parts.iter().flatten()))
    }
}

fn live_in<'e>(extents: impl Iterator<Item = &'e Extent>) -> impl Iterator<Item = (VolumeId, u64)> {
    extents.map(|extent| (extent.volume, extent.length_bytes))
}

/// What a version has a warm copy for, or wants one for. Each version has one kind at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WarmKind {
    /// None: it was read lately, and no more.
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
    /// When it was read last; of [`WarmKind::Restored`], when that ends; of what is wanted, since when.
    pub at: UnixMillis,
    /// The copy, if there is one. What is wanted may have one from before.
    pub place: Option<WarmPlace>,
    /// How often it is read.
    pub heat: Heat,
    /// Of what is wanted: for how many days, from when the copy is there.
    pub days: u32,
}

impl WarmRow {
    /// How many bytes its copy holds.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.place.as_ref().map_or(0, WarmPlace::length_bytes)
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

/// Change how warm a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmChange {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// How.
    pub step: WarmStep,
}

/// What becomes of the row of a version. Whatever adds to it needs the version, as [`super::Tagging`] does; what does not fit
/// the row there is has the outcome [`Outcome::Moved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarmStep {
    /// The version was read so often; the last time at `at`.
    Read {
        /// How often.
        reads: u32,
        /// When.
        at: UnixMillis,
        /// See [`Heat`].
        half_life_ms: u64,
    },
    /// A copy is wanted for a restore. Of two that are wanted the more urgent one stands.
    Want {
        /// How urgently.
        kind: WarmKind,
        /// Since when.
        at: UnixMillis,
        /// For how many days.
        days: u32,
    },
    /// The copy is made, if there is none. What is wanted becomes [`WarmKind::Restored`] and nothing else.
    Place {
        /// Where it is.
        place: WarmPlace,
        /// What for.
        kind: WarmKind,
        /// As in [`WarmRow::at`].
        at: UnixMillis,
    },
    /// The copy that is there is there for something else.
    Keep {
        /// What it must be there for now.
        from: WarmKind,
        /// What for from now on.
        kind: WarmKind,
        /// As in [`WarmRow::at`].
        at: UnixMillis,
    },
    /// A packed copy lies elsewhere, if it still lies at `from`.
    MovePacked {
        /// Where it must be.
        from: PackedLocation,
        /// Where it is from now on.
        to: PackedLocation,
    },
    /// A part of a large copy lies elsewhere, if it still lies at `from`.
    MovePart {
        /// Which, from 0.
        index: u32,
        /// Where it must be.
        from: Vec<Extent>,
        /// Where it is from now on.
        to: Vec<Extent>,
    },
    /// The row goes, and the copy with it, if it is as it was looked at.
    Drop {
        /// What it must be there for.
        kind: WarmKind,
        /// As in [`WarmRow::at`].
        at: UnixMillis,
    },
}

impl WarmStep {
    /// Whether it is for versions only that are there.
    pub(crate) fn needs_version(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Want { .. } | Self::Place { .. } | Self::Keep { .. } => true,
            Self::MovePacked { .. } | Self::MovePart { .. } | Self::Drop { .. } => false,
        }
    }

    /// The packed place that it makes.
    pub(crate) fn packed(&self) -> Option<&PackedLocation> {
        match self {
            Self::Place { place: WarmPlace::Packed(at), .. } | Self::MovePacked { to: at, .. } => Some(at),
            _ => None,
        }
    }

    /// The extents that it makes.
    pub(crate) fn extents(&self) -> impl Iterator<Item = &Extent> {
        let (parts, moved) = match self {
            Self::Place { place: WarmPlace::Parts(parts), .. } => (parts.as_slice(), &[][..]),
            Self::MovePart { to, .. } => (&[][..], to.as_slice()),
            _ => (&[][..], &[][..]),
        };
        parts.iter().flatten().chain(moved)
    }
}

/// A row after a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Warmed {
    /// `None` if it goes.
    pub(crate) row: Option<WarmRow>,
    /// What lives in which volume from now on.
    pub(crate) added: Vec<(VolumeId, u64)>,
    /// What is garbage from now on.
    pub(crate) dropped: Vec<(VolumeId, u64)>,
}

/// Applies a step to the row of a version that is there, as far as the step needs that.
///
/// # Errors
/// [`Outcome::Moved`] if the row is not what the step is for.
pub(crate) fn warmed(row: Option<WarmRow>, change: &WarmChange) -> Result<Warmed, Outcome> {
    let read = || WarmRow {
        version: change.version,
        kind: WarmKind::Read,
        at: UnixMillis(0),
        place: None,
        heat: Heat::default(),
        days: 0,
    };
    match &change.step {
        WarmStep::Read { reads, at, half_life_ms } => {
            let mut row = row.unwrap_or_else(read);
            row.heat = row.heat.read(*reads, *at, *half_life_ms);
            if row.kind != WarmKind::Restored && !row.kind.is_wanted() {
                row.at = row.at.max(*at);
            }
            Ok(Warmed { row: Some(row), ..Warmed::default() })
        }
        WarmStep::Want { kind, at, days } => {
            let row = row.unwrap_or_else(read);
            if !kind.is_wanted() || (row.kind.is_wanted() && row.kind >= *kind) {
                return Err(Outcome::Moved);
            }
            let row = WarmRow { kind: *kind, at: *at, days: *days, ..row };
            Ok(Warmed { row: Some(row), ..Warmed::default() })
        }
        WarmStep::Place { place, kind, at } => {
            let row = row.unwrap_or_else(read);
            let fits = !row.kind.is_wanted() || *kind == WarmKind::Restored;
            if row.place.is_some() || !fits || kind.is_wanted() {
                return Err(Outcome::Moved);
            }
            let added = place.live().collect();
            let row = WarmRow { kind: *kind, at: *at, place: Some(place.clone()), days: 0, ..row };
            Ok(Warmed { row: Some(row), added, dropped: Vec::new() })
        }
        WarmStep::Keep { from, kind, at } => {
            let row = row.filter(|row| row.place.is_some() && row.kind == *from && !kind.is_wanted());
            let row = row.ok_or(Outcome::Moved)?;
            let row = WarmRow { kind: *kind, at: *at, days: 0, ..row };
            Ok(Warmed { row: Some(row), ..Warmed::default() })
        }
        WarmStep::MovePacked { .. } | WarmStep::MovePart { .. } => {
            moved(row.ok_or(Outcome::Moved)?, &change.step)
        }
        WarmStep::Drop { kind, at } => {
            let row = row.filter(|row| row.kind == *kind && row.at == *at).ok_or(Outcome::Moved)?;
            let dropped = row.place.iter().flat_map(WarmPlace::live).collect();
            Ok(Warmed { row: None, added: Vec::new(), dropped })
        }
    }
}

/// Applies a step that moves a copy.
fn moved(mut row: WarmRow, step: &WarmStep) -> Result<Warmed, Outcome> {
    let (added, dropped) = match (step, row.place.as_mut()) {
        (WarmStep::MovePacked { from, to }, Some(WarmPlace::Packed(at))) if at == from => {
            at.clone_from(to);
            let live = |at: &PackedLocation| vec![(at.volume, u64::from(at.length_bytes))];
            (live(to), live(from))
        }
        (WarmStep::MovePart { index, from, to }, Some(WarmPlace::Parts(parts))) => {
            let part = usize::try_from(*index).ok().and_then(|index| parts.get_mut(index));
            let part = part.filter(|part| *part == from).ok_or(Outcome::Moved)?;
            part.clone_from(to);
            (live_in(to.iter()).collect(), live_in(from.iter()).collect())
        }
        _ => return Err(Outcome::Moved),
    };
    Ok(Warmed { row: Some(row), added, dropped })
}

#[cfg(test)]
#[path = "warm_tests.rs"]
mod tests;
