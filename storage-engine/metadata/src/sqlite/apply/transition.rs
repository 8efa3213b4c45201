//! Another storage class for a version.

use std::collections::{HashMap, HashSet};

use granary_types::{BlobId, BucketId, ObjectKey, VersionId};

use super::Batch;
use super::blobs::{load_extents, object_referrer};
use super::objects::{REPLACE_CURRENT, REPLACE_VERSION, load_current, load_older, store};
use super::side::{Beside, drop_beside};
use crate::model::{BlobApart, Content, ObjectRow, Outcome, PackedLocation, Transition};
use crate::sqlite::codec::{ObjectColumns, StoredObject};
use crate::sqlite::failure::Failure;

/// Gives `row` the class and the place of a transition. Returns the place that it leaves, if it does.
///
/// # Errors
/// [`Outcome::Moved`] if it is not the version that was looked at.
pub(crate) fn retier(
    row: &mut ObjectRow,
    transition: &Transition,
) -> Result<Option<PackedLocation>, Outcome> {
    let object = &mut row.object;
    if object.write != transition.write || object.storage_class != transition.from {
        return Err(Outcome::Moved);
    }
    let left = match &transition.place {
        None => None,
        Some(place) => {
            let location = object.content.packed_mut().ok_or(Outcome::Moved)?;
            Some(std::mem::replace(location, place.clone()))
        }
    };
    object.storage_class = transition.to;
    Ok(left)
}

/// A part that names another blob now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) index: u32,
    pub(crate) from: BlobId,
    pub(crate) to: BlobId,
}

/// The parts of a version that are to name other blobs.
///
/// # Errors
/// [`Outcome::Moved`] if it does not name all of the blobs any more.
pub(crate) fn swaps(content: &Content, apart: &[BlobApart]) -> Result<Vec<Swap>, Outcome> {
    if apart.is_empty() {
        return Ok(Vec::new());
    }
    let copies: HashMap<BlobId, BlobId> = apart.iter().map(|apart| (apart.from, apart.to.id)).collect();
    let named = (0_u32..).zip(content.parts()).filter_map(|(index, part)| {
        let to = copies.get(&part.blob)?;
        Some(Swap { index, from: part.blob, to: *to })
    });
    let swaps: Vec<Swap> = named.collect();
    let found: HashSet<BlobId> = swaps.iter().map(|swap| swap.from).collect();
    if found.len() == copies.len() { Ok(swaps) } else { Err(Outcome::Moved) }
}

/// Lets the parts name the other blobs.
pub(crate) fn swap(content: &mut Content, swaps: &[Swap]) {
    let mut left = swaps.iter().peekable();
    for (index, part) in (0_u32..).zip(content.parts_mut()) {
        if let Some(swap) = left.next_if(|swap| swap.index == index) {
            part.blob = swap.to;
        }
    }
}

/// Whether the row of a version changes. Of what is only moved because the version has a certain class it does not, and may be long.
pub(crate) fn changes_row(transition: &Transition, apart: &[BlobApart]) -> bool {
    transition.from != transition.to || transition.place.is_some() || !apart.is_empty()
}

/// Whether a restore of an archived version ends with its transition.
pub(crate) fn ends_restore(transition: &Transition) -> bool {
    transition.from.is_archive() && transition.from != transition.to
}

/// The copies that must be there already.
pub(crate) fn copies_needed(apart: &[BlobApart]) -> impl Iterator<Item = BlobId> {
    apart.iter().filter(|apart| apart.to.extents.is_empty()).map(|apart| apart.to.id)
}

impl Batch<'_> {
    /// A version, and the statement that stores it again.
    pub(super) fn version(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: VersionId,
    ) -> Result<Option<(&'static str, StoredObject)>, Failure> {
        Ok(match load_current(self.connection, bucket, key)? {
            Some(current) if current.row.object.version == version => Some((REPLACE_CURRENT, current)),
            Some(_) => {
                let older = load_older(self.connection, bucket, key, version)?;
                older.map(|older| (REPLACE_VERSION, older))
            }
            None => None,
        })
    }

    pub(super) fn transition_object(
        &mut self,
        transition: &Transition,
        apart: &[BlobApart],
    ) -> Result<Outcome, Failure> {
        let (bucket, key) = (transition.bucket, &transition.key);
        let Some((statement, mut stored)) = self.version(bucket, key, transition.version)? else {
            return Ok(Outcome::Moved);
        };
        for moved in &transition.moves {
            if load_extents(self.connection, moved.blob)?.as_ref() != Some(&moved.from) {
                return Ok(Outcome::Moved);
            }
        }
        for copy in copies_needed(apart) {
            if !self.blob_exists(copy)? {
                return Ok(Outcome::Moved);
            }
        }
        let swaps = match swaps(&stored.row.object.content, apart) {
            Ok(swaps) => swaps,
            Err(outcome) => return Ok(outcome),
        };
        let left = match retier(&mut stored.row, transition) {
            Ok(left) => left,
            Err(outcome) => return Ok(outcome),
        };
        swap(&mut stored.row.object.content, &swaps);
        let row = &stored.row;
        if changes_row(transition, apart) {
            let order = (row.order, stored.top_order);
            let columns = ObjectColumns::new(bucket, key, &row.object, order, row.lock)?;
            store(self.connection, statement, bucket, key, &columns)?;
        }
        if let Some((from, to)) = left.zip(transition.place.as_ref()) {
            self.add_live(to.volume, u64::from(to.length_bytes))?;
            self.drop_live(from.volume, u64::from(from.length_bytes))?;
        }
        for moved in transition.moves.iter().filter(|moved| !moved.stays()) {
            self.move_blob(moved)?;
        }
        for blob in apart {
            self.add_blob(&blob.to)?;
        }
        let referrer = |index| object_referrer(bucket, key, row.order, index);
        for Swap { index, to, .. } in &swaps {
            self.add_reference(*to, &referrer(*index))?;
        }
        for Swap { index, from, .. } in &swaps {
            self.drop_reference(*from, &referrer(*index))?;
        }
        if ends_restore(transition) {
            let place = (bucket, key, transition.write);
            drop_beside(self.connection, Beside::Restore, place)?;
            self.end_restored(place)?;
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }
}
