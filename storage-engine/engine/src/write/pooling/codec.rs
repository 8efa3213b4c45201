//! What nodes say when they hand small objects over: postcard, in the first piece of the hand-over, and the bodies as the others.
//!
//! A put is not said twice: it is read from the record that lies beside its bytes. What is read is either understood whole, or
//! nothing of it is taken.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use granary_cluster::rpc::HAND_OVER_PIECES_MAX;
use granary_metadata::{Outcome, PutObject, VersionKind, Write};
use granary_types::{Etag, StorageClass, VersionId, WriteId};
use serde::{Deserialize, Serialize};

use super::advice::Load;
use crate::error::{EngineError, Result};
use crate::record::{ObjectRecord, WholeRecord};
use crate::told::Deed;
use crate::waits::Waits;
use crate::write::group::NotStored;
use crate::write::incoming::Request;
use crate::write::pack::{Item, PACKED_LENGTH_BYTES_MAX};
use crate::write::pack_write::PackWrite;

/// What this build says. A release that says something else has another number, and takes back what is not understood.
const FORMAT: u16 = 1;
/// Objects of one hand-over; each body is a piece.
pub(super) const OBJECTS_MAX: usize = 256;
const _: () = assert!(OBJECTS_MAX < HAND_OVER_PIECES_MAX);
/// Writes behind a put: its tags, its locks, its ACL, and events. A put with more is packed where it is.
pub(in crate::write) const BEHIND_MAX: usize = 32;
/// The longest record of an object. Headers and metadata of requests are bounded to much less.
const RECORD_LENGTH_BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Lot<'a> {
    format: u16,
    load: Load,
    /// What the sender's stamps have reached: what is handed over comes after it.
    stamp_us: u64,
    #[serde(borrow)]
    objects: Vec<Handed<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Handed<'a> {
    #[serde(borrow)]
    record: &'a [u8],
    hash: [u8; 32],
    /// Its body is still to be hashed for its tag.
    is_untagged: bool,
    behind: Cow<'a, [Write]>,
}

/// A hand-over as the head takes it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) load: Load,
    pub(super) stamp_us: u64,
    pub(super) objects: Vec<TakenObject>,
}

#[derive(Debug)]
pub(super) struct TakenObject {
    pub(super) item: Item,
    pub(super) write: PackWrite,
    /// The write whose tag is still to come.
    pub(super) untagged: Option<WriteId>,
}

impl TakenObject {
    /// The class that its bytes belong to.
    pub(super) fn storage_class(&self) -> Option<StorageClass> {
        match &self.write {
            PackWrite::Put(put, _) => Some(put.object.storage_class),
            _ => None,
        }
    }
}

/// The pieces that hand requests over.
///
/// # Errors
/// [`EngineError::Internal`] if one of them is nothing to be handed over.
pub(super) fn lot<'r>(
    requests: impl Iterator<Item = &'r Request>,
    load: Load,
    stamp_us: u64,
) -> Result<Vec<Bytes>> {
    let unfit = EngineError::Internal("a request that cannot be handed over");
    let (mut objects, mut pieces) = (Vec::new(), vec![Bytes::new()]);
    for request in requests {
        let ([Item { bytes, hash, record }], PackWrite::Put(_, behind)) =
            (&request.items[..], &request.write)
        else {
            return Err(unfit);
        };
        let (hash, is_untagged, behind) = (*hash, request.room.is_some(), Cow::Borrowed(behind.as_slice()));
        objects.push(Handed { record, hash, is_untagged, behind });
        pieces.push(bytes.clone());
    }
    let said = postcard::to_stdvec(&Lot { format: FORMAT, load, stamp_us, objects });
    if let (Ok(said), Some(first)) = (said, pieces.first_mut()) {
        *first = Bytes::from(said);
        return Ok(pieces);
    }
    Err(unfit)
}

/// Reads what was handed over; `None` if it is not what it should be, or its bytes are not those that were handed over.
pub(super) fn taken(pieces: Vec<Bytes>) -> Option<Taken> {
    let mut pieces = pieces.into_iter();
    let said = pieces.next()?;
    // What another release says may not be read as this one's at all.
    postcard::take_from_bytes::<u16>(&said).ok().filter(|(format, _)| *format == FORMAT)?;
    let (Lot { load, stamp_us, objects, .. }, []) = postcard::take_from_bytes::<Lot<'_>>(&said).ok()? else {
        return None;
    };
    if objects.is_empty() || objects.len() > OBJECTS_MAX || objects.len() != pieces.len() {
        return None;
    }
    let objects = objects.into_iter().zip(pieces).map(|(handed, bytes)| object(handed, bytes));
    Some(Taken { load, stamp_us, objects: objects.collect::<Option<_>>()? })
}

