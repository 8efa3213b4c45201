//! What is said between nodes. Control messages are postcard behind the version of the protocol.

use bytes::Bytes;
use granary_drive::{BackupName, Cache, Flush, ShardName};
use granary_types::{ClusterId, DriveId, NodeId, VolumeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits::{HAND_OVER_LENGTH_BYTES_MAX, HAND_OVER_PIECES_MAX};
use super::wire_error::WireError;
use crate::access::LaneKind;

/// The version that this build speaks. A later one must answer it too, so that nodes roll one by one.
pub(super) const VERSION: u16 = 1;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub(super) struct $name(pub(super) [u8; 16]);

        impl $name {
            pub(super) fn random() -> std::io::Result<Self> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
                Ok(Self(bytes))
            }
        }
    };
}

random_id!(
    /// One life of a process.
    LifeId);
random_id!(
    /// One connection.
    SessionId);

impl LifeId {
    /// Whoever listens: the question is who that is.
    pub(super) const ANY: Self = Self([0; 16]);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Hello,
    Create,
    Open,
    Read,
    Append,
    Remove,
    CreateReplacement,
    WriteReplacement,
    InstallReplacement,
    Close,
    CreateBackup,
    ListBackups,
    RemoveBackups,
    HandOver,
}

impl Operation {
    pub(super) const ALL: [Self; 14] = [
        Self::Hello,
        Self::Create,
        Self::Open,
        Self::Read,
        Self::Append,
        Self::Remove,
        Self::CreateReplacement,
        Self::WriteReplacement,
        Self::InstallReplacement,
        Self::Close,
        Self::CreateBackup,
        Self::ListBackups,
        Self::RemoveBackups,
        Self::HandOver,
    ];

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Hello => "/granary/hello",
            Self::Create => "/granary/shard/create",
            Self::Open => "/granary/shard/open",
            Self::Read => "/granary/shard/read",
            Self::Append => "/granary/append",
            Self::Remove => "/granary/shard/remove",
            Self::CreateReplacement => "/granary/replacement/create",
            Self::WriteReplacement => "/granary/replacement/write",
            Self::InstallReplacement => "/granary/replacement/install",
            Self::Close => "/granary/close",
            Self::CreateBackup => "/granary/backup/create",
            Self::ListBackups => "/granary/backup/list",
            Self::RemoveBackups => "/granary/backup/remove",
            Self::HandOver => "/granary/pack",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }

    /// Whether bytes follow the control message.
    pub(super) const fn carries_bulk(self) -> bool {
        matches!(self, Self::Append | Self::WriteReplacement | Self::HandOver)
    }
}

/// A shard of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct OnShard {
    pub(super) drive: DriveId,
    volume: VolumeId,
    column: u8,
    pub(super) profile: (u8, u8),
}

impl OnShard {
    pub(super) fn new(drive: DriveId, name: ShardName, profile: (u8, u8)) -> Self {
        Self { drive, volume: name.volume, column: name.column, profile }
    }

    pub(super) fn name(&self) -> ShardName {
        ShardName { volume: self.volume, column: self.column }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HelloAnswer {
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) life: LifeId,
    pub(super) drives: Vec<DriveReport>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DriveReport {
    pub(super) drive: DriveId,
    pub(super) place: String,
    pub(super) is_usable: bool,
    pub(super) is_retired: bool,
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Handle(pub(super) u64);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct ReadShard {
    pub(super) handle: Handle,
    pub(super) offset: u64,
    pub(super) length_bytes: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AppendGroup {
    pub(super) drive: DriveId,
    pub(super) is_bulk_lane: bool,
    pub(super) appends: Vec<AppendHead>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct AppendHead {
    pub(super) handle: Handle,
    pub(super) offset: u64,
    pub(super) length_before_bytes: u64,
    pub(super) length_bytes: u32,
    pub(super) bypasses_cache: bool,
    pub(super) flushes_now: bool,
}

impl AppendHead {
    pub(super) fn cache(&self) -> Cache {
        if self.bypasses_cache { Cache::Bypass } else { Cache::Keep }
    }

    pub(super) fn flush(&self) -> Flush {
        if self.flushes_now { Flush::Now } else { Flush::Later }
    }
}

impl AppendGroup {
    pub(super) fn lane(&self) -> LaneKind {
        if self.is_bulk_lane { LaneKind::Bulk } else { LaneKind::Packed }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct WriteReplacement {
    pub(super) handle: Handle,
    pub(super) offset: u64,
    pub(super) length_bytes: u32,
}

/// A shard of a backup of the metadata.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct OnBackup {
    pub(super) drive: DriveId,
    pub(super) name: BackupName,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct RemoveBackups {
    pub(super) drive: DriveId,
    pub(super) before_ms: i64,
}

/// What is handed over to be packed: so many pieces of bytes follow. What they are is between the engines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandOver {
    pub(super) lengths_bytes: Vec<u32>,
}

impl HandOver {
    /// The lengths of the pieces, if they are within bounds.
    pub(super) fn lengths(&self) -> Result<Vec<usize>, DecodeError> {
        let lengths = self.lengths_bytes.iter().map(|length| usize::try_from(*length));
        let lengths: Vec<usize> = lengths.collect::<Result<_, _>>().map_err(|_| DecodeError::Malformed)?;
        let sum = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
        let is_bounded =
            lengths.len() <= HAND_OVER_PIECES_MAX && sum.is_some_and(|sum| sum <= HAND_OVER_LENGTH_BYTES_MAX);
        if is_bounded { Ok(lengths) } else { Err(DecodeError::Malformed) }
    }
}

/// Why an operation that was understood was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Failure {
    Drive(WireError),
    /// The handle is not of this life, was closed, or is another node's.
    NoHandle,
    /// The request was for another life of this process.
    OtherLife,
    /// Nothing is taken over, now.
    NotTaken,
}

/// The results of a group of appends, in order.
pub(super) type AppendResults = Vec<Result<(), Failure>>;

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("this node speaks version {VERSION} of the protocol, not version {0}")]
    Version(u16),
    #[error("the message cannot be read")]
    Malformed,
}

pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, DecodeError> {
    postcard::to_stdvec(&(VERSION, message)).map_err(|_| DecodeError::Malformed)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (version, rest) = postcard::take_from_bytes::<u16>(bytes).map_err(|_| DecodeError::Malformed)?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    match postcard::take_from_bytes::<T>(rest) {
        Ok((message, [])) => Ok(message),
        _ => Err(DecodeError::Malformed),
    }
}

/// A body that carries bytes to be written: the length of the control message, the message, and the bytes.
pub(super) fn bulk_head(control: &[u8]) -> Result<Bytes, DecodeError> {
    let length = u32::try_from(control.len()).map_err(|_| DecodeError::Malformed)?;
    let mut head = Vec::with_capacity(4 + control.len());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(control);
    Ok(Bytes::from(head))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
