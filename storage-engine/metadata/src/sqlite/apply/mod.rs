//! The state machine: one operation at a time against the tables, inside the writer's transaction.
//!
//! Nothing here knows the time or draws a random number, so a log of operations replayed on a copy gives the same
//! rows. An operation decides everything that can refuse it before it touches a row; therefore the operations of a
//! batch need no savepoints, and a refused one disturbs no neighbour. What fails later is the file or a rotten row,
//! and then the writer rolls the whole batch back.

pub(crate) mod blobs;
mod buckets;
pub(crate) mod commit;
mod events;
mod identities;
mod import;
mod locks;
pub(crate) mod objects;
mod recount;
mod rename;
pub(crate) mod side;
pub(crate) mod transition;
pub(crate) mod uploads;
mod usage;
mod volumes;
mod warm;

use std::collections::{BTreeMap, HashMap};

use granary_types::{BucketId, DriveClass, VolumeId};
use rusqlite::Connection;

use super::failure::Failure;
use super::op::{Op, Reply};
use crate::model::{BucketSettings, UsageDeltas};
pub(super) use blobs::load_extents;
pub(super) use objects::{load_current, load_older};
pub(super) use uploads::{load_upload, read_part, read_upload};
pub(super) use volumes::StoredVolume;
pub(super) use warm::load_warmth;

/// The operations of one transaction, with the volumes they touched. Dropping it forgets the cached volumes; the
/// caller rolls back.
pub(super) struct Batch<'c> {
    connection: &'c Connection,
    /// Every commit of a batch touches the same few volumes: they are read once and written once.
    volumes: BTreeMap<VolumeId, volumes::Cached>,
    /// The settings of the buckets that were looked at; `None` for those that do not exist.
    buckets: HashMap<BucketId, Option<BucketSettings>>,
    /// What the operations so far changed of what buckets hold.
    used: UsageDeltas,
}

impl<'c> Batch<'c> {
    /// A batch inside the transaction that is open on `connection`.
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, volumes: BTreeMap::new(), buckets: HashMap::new(), used: UsageDeltas::default() }
    }

    /// Applies one operation. [`Failure::Refused`] means that it changed nothing; any other failure means that the
    /// transaction must be rolled back.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Reply, Failure> {
        match op {
            Op::Commit(commit) => self.commit(commit).map(Reply::Outcomes),
            Op::CreateBucket(bucket) => self.create_bucket(&bucket.clone().into()).map(|()| Reply::Done),
            Op::CreateBucketWith(bucket) => self.create_bucket(bucket).map(|()| Reply::Done),
            Op::ChangeBucket { name, change } => self.change_bucket(name, *change).map(|()| Reply::Done),
            Op::DeleteBucket(name) => self.delete_bucket(name).map(|()| Reply::Done),
            Op::OpenVolume(volume) => self.open_volume(volume).map(|()| Reply::Done),
            Op::SealVolume(volume) => self.seal_volume(*volume).map(Reply::Sealed),
            Op::FreeVolume { volume, now } => self.free_volume(*volume, *now).map(Reply::Changed),
            Op::ForgetVolume(volume) => self.forget_volume(*volume).map(Reply::Changed),
            Op::MoveShard(shard) => self.move_shard(shard).map(Reply::Changed),
            Op::PutDrive(drive) => self.put_drive(drive, DriveClass::Untold).map(|()| Reply::Done),
            Op::PutClassedDrive(drive, class) => self.put_drive(drive, *class).map(|()| Reply::Done),
            Op::PutDocument(put) => self.put_document(put).map(Reply::Changed),
            Op::ChangeIdentities(change) => self.change_identities(change).map(Reply::Changed),
            Op::FinishEvents(places) => self.finish_events(places).map(|()| Reply::Done),
            Op::Recount => self.recount().map(Reply::Recounted),
        }
    }

    /// Writes the volumes and the usage of buckets back. The caller stores the position and commits.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush_usage()?;
        self.flush_volumes()
    }
}
