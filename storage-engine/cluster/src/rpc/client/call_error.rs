//! Why a request to another node gave nothing.

use granary_drive::DriveError;

use crate::rpc::wire::Failure;
use crate::rpc::wire_error::{WireError, peer_error};

const REASON_LENGTH_BYTES_MAX: usize = 300;

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// Nothing was sent.
    Unreachable(String),
    /// Nothing was sent: others had the connection for themselves until the deadline.
    Crowded,
    /// Nothing was sent: the connection had ended.
    Unsent(String),
    /// No progress within the deadline. It may have been done.
    Stalled,
    /// The connection ended. It may have been done.
    CutOff(String),
    /// The request cannot be made, or its answer cannot be used.
    Refused(String),
    /// The node itself refuses the request: it was not done.
    Declined { status: u16, reason: String },
    /// The process there is another than the one that was asked.
    OtherLife,
    /// The handle was closed there.
    NoHandle,
    /// Nothing is taken over there, now.
    NotTaken,
    /// The drive said so.
    Drive(WireError),
}

impl CallError {
    /// The error for whoever asked for something of the drive at `place` of `node`.
    pub(super) fn into_drive_error(self, node: &str, place: &str) -> DriveError {
        match self {
            Self::Stalled | Self::Crowded => DriveError::Stalled { path: place.into() },
            Self::Unreachable(reason)
            | Self::Unsent(reason)
            | Self::CutOff(reason)
            | Self::Refused(reason)
            | Self::Declined { reason, .. } => peer_error(place, reason),
            Self::OtherLife => {
                peer_error(place, "the node was started anew, and what was open there is closed")
            }
            Self::NoHandle => peer_error(place, "the node has closed the shard"),
            Self::NotTaken => peer_error(place, "the node takes nothing over"),
            Self::Drive(error) => error.into_drive_error(node),
        }
    }

    /// Text for the log.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason)
            | Self::Unsent(reason)
            | Self::CutOff(reason)
            | Self::Refused(reason)
            | Self::Declined { reason, .. } => reason,
            Self::Stalled | Self::Crowded => "no answer in time",
            Self::OtherLife => "another life",
            Self::NoHandle => "no such handle",
            Self::NotTaken => "nothing is taken over",
            Self::Drive(_) => "an error of a drive",
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Drive(error) => Self::Drive(error),
            Failure::NoHandle => Self::NoHandle,
            Failure::OtherLife => Self::OtherLife,
            Failure::NotTaken => Self::NotTaken,
        }
    }
}

impl From<h2::Error> for CallError {
    /// What the other side says of the end of a connection is as long as it likes.
    fn from(error: h2::Error) -> Self {
        Self::CutOff(text(error.to_string().as_bytes()))
    }
}

/// What another node says, for the log.
pub(super) fn text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..REASON_LENGTH_BYTES_MAX).unwrap_or(body));
    text.chars().filter(|c| !c.is_control()).collect()
}
