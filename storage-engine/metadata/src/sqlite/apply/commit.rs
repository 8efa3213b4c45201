//! One commit: first everything that can refuse it whole, then its writes in order.

use granary_types::VolumeId;

use super::Batch;
use crate::model::{
    Commit, Content, EraseTerms, Extent, NewBlob, ObjectRow, Outcome, TagMatch, VersionKind, Write,
    WriteConditions,
};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Outcome>, Failure> {
        for advance in &commit.advances {
            self.check_advance(advance)?;
        }
        for write in &commit.writes {
            new_volumes(write, &mut |volume| self.check_reference(volume))?;
        }
        for advance in &commit.advances {
            self.advance(advance)?;
        }
        commit.writes.iter().map(|write| self.write(write)).collect()
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
            Write::Remove(remove) => self.remove_object(remove),
        }
    }
}

/// Calls `visit` with each volume that a write's new content lies in.
pub(crate) fn new_volumes<E>(
    write: &Write,
    visit: &mut impl FnMut(VolumeId) -> Result<(), E>,
) -> Result<(), E> {
    let mut extents = |extents: &[Extent]| extents.iter().try_for_each(|extent| visit(extent.volume));
    match write {
        Write::Put(put) => {
            put.blobs.iter().try_for_each(|blob: &NewBlob| extents(&blob.extents))?;
            match &put.object.content {
                Content::Packed(location) => visit(location.volume),
                Content::Empty | Content::Blobs { .. } => Ok(()),
            }
        }
        Write::PutPart(part) => extents(&part.blob.extents),
        Write::MoveObject(moved) => visit(moved.to.volume),
        Write::MoveBlob(moved) => extents(&moved.to),
        Write::Delete(_)
        | Write::Remove(_)
        | Write::CreateUpload(_)
        | Write::CompleteUpload(_)
        | Write::AbortUpload { .. }
        | Write::Tag(_)
        | Write::Lock(_)
        | Write::Erase(_)
        | Write::Expire(_) => Ok(()),
    }
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
