//! What a record tells beyond the row of its object: what a rebuild of the metadata has to know.
//!
//! It follows the record (and its [`crate::record::Piece`], where there is one), and is followed by 16 bytes of their own,
//! the [`Stamp`], which the packer writes when the group is made: its order is the order of the commits. Records of
//! releases that did not tell end before it. What is moved keeps its stamp.

use std::time::Duration;

use granary_metadata::{Bucket, BucketSettings, ObjectLock, Tag, WriteConditions};
use granary_types::{BucketName, UnixMillis, WriteId};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

/// What became of a version. The order of the variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
    /// It was put.
    Put,
    /// The version of this id was deleted for good; the record's object is of no meaning but for its version.
    Erased,
    /// The write of this id was refused: a record that tells of it tells of nothing.
    Refused(WriteId),
    /// The bucket is as told; the record is of no object.
    Bucket(Box<Bucket>),
    /// The bucket was deleted; the record is of no object.
    BucketGone,
    /// The write that the record's object names has the class that the object has, from then on. Its bytes, and all else
    /// that is told of it, are where they were told, unless the object has a content: the blobs it refers to from then on
    /// instead of those that it shared with others. Releases that do not know this pass over it, or take the class alone.
    Retiered,
}

/// What a record tells beyond the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// What became of the version.
    pub deed: Deed,
    /// The name of the bucket.
    pub name: BucketName,
    /// The settings of the bucket, as far as the writer knew.
    pub settings: BucketSettings,
    /// The conditions under which the version was to be put.
    pub conditions: Option<WriteConditions>,
    /// The tags it was put with.
    pub tags: Vec<Tag>,
    /// The locks it was put with, but for the default of its bucket.
    pub lock: ObjectLock,
    /// The access control list it was put with; `None` for the default one.
    pub acl: Option<String>,
}

impl Told {
    /// Of a version that is put without conditions, tags or locks.
    pub(crate) fn put(bucket: &Bucket) -> Self {
        Self::of(bucket, Deed::Put)
    }

    /// With the conditions under which it is put.
    pub(crate) fn under(self, conditions: &WriteConditions) -> Self {
        let conditions = Some(conditions).filter(|conditions| **conditions != WriteConditions::default());
        Self { conditions: conditions.cloned(), ..self }
    }

    /// Of a deed in a bucket.
    pub(crate) fn of(bucket: &Bucket, deed: Deed) -> Self {
        Self {
            deed,
            name: bucket.name.clone(),
            settings: bucket.settings,
            conditions: None,
            tags: Vec::new(),
            lock: ObjectLock::default(),
            acl: None,
        }
    }

    /// Puts it behind a record, with room for the stamp.
    pub(crate) fn append_to(&self, record: Vec<u8>) -> Result<Vec<u8>> {
        let told = postcard::to_extend(self, record);
        let mut told = told.map_err(|_| EngineError::Internal("what a record tells cannot be encoded"))?;
        told.extend_from_slice(&Stamp::default().to_bytes());
        Ok(told)
    }

    /// Reads what follows a record: nothing, or all of it. An error if it cannot be understood.
    pub(crate) fn read(rest: &[u8]) -> Result<Option<(Self, Stamp)>, NotTold> {
        if rest.is_empty() {
            return Ok(None);
        }
        let (told, rest) = postcard::take_from_bytes::<Self>(rest).map_err(|_| NotTold)?;
        // Later releases may tell more in between.
        let stamp = rest.last_chunk::<{ Stamp::LENGTH_BYTES }>().ok_or(NotTold)?;
        Ok(Some((told, Stamp::from_bytes(*stamp))))
    }
}

/// What follows a record cannot be understood.
#[derive(Debug)]
pub(crate) struct NotTold;

/// When a record was written, in an order that within one life of a process is that of the commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Microseconds since 1970, more by one if the clock stood still or went back.
    pub at_us: u64,
    /// The life of the process that wrote it, random.
    pub life: u64,
}

impl Stamp {
    pub(crate) const LENGTH_BYTES: usize = 16;

    fn to_bytes(self) -> [u8; Self::LENGTH_BYTES] {
        let mut bytes = [0; Self::LENGTH_BYTES];
        let (at, life) = bytes.split_at_mut(8);
        at.copy_from_slice(&self.at_us.to_le_bytes());
        life.copy_from_slice(&self.life.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::LENGTH_BYTES]) -> Self {
        let word = |from: usize| {
            let mut word = [0_u8; 8];
            word.iter_mut().zip(bytes.iter().skip(from)).for_each(|(to, byte)| *to = *byte);
            u64::from_le_bytes(word)
        };
        Self { at_us: word(0), life: word(8) }
    }

    /// Writes the stamp into the room that [`Told::append_to`] left.
    pub(crate) fn write(self, record: &mut [u8]) {
        if let Some(room) = record.last_chunk_mut::<{ Self::LENGTH_BYTES }>() {
            *room = self.to_bytes();
        }
    }
}

/// How long after its record was written a write may be committed, and how far the clocks of nodes may be apart: what is
/// this much older than a backup is in it, or was deleted before.
pub(crate) const BACKUP_MARGIN: Duration = Duration::from_mins(10);

/// How far the stamps of another process may be ahead of this one's clock and be believed: more than nodes whose clocks differ as much
/// as they may for speaking with each other.
const STAMP_AHEAD_US_MAX: u64 = 120_000_000;

/// Whether a backup begun at `backup_ms` surely knows what records tell that were written until then.
pub(crate) fn is_ms_before(written: UnixMillis, backup_ms: i64) -> bool {
    let at_us = u64::try_from(written.0).unwrap_or(0).saturating_mul(1000);
    is_before(Stamp { at_us, life: 0 }, backup_ms)
}

/// Whether a backup begun at `backup_ms` surely knows what a record of this stamp tells.
pub(crate) fn is_before(stamp: Stamp, backup_ms: i64) -> bool {
    let backup_us = u64::try_from(backup_ms).unwrap_or(0).saturating_mul(1000);
    let margin_us = u64::try_from(BACKUP_MARGIN.as_micros()).unwrap_or(u64::MAX);
    stamp.at_us.saturating_add(margin_us) < backup_us
}

/// Gives the stamps of one life.
#[derive(Debug)]
pub(crate) struct Stamps {
    last: Stamp,
}

impl Stamps {
    pub(crate) fn new(life: u64) -> Self {
        Self { last: Stamp { at_us: 0, life } }
    }

    /// What was given last.
    pub(crate) fn last_us(&self) -> u64 {
        self.last.at_us
    }

    /// What is stamped elsewhere for this process comes after this: after what it gave last, and after its clock. A row is compared with a
    /// stamp by the time that it was modified (`fail_over/decide.rs`), which is this clock's.
    pub(crate) fn reached_us(&self, now_ms: i64) -> u64 {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
        self.last.at_us.max(now_us)
    }

    /// Has all that come from now on be later than what another process stamped, whose clock may be ahead: what it stamped for this one
    /// comes before what is stamped here after it. Bounded, as a stamp from elsewhere may be of no time at all.
    pub(crate) fn raise(&mut self, at_us: u64, now_ms: i64) {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
        let bound_us = now_us.saturating_add(STAMP_AHEAD_US_MAX);
        self.last.at_us = self.last.at_us.max(at_us.min(bound_us));
    }

    /// The next one.
    pub(crate) fn next(&mut self, now_ms: i64) -> Stamp {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
        self.last.at_us = self.last.at_us.saturating_add(1).max(now_us);
        self.last
    }
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
