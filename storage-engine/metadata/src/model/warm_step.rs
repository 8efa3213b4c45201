//! What becomes of the row of a warm version.

use granary_types::{BucketId, ObjectKey, UnixMillis, VersionId, VolumeId, WriteId};
use serde::{Deserialize, Serialize};

use super::commit::Outcome;
use super::object::{Extent, PackedLocation};
use super::warm::{Heat, WarmKind, WarmPlace, WarmRow, live_in};

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
    /// As [`WarmStep::AddParts`], of one part. In logs of older releases, which rewrote the row for each.
    AddPart {
        /// Which part, from 0: the last that there is something of, or the one behind it.
        index: u32,
        /// How many bytes the copy must hold.
        behind_bytes: u64,
        /// Where what is added lies.
        extents: Vec<Extent>,
        /// When.
        at: UnixMillis,
    },
    /// The copy that was begun is whole, if it holds so much. What is wanted becomes [`WarmKind::Restored`] and nothing else.
    Finish {
        /// Of how many parts.
        parts: u32,
        /// Of how many bytes.
        length_bytes: u64,
        /// What for.
        kind: WarmKind,
        /// As in [`WarmRow::at`].
        at: UnixMillis,
    },
    /// The copy of a large object grows by bytes of parts, if it holds as many as were looked at and no more. The first
    /// begins it.
    AddParts {
        /// Which part the first bytes are of, from 0: the last that there is something of, or the one behind it.
        index: u32,
        /// How many bytes the copy must hold.
        behind_bytes: u64,
        /// Where what is added lies: of that part, and of those behind it from their beginnings on.
        parts: Vec<Vec<Extent>>,
        /// When.
        at: UnixMillis,
    },
}

impl WarmStep {
    /// Whether it is for versions only that are there.
    pub(crate) fn needs_version(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Want { .. }
            | Self::Place { .. }
            | Self::Keep { .. }
            | Self::AddPart { .. }
            | Self::AddParts { .. }
            | Self::Finish { .. } => true,
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
            Self::Place { place: WarmPlace::Parts(parts), .. } | Self::AddParts { parts, .. } => {
                (parts.as_slice(), &[][..])
            }
            Self::MovePart { to: added, .. } | Self::AddPart { extents: added, .. } => {
                (&[][..], added.as_slice())
            }
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
            if row.place.is_some() || !may_become(row.kind, *kind) {
                return Err(Outcome::Moved);
            }
            let added = place.live().collect();
            let row = WarmRow { kind: *kind, at: *at, place: Some(place.clone()), days: 0, ..row };
            Ok(Warmed { row: Some(row), added, dropped: Vec::new() })
        }
        WarmStep::Keep { from, kind, at } => {
            let row = row.filter(|row| row.has_copy() && row.kind == *from && !kind.is_wanted());
            let row = row.ok_or(Outcome::Moved)?;
            let row = WarmRow { kind: *kind, at: *at, days: 0, ..row };
            Ok(Warmed { row: Some(row), ..Warmed::default() })
        }
        WarmStep::MovePacked { .. } | WarmStep::MovePart { .. } => {
            moved(row.ok_or(Outcome::Moved)?, &change.step)
        }
        WarmStep::AddPart { index, behind_bytes, extents, at } => {
            grown(row.unwrap_or_else(read), (*index, *behind_bytes), std::slice::from_ref(extents), *at)
        }
        WarmStep::AddParts { index, behind_bytes, parts, at } => {
            grown(row.unwrap_or_else(read), (*index, *behind_bytes), parts, *at)
        }
        WarmStep::Finish { parts, length_bytes, kind, at } => {
            let row = row.ok_or(Outcome::Moved)?;
            finished(row, (*parts, *length_bytes), (*kind, *at))
        }
        WarmStep::Drop { kind, at } => {
            let row = row.filter(|row| row.kind == *kind && row.at == *at).ok_or(Outcome::Moved)?;
            let dropped = row.place.iter().flat_map(WarmPlace::live).collect();
            Ok(Warmed { row: None, added: Vec::new(), dropped })
        }
    }
}

/// Whether a row of one kind may get a copy that is there for another.
fn may_become(from: WarmKind, to: WarmKind) -> bool {
    !to.is_wanted() && (!from.is_wanted() || to == WarmKind::Restored)
}

/// Adds to a copy that was begun, or begins one.
fn grown(
    mut row: WarmRow,
    (index, behind_bytes): (u32, u64),
    added: &[Vec<Extent>],
    at: UnixMillis,
) -> Result<Warmed, Outcome> {
    let (first, rest) = added.split_first().ok_or(Outcome::Moved)?;
    let mut parts = match row.place.take() {
        None => Vec::new(),
        Some(WarmPlace::Begun(parts)) => parts,
        Some(WarmPlace::Packed(_) | WarmPlace::Parts(_)) => return Err(Outcome::Moved),
    };
    let held_bytes: u64 = live_in(parts.iter().flatten()).map(|(_, length_bytes)| length_bytes).sum();
    let index = usize::try_from(index).map_err(|_| Outcome::Moved)?;
    if held_bytes != behind_bytes {
        return Err(Outcome::Moved);
    }
    // A part may be empty, but nothing is told twice.
    if index == parts.len() {
        parts.push(first.clone());
    } else {
        let is_last = index.checked_add(1) == Some(parts.len()) && !first.is_empty();
        let last = parts.last_mut().filter(|_| is_last).ok_or(Outcome::Moved)?;
        last.extend_from_slice(first);
    }
    parts.extend_from_slice(rest);
    row.place = Some(WarmPlace::Begun(parts));
    if row.kind == WarmKind::Read {
        row.at = row.at.max(at);
    }
    Ok(Warmed { row: Some(row), added: live_in(added.iter().flatten()).collect(), dropped: Vec::new() })
}

/// Makes a copy that was begun one that is read.
fn finished(
    mut row: WarmRow,
    (parts, length_bytes): (u32, u64),
    (kind, at): (WarmKind, UnixMillis),
) -> Result<Warmed, Outcome> {
    let Some(WarmPlace::Begun(found)) = row.place.take() else { return Err(Outcome::Moved) };
    let held_bytes: u64 = live_in(found.iter().flatten()).map(|(_, length_bytes)| length_bytes).sum();
    let is_whole = u32::try_from(found.len()).is_ok_and(|count| count == parts) && held_bytes == length_bytes;
    if !is_whole || !may_become(row.kind, kind) {
        return Err(Outcome::Moved);
    }
    let row = WarmRow { kind, at, place: Some(WarmPlace::Parts(found)), days: 0, ..row };
    Ok(Warmed { row: Some(row), ..Warmed::default() })
}

/// Applies a step that moves a copy.
fn moved(mut row: WarmRow, step: &WarmStep) -> Result<Warmed, Outcome> {
    let (added, dropped) = match (step, row.place.as_mut()) {
        (WarmStep::MovePacked { from, to }, Some(WarmPlace::Packed(at))) if at == from => {
            at.clone_from(to);
            let live = |at: &PackedLocation| vec![(at.volume, u64::from(at.length_bytes))];
            (live(to), live(from))
        }
        (WarmStep::MovePart { index, from, to }, Some(WarmPlace::Parts(parts) | WarmPlace::Begun(parts))) => {
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
#[path = "warm_step_tests.rs"]
mod tests;
