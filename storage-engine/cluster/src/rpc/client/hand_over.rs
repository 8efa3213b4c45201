//! Handing bytes to the packer of another node.

use bytes::Bytes;

use super::call::encode;
use super::call_error::CallError;
use super::peer::Peer;
use crate::rpc::wire::{self, HandOver};

/// Why what was handed over came to nothing, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// It was not taken: the node cannot be reached, or takes nothing now.
    #[error("not taken: {0}")]
    NotTaken(String),
    /// It was not taken, and nothing like it will be: the node does not know how, or cannot read it.
    #[error("not understood: {0}")]
    NotUnderstood(String),
    /// It was sent, and nobody can say what became of it.
    #[error("of unknown outcome: {0}")]
    Unknown(String),
}

impl From<CallError> for HandOverError {
    fn from(error: CallError) -> Self {
        let reason = error.reason().to_owned();
        match error {
            CallError::Unreachable(_)
            | CallError::Crowded
            | CallError::Unsent(_)
            | CallError::OtherLife
            | CallError::NotTaken => Self::NotTaken(reason),
            // It has no memory left, or the body did not get there in time.
            CallError::Declined { status: 408 | 429 | 503, .. } => Self::NotTaken(reason),
            CallError::Declined { .. } => Self::NotUnderstood(reason),
            CallError::Stalled
            | CallError::CutOff(_)
            | CallError::Refused(_)
            | CallError::NoHandle
            | CallError::Drive(_) => Self::Unknown(reason),
        }
    }
}

impl Peer {
    /// Hands pieces of bytes to whoever takes them there, and gives back what comes back when all of it is done. At most
    /// [`crate::rpc::HAND_OVER_PIECES_MAX`] pieces of [`crate::rpc::HAND_OVER_LENGTH_BYTES_MAX`] together.
    ///
    /// # Errors
    /// [`HandOverError`], which says whether it may have been done. Dropped before the end, it may have been done too.
    pub async fn hand_over(&self, pieces: Vec<Bytes>) -> Result<Bytes, HandOverError> {
        let unfit = || HandOverError::NotTaken("it is too much at once".to_owned());
        let lengths = pieces.iter().map(|piece| u32::try_from(piece.len()));
        let lengths_bytes = lengths.collect::<Result<Vec<u32>, _>>().map_err(|_| unfit())?;
        let message = HandOver { lengths_bytes };
        message.lengths().map_err(|_| unfit())?;
        let control = encode(&message).map_err(|_| unfit())?;
        let head = wire::bulk_head(&control).map_err(|_| unfit())?;
        let body = std::iter::once(head).chain(pieces).collect();
        Ok(self.watched.shared.hand_over(body).await?)
    }
}
