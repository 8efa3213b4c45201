//! The changes the state machine knows. What is decided by chance or by the clock (ids, times) is in the
//! operation, so that applying the same operations to the same state always gives the same state.

use granary_types::{BucketName, UnixMillis, VolumeId};
use serde::{Deserialize, Serialize};

use crate::model::{Commit, DriveRow, NewBucket, NewVolume, Outcome, SealedEnd, ShardMove};

/// One change, as it is applied and as it is logged. New variants go to the end: logs outlive releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Op {
    Commit(Commit),
    CreateBucket(NewBucket),
    DeleteBucket(BucketName),
    OpenVolume(NewVolume),
    SealVolume(VolumeId),
    FreeVolume { volume: VolumeId, now: UnixMillis },
    ForgetVolume(VolumeId),
    MoveShard(ShardMove),
    PutDrive(DriveRow),
    Recount,
}

impl Op {
    /// Roughly how much of a batch's budget the operation takes: its writes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Commit(commit) => 1 + commit.writes.len(),
            _ => 1,
        }
    }
}

/// What an applied operation answers.
#[derive(Debug)]
pub(super) enum Reply {
    Done,
    Outcomes(Vec<Outcome>),
    Sealed(SealedEnd),
    /// Whether the operation did something.
    Changed(bool),
    /// Volumes with what was counted before and what is there.
    Recounted(Vec<(VolumeId, u64, u64)>),
}
