//! The changes the state machine knows. What is decided by chance or by the clock (ids, times) is in the
//! operation, so that applying the same operations to the same state always gives the same state.

use granary_types::{BucketId, BucketName, DriveClass, UnixMillis, VolumeId};
use serde::{Deserialize, Serialize};

use crate::durable::Durable;
use crate::error::{MetadataError, Result};
use crate::model::{
    BucketChange, BucketDocument, BucketSettings, Commit, DriveRow, EventPlace, IdentityChange, NewBucket,
    NewVolume, Outcome, SealedEnd, ShardMove, Write,
};

/// One change, as it is applied and as it is logged. New variants go to the end: logs outlive releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    Commit(Commit),
    /// Of logs written before buckets had settings.
    CreateBucket(PlainBucket),
    DeleteBucket(BucketName),
    OpenVolume(NewVolume),
    SealVolume(VolumeId),
    FreeVolume {
        volume: VolumeId,
        now: UnixMillis,
    },
    ForgetVolume(VolumeId),
    MoveShard(ShardMove),
    /// Of a class that nobody told, as in logs written before there were classes: the row leaves the class out.
    PutDrive(DriveRow),
    Recount,
    PutDocument(BucketDocument),
    CreateBucketWith(NewBucket),
    ChangeBucket {
        name: BucketName,
        change: BucketChange,
    },
    ChangeIdentities(IdentityChange),
    FinishEvents(Vec<EventPlace>),
    PutClassedDrive(DriveRow, DriveClass),
}

/// A bucket without settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlainBucket {
    id: BucketId,
    name: BucketName,
    created: UnixMillis,
    region: String,
    owner: String,
}

impl From<PlainBucket> for NewBucket {
    fn from(PlainBucket { id, name, created, region, owner }: PlainBucket) -> Self {
        Self { id, name, created, region, owner, settings: BucketSettings::default() }
    }
}

impl Op {
    /// Stores a drive's row and its class.
    pub(crate) fn put_drive(drive: DriveRow) -> Self {
        let class = drive.class;
        Self::PutClassedDrive(drive, class)
    }

    /// Roughly how much of a batch's budget the operation takes: its writes, and the parts they name.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.writes.iter().map(write_weight).fold(1, usize::saturating_add),
            Self::FinishEvents(places) => places.len().max(1),
            _ => 1,
        }
    }
}

/// Parts of an object or extents of a blob that weigh as much as one small write.
const PARTS_PER_WRITE: usize = 8;

fn write_weight(write: &Write) -> usize {
    let parts = match write {
        Write::Put(put) => put.object.content.parts().len(),
        // Each part gets a reference and loses one.
        Write::Rename(rename) => rename.put.object.content.parts().len().saturating_mul(2),
        Write::CompleteUpload(complete) => complete.parts.len(),
        Write::PutPart(part) => part.blob.extents.len(),
        Write::MoveBlob(moved) => moved.to.len(),
        Write::Transition(transition) => transition.moves.iter().map(|moved| moved.to.len()).sum(),
        // As many parts get a reference and lose one as blobs are copied, or more.
        Write::TransitionApart(apart) => {
            let moved = apart.transition.moves.iter().map(|moved| moved.to.len());
            moved.chain(apart.apart.iter().map(|apart| apart.to.extents.len().saturating_add(2))).sum()
        }
        Write::Warm(change) => change.step.extents().count(),
        Write::Delete(_)
        | Write::Remove(_)
        | Write::CreateUpload(_)
        | Write::AbortUpload { .. }
        | Write::MoveObject(_)
        | Write::Tag(_)
        | Write::Acl(_)
        | Write::Restore(_)
        | Write::Lock(_)
        | Write::Erase(_)
        | Write::Expire(_)
        | Write::Event(_)
        | Write::ReferPart(_) => 0,
    };
    (parts / PARTS_PER_WRITE).saturating_add(1)
}

/// What an applied operation answers.
#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Outcomes(Vec<Outcome>),
    Sealed(SealedEnd),
    /// Whether the operation did something.
    Changed(bool),
    /// Volumes with what was counted before and what is there.
    Recounted(Vec<(VolumeId, u64, u64)>),
    /// Nothing was applied, as the bytes it refers to were not durable in time. Gives it back.
    TooEarly(Box<(Op, Durable)>),
}

impl Reply {
    pub(crate) fn done(self) -> Result<()> {
        if let Self::Done = self { Ok(()) } else { Err(mismatched()) }
    }

    /// The outcomes of a commit. Where the drives took longer than other writes should wait for, it is applied again when they are
    /// done.
    pub(crate) async fn outcomes_or_again<A>(self, apply: impl FnOnce(Op) -> A) -> Result<Vec<Outcome>>
    where
        A: Future<Output = Result<Self>>,
    {
        let Self::TooEarly(early) = self else { return self.outcomes() };
        let (op, durable) = *early;
        durable.kept().await?;
        apply(op).await?.outcomes()
    }

    pub(crate) fn outcomes(self) -> Result<Vec<Outcome>> {
        if let Self::Outcomes(outcomes) = self { Ok(outcomes) } else { Err(mismatched()) }
    }

    pub(crate) fn sealed(self) -> Result<SealedEnd> {
        if let Self::Sealed(end) = self { Ok(end) } else { Err(mismatched()) }
    }

    pub(crate) fn changed(self) -> Result<bool> {
        if let Self::Changed(changed) = self { Ok(changed) } else { Err(mismatched()) }
    }

    pub(crate) fn recounted(self) -> Result<Vec<(VolumeId, u64, u64)>> {
        if let Self::Recounted(volumes) = self { Ok(volumes) } else { Err(mismatched()) }
    }
}

/// An answer of the wrong kind: a bug, told instead of panicking.
fn mismatched() -> MetadataError {
    MetadataError::Corrupt { context: "the writer answered with the wrong kind of reply".to_owned() }
}
