//! The MD5s of the small bodies of a group, hashed together.
//!
//! MD5 is the dearest pass over a small object too, and many at once cost hardly more than one (see [`granary_simd::md5`]).
//! Requests do not come at once, but they wait for each other in the packer: so a body whose tag nobody needs before is
//! hashed when its group is made. Its record, encoded before, has room for the tag.

use bytes::Bytes;
use granary_simd::md5::{Kernel, Lane, Md5};
use granary_types::{Etag, WriteId};
use tokio::sync::oneshot;

use crate::error::{EngineError, Result};

/// An MD5 in hexadecimal.
const TAG_BYTES: usize = 32;

/// What stands for the tag of an object until its body is hashed: as long, and nowhere else in the record of that write.
pub(crate) fn placeholder(write: WriteId) -> Etag {
    Etag::new(hex::encode(write.as_bytes()))
}

/// Where the tag of an object goes once it is known.
pub(super) struct EtagRoom {
    at: usize,
    tell: oneshot::Sender<Etag>,
}

impl EtagRoom {
    fn find(record: &[u8], write: WriteId) -> Result<(Self, oneshot::Receiver<Etag>)> {
        let placeholder = placeholder(write);
        let at = record.windows(TAG_BYTES).position(|window| window == placeholder.as_str().as_bytes());
        let at = at.ok_or(EngineError::Internal("a record without room for its tag"))?;
        let (tell, told) = oneshot::channel();
        Ok((Self { at, tell }, told))
    }

    /// Tells the tag, which was written to a copy of the record.
    pub(super) fn tell(self, etag: Etag) {
        // Whoever asked may have gone.
        let _gone = self.tell.send(etag);
    }
}

/// The record of an object, complete or with room for its tag.
pub(crate) struct Draft {
    pub(super) record: Vec<u8>,
    pub(super) room: Option<EtagRoom>,
}

impl From<Vec<u8>> for Draft {
    fn from(record: Vec<u8>) -> Self {
        Self { record, room: None }
    }
}

impl Draft {
    /// A record that holds the placeholder of `write`; the tag is told to the receiver.
    ///
    /// # Errors
    /// [`EngineError::Internal`] if it does not.
    pub(crate) fn untagged(record: Vec<u8>, write: WriteId) -> Result<(Self, oneshot::Receiver<Etag>)> {
        let (room, told) = EtagRoom::find(&record, write)?;
        Ok((Self { record, room: Some(room) }, told))
    }
}

/// An object whose tag is still to come.
pub(super) struct Untagged<'a> {
    pub(super) bytes: &'a Bytes,
    pub(super) record: &'a mut Vec<u8>,
    pub(super) etag: &'a mut Etag,
    pub(super) room: EtagRoom,
}

/// Hashes the bodies and tells their tags.
pub(super) fn tag(kernel: Kernel, mut group: Vec<Untagged<'_>>) {
    // Lanes of like lengths end together.
    group.sort_by_key(|untagged| untagged.bytes.len());
    let mut hashes = vec![Md5::default(); group.len()];
    let pieces: Vec<[&[u8]; 1]> = group.iter().map(|untagged| [untagged.bytes.as_ref()]).collect();
    let lanes = hashes.iter_mut().zip(&pieces).map(|(md5, pieces)| Lane { md5, pieces });
    kernel.update(&mut lanes.collect::<Vec<_>>());
    for (Untagged { record, etag, room, .. }, md5) in group.into_iter().zip(hashes) {
        let hex = hex::encode(md5.finish());
        if let Some(place) = record.get_mut(room.at..room.at + TAG_BYTES) {
            place.copy_from_slice(hex.as_bytes());
        }
        *etag = Etag::new(hex);
        room.tell(etag.clone());
    }
}

#[cfg(test)]
#[path = "etags_tests.rs"]
mod tests;
