//! One commit: first everything that can refuse it whole, then its writes in order.

use granary_types::VolumeId;

use super::Batch;
use super::events::store_event;
use crate::error::MetadataError;
use crate::model::{
    BlobApart, Causes, Commit, EraseTerms, Extent, NewBlob, ObjectRow, Outcome, PackedLocation, TagMatch,
    Transition, VersionKind, VolumeAdvance, VolumeState, Write, WriteConditions, event_outcome,
};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Outcome>, Failure> {
        for advance in &commit.advances {
            self.check_advance(advance)?;
        }
        for write in &commit.writes {
            new_places(write, &mut |place| self.check_place(&commit.advances, place))?;
        }
        for advance in &commit.advances {
            self.advance(advance)?;
        }
        let mut causes = Causes::default();
        let mut outcomes = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            let outcome = if let Write::Event(event) = write {
                let queued = causes.queued(event);
                queued.iter().try_for_each(|event| store_event(self.connection, event))?;
                event_outcome(queued.is_some())
            } else {
                let outcome = self.write(write)?;
                causes.saw(write, &outcome);
                outcome
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn write(&mut self, write: &Write) -> Result<Outcome, Failure> {
        match write {
            Write::Put(put) => self.put_object(put),
            Write::Delete(delete) => self.delete_object(delete, &EraseTerms::strict()),
            Write::Erase(erase) => self.delete_object(&erase.delete, &erase.terms),
            Write::Expire(expire) => self.expire_object(expire),
            Write::Lock(locking) => self.lock_object(locking),
            Write::CreateUpload(upload) => self.create_upload(upload),
            Write::PutPart(part) => self.put_part(part),
            Write::CompleteUpload(complete) => self.complete_upload(complete),
            Write::AbortUpload { bucket, key, upload } => self.abort_upload(*bucket, key, *upload),
            Write::MoveObject(moved) => self.move_object(moved),
            Write::MoveBlob(moved) => self.move_blob(moved),
            Write::Tag(tagging) => self.tag_object(tagging),
            Write::Acl(change) => self.change_acl(change),
            Write::Remove(remove) => self.remove_object(remove),
            Write::Rename(rename) => self.rename_object(rename),
            // Whether it is queued depends on the writes before it.
            Write::Event(_) => Ok(event_outcome(false)),
            Write::Transition(transition) => self.transition_object(transition, &[]),
            Write::TransitionApart(apart) => self.transition_object(&apart.transition, &apart.apart),
            Write::Restore(change) => self.restore_object(change),
            Write::Warm(change) => self.warm_object(change),
            Write::ReferPart(refer) => self.refer_part(refer),
        }
    }
}

/// A place that a write's new content lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'w> {
    Packed(&'w PackedLocation),
    Extent(&'w Extent),
}

impl Place<'_> {
    pub(crate) fn volume(self) -> VolumeId {
        match self {
            Self::Packed(location) => location.volume,
            Self::Extent(extent) => extent.volume,
        }
    }

    /// The least end that the content can have in the shard files. Headers, records and padding come on top: how
    /// blocks are laid out is the engine's. Ends lie between stripes, so what lies wholly beyond one is always found.
    fn least_end(self, data_columns: u8) -> u64 {
        match self {
            Self::Packed(location) => location.offset.saturating_add(u64::from(location.length_bytes)),
            Self::Extent(extent) => {
                extent.offset.saturating_add(extent.length_bytes.div_ceil(u64::from(data_columns.max(1))))
            }
        }
    }

    /// Refuses what lies in a volume that is freed or beyond what is committed of it once `advances` are.
    pub(crate) fn check(
        self,
        (state, data_columns, committed_end): (VolumeState, u8, u64),
        advances: &[VolumeAdvance],
    ) -> Result<(), MetadataError> {
        let volume = self.volume();
        if state == VolumeState::Freed {
            return Err(MetadataError::VolumeGone(volume));
        }
        let ours = advances.iter().filter(|advance| advance.volume == volume);
        let committed_end = ours.map(|advance| advance.end).fold(committed_end, u64::max);
        let end = self.least_end(data_columns);
        if end > committed_end {
            return Err(MetadataError::BeyondEnd { volume, end, committed_end });
        }
        Ok(())
    }
}

/// Calls `visit` with each place that a write's new content lies in.
pub(crate) fn new_places<'w, E>(
    write: &'w Write,
    visit: &mut impl FnMut(Place<'w>) -> Result<(), E>,
) -> Result<(), E> {
    let mut extents = |extents: &'w [Extent]| extents.iter().map(Place::Extent).try_for_each(&mut *visit);
    let put = match write {
        Write::Put(put) => Some(&**put),
        Write::Rename(rename) => Some(&rename.put),
        _ => None,
    };
    if let Some(put) = put {
        put.blobs.iter().try_for_each(|blob: &NewBlob| extents(&blob.extents))?;
        return put.object.content.packed().map_or(Ok(()), |location| visit(Place::Packed(location)));
    }
    match write {
        Write::PutPart(part) => extents(&part.blob.extents),
        Write::MoveObject(moved) => visit(Place::Packed(&moved.to)),
        Write::MoveBlob(moved) => extents(&moved.to),
        Write::Transition(transition) => new_places_of(transition, &[], visit),
        Write::TransitionApart(apart) => new_places_of(&apart.transition, &apart.apart, visit),
        Write::Warm(change) => {
            change.step.extents().map(Place::Extent).try_for_each(&mut *visit)?;
            change.step.packed().map_or(Ok(()), |at| visit(Place::Packed(at)))
        }
        Write::Put(_)
        | Write::Rename(_)
        | Write::Delete(_)
        | Write::Remove(_)
        | Write::CreateUpload(_)
        | Write::CompleteUpload(_)
        | Write::AbortUpload { .. }
        | Write::Tag(_)
        | Write::Acl(_)
        | Write::Restore(_)
        | Write::Lock(_)
        | Write::Erase(_)
        | Write::Expire(_)
        | Write::Event(_)
        | Write::ReferPart(_) => Ok(()),
    }
}

fn new_places_of<'w, E>(
    transition: &'w Transition,
    apart: &'w [BlobApart],
    visit: &mut impl FnMut(Place<'w>) -> Result<(), E>,
) -> Result<(), E> {
    let moved = transition.moves.iter().filter(|moved| !moved.stays()).flat_map(|moved| &moved.to);
    let copied = apart.iter().flat_map(|apart| &apart.to.extents);
    moved.chain(copied).map(Place::Extent).try_for_each(&mut *visit)?;
    transition.place.as_ref().map_or(Ok(()), |place| visit(Place::Packed(place)))
}

/// What a condition makes of the current version; `None` if all hold. A delete marker is no current object.
pub(crate) fn refused(conditions: &WriteConditions, current: Option<&ObjectRow>) -> Option<Outcome> {
    let current = current.filter(|row| row.object.kind == VersionKind::Object).map(|row| &row.object);
    let matches = |tags: &TagMatch| match (tags, current) {
        (_, None) => false,
        (TagMatch::Any, Some(_)) => true,
        (TagMatch::OneOf(tags), Some(object)) => tags.contains(&object.etag),
    };
    if let Some(tags) = &conditions.if_match {
        if current.is_none() {
            return Some(Outcome::NoSuchKey);
        }
        if !matches(tags) {
            return Some(Outcome::PreconditionFailed);
        }
    }
    if conditions.if_none_match.as_ref().is_some_and(matches) {
        return Some(Outcome::PreconditionFailed);
    }
    // Deleting what is not there succeeds, so these two hold when nothing is there.
    // Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>
    let object = current?;
    let modified = conditions.if_modified_at.is_none_or(|at| at.seconds() == object.modified.seconds());
    let length = conditions.if_length_bytes.is_none_or(|length| length == object.length_bytes);
    (!modified || !length).then_some(Outcome::PreconditionFailed)
}
