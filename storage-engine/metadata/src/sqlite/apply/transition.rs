//! Another storage class for a version.

use granary_types::{BucketId, ObjectKey, VersionId};

use super::Batch;
use super::blobs::load_extents;
use super::objects::{REPLACE_CURRENT, REPLACE_VERSION, load_current, load_older, store};
use super::side::{Beside, drop_beside};
use crate::model::{ObjectRow, Outcome, PackedLocation, Transition};
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

    pub(super) fn transition_object(&mut self, transition: &Transition) -> Result<Outcome, Failure> {
        let (bucket, key) = (transition.bucket, &transition.key);
        let Some((statement, mut stored)) = self.version(bucket, key, transition.version)? else {
            return Ok(Outcome::Moved);
        };
        for moved in &transition.moves {
            if load_extents(self.connection, moved.blob)?.as_ref() != Some(&moved.from) {
                return Ok(Outcome::Moved);
            }
        }
        let left = match retier(&mut stored.row, transition) {
            Ok(left) => left,
            Err(outcome) => return Ok(outcome),
        };
        let row = &stored.row;
        let columns = ObjectColumns::new(bucket, key, &row.object, (row.order, stored.top_order), row.lock)?;
        store(self.connection, statement, bucket, key, &columns)?;
        if let Some((from, to)) = left.zip(transition.place.as_ref()) {
            self.add_live(to.volume, u64::from(to.length_bytes))?;
            self.drop_live(from.volume, u64::from(from.length_bytes))?;
        }
        for moved in &transition.moves {
            self.move_blob(moved)?;
        }
        if transition.from.is_archive() {
            drop_beside(self.connection, Beside::Restore, (bucket, key, transition.write))?;
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }
}
