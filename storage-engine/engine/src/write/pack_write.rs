//! What the packer commits with the place of what it packed.

use granary_metadata::{
    Content, ObjectMove, PackedLocation, PutObject, RenameObject, Transition, WarmChange, WarmPlace,
    WarmStep, Write,
};

use super::group::Committing;
use super::manifest::{Recorded, Stamping};

/// What becomes of a packed object's place.
#[derive(Debug, Clone)]
pub(crate) enum PackWrite {
    /// It is the content of a new version, which gets its tags and locks with it.
    Put(Box<PutObject>, Vec<Write>),
    /// It is the content of a version at its new key.
    Rename(Box<RenameObject>, Vec<Write>),
    /// It is the new place of a version that lies at `from`; `to` is filled in.
    Move(Box<ObjectMove>),
    /// It is the new place of a version that gets another class; filled in.
    Transition(Box<Transition>, Vec<Write>),
    /// It is the place of a warm copy, which is filled in; the writes are true with it.
    Warm(Box<WarmChange>, Vec<Write>),
    /// It is a record of what these writes make; nothing refers to its place.
    Recorded(Recorded),
}

impl PackWrite {
    /// Adds what the write makes true to the commit of its group.
    pub(super) fn at(self, location: Option<PackedLocation>, group: &mut Committing) {
        match (self, location) {
            (Self::Put(mut put, behind), Some(location)) => {
                put.object.content = Content::Packed(location).sealed_like(&put.object.content);
                group.writes.push(Write::Put(put));
                group.writes.extend(behind);
            }
            (Self::Rename(mut rename, behind), Some(location)) => {
                let content = Content::Packed(location).sealed_like(&rename.put.object.content);
                rename.put.object.content = content;
                group.writes.push(Write::Rename(rename));
                group.writes.extend(behind);
            }
            (Self::Move(mut moved), Some(location)) => {
                moved.to = location;
                group.writes.push(Write::MoveObject(moved));
            }
            (Self::Transition(mut transition, behind), Some(location)) => {
                transition.place = Some(location);
                group.writes.push(Write::Transition(transition));
                group.writes.extend(behind);
            }
            (Self::Warm(mut change, behind), Some(location)) => {
                match &mut change.step {
                    WarmStep::Place { place, .. } => *place = WarmPlace::Packed(location),
                    WarmStep::MovePacked { to, .. } => *to = location,
                    _ => {}
                }
                group.writes.push(Write::Warm(change));
                group.writes.extend(behind);
            }
            (Self::Recorded(recorded), _) => {
                group.writes.extend(recorded.writes);
                group.advances.extend(recorded.advances);
                group.volumes.extend(recorded.volumes);
            }
            // Each request has an item, and each item a place.
            (
                Self::Put(..) | Self::Rename(..) | Self::Move(_) | Self::Transition(..) | Self::Warm(..),
                None,
            ) => {}
        }
    }

    /// How many writes it commits.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Put(_, behind)
            | Self::Rename(_, behind)
            | Self::Transition(_, behind)
            | Self::Warm(_, behind) => 1 + behind.len(),
            Self::Move(_) => 1,
            Self::Recorded(recorded) => recorded.writes.len(),
        }
    }

    pub(super) fn stamping(&self) -> Stamping {
        match self {
            Self::Put(..) | Self::Rename(..) => Stamping::Now,
            Self::Move(_) | Self::Transition(..) | Self::Warm(..) => Stamping::Kept,
            Self::Recorded(recorded) => recorded.stamping,
        }
    }

    /// Whether it moves or copies what is there already, and no client waits for it.
    pub(super) fn is_upkeep(&self) -> bool {
        matches!(self, Self::Move(_) | Self::Transition(..) | Self::Warm(..))
    }

    pub(super) fn is_transition(&self) -> bool {
        matches!(self, Self::Transition(..))
    }

    /// Whether a client writes it.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Put(..) | Self::Rename(..))
    }

    pub(super) fn is_record(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }
}