fn object(handed: Handed<'_>, bytes: Bytes) -> Option<TakenObject> {
    let Handed { record, hash, is_untagged, behind } = handed;
    let length_bytes = u32::try_from(bytes.len()).ok()?;
    let is_fit = (1..=PACKED_LENGTH_BYTES_MAX).contains(&bytes.len())
        && record.len() <= RECORD_LENGTH_BYTES_MAX
        && behind.len() <= BEHIND_MAX
        && behind.iter().all(goes_behind)
        && blake3::hash(&bytes) == blake3::Hash::from(hash);
    let whole = ObjectRecord::decode_all(record, length_bytes).filter(|_| is_fit)?;
    let put = put_of(whole, u64::from(length_bytes))?;
    let untagged = is_untagged.then_some(put.object.write);
    let item = Item { bytes, hash, record: record.to_vec() };
    Some(TakenObject { item, write: PackWrite::Put(Box::new(put), behind.into_owned()), untagged })
}

/// What may go behind a put.
fn goes_behind(write: &Write) -> bool {
    matches!(write, Write::Tag(_) | Write::Lock(_) | Write::Acl(_) | Write::Event(_))
}

/// The put that a record tells of.
fn put_of(whole: WholeRecord, length_bytes: u64) -> Option<PutObject> {
    let WholeRecord { record: ObjectRecord { bucket, key, object }, told, .. } = whole;
    let (told, _) = told.filter(|(told, _)| told.deed == Deed::Put)?;
    let has_no_place = object.content == object.content.without_place();
    let is_whole = object.content.seal().is_some() || object.length_bytes == length_bytes;
    let is_put = object.kind == VersionKind::Object && has_no_place && is_whole;
    let conditions = told.conditions.unwrap_or_default();
    is_put.then_some(PutObject { bucket, key, conditions, object, blobs: Vec::new() })
}

/// What became of a put that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) fate: Fate,
    /// Its tag, if that was still to come.
    pub(super) etag: Option<Etag>,
    waits_us: (u32, u32),
}

/// The outcomes that a put can have, without what it replaced. The order of the variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    Done { order: u64 },
    Marked { version: VersionId, order: u64 },
    VersioningChanged,
    PreconditionFailed,
    NoSuchKey,
    NoSuchBucket,
    Locked,
    Moved,
}

/// The answer to a hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// What the head stamped last: what is packed after the answer came is stamped later.
    pub(super) stamp_us: u64,
    /// What the others of the pool have in flight.
    pub(super) others: Load,
    /// One for each object, in their order.
    pub(super) results: Vec<Result<Stored, NotStored>>,
}

impl Answer {
    pub(super) fn encode(&self) -> Option<Bytes> {
        postcard::to_stdvec(&(FORMAT, self)).ok().map(Bytes::from)
    }

    /// The answer about so many objects; `None` if it cannot be read as that.
    pub(super) fn decode(bytes: &[u8], objects: usize) -> Option<Self> {
        let ((format, answer), rest) = postcard::take_from_bytes::<(u16, Self)>(bytes).ok()?;
        let is_fit = format == FORMAT && rest.is_empty() && answer.results.len() == objects;
        is_fit.then_some(answer)
    }
}

impl Stored {
    /// `None` of an outcome that no put has.
    pub(super) fn new(outcome: &Outcome, etag: Option<Etag>, waits: Waits) -> Option<Self> {
        let fate = match *outcome {
            Outcome::Done { order, .. } => Fate::Done { order },
            Outcome::Marked { version, order } => Fate::Marked { version, order },
            Outcome::VersioningChanged => Fate::VersioningChanged,
            Outcome::PreconditionFailed => Fate::PreconditionFailed,
            Outcome::NoSuchKey => Fate::NoSuchKey,
            Outcome::NoSuchBucket => Fate::NoSuchBucket,
            Outcome::Locked => Fate::Locked,
            Outcome::Moved => Fate::Moved,
            Outcome::NoSuchUpload | Outcome::InvalidPart(_) => return None,
        };
        let micros = |waited: Duration| u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
        Some(Self { fate, etag, waits_us: (micros(waits.flush), micros(waits.metadata)) })
    }

    pub(super) fn waits(&self) -> Waits {
        let (flush, metadata) = self.waits_us;
        let waited = |micros| Duration::from_micros(u64::from(micros));
        Waits { flush: waited(flush), metadata: waited(metadata) }
    }
}

impl From<Fate> for Outcome {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Done { order } => Self::Done { replaced: None, order },
            Fate::Marked { version, order } => Self::Marked { version, order },
            Fate::VersioningChanged => Self::VersioningChanged,
            Fate::PreconditionFailed => Self::PreconditionFailed,
            Fate::NoSuchKey => Self::NoSuchKey,
            Fate::NoSuchBucket => Self::NoSuchBucket,
            Fate::Locked => Self::Locked,
            Fate::Moved => Self::Moved,
        }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
