//! What other nodes hand over to be packed here.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use granary_types::NodeId;

use super::dispatch::{Call, Done, Refusal, Server};
use crate::rpc::wire::{self, Failure, HandOver};

/// Takes what other nodes hand over.
#[async_trait]
pub trait TakesOver: Debug + Send + Sync + 'static {
    /// Takes these pieces, whose sender is known and whose bytes are those that it sent, and gives back what is to be
    /// answered when all is done. Dropped when the sender hangs up: what was taken must go on by itself.
    ///
    /// # Errors
    /// [`NotTaken`], of all of it and for sure.
    async fn take_over(&self, sender: NodeId, pieces: Vec<Bytes>) -> Result<Bytes, NotTaken>;
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// Nothing is, now.
    Closed,
    /// It cannot be read, or is not what it says.
    Malformed,
}

impl Server {
    pub(super) async fn take_over(self: &Arc<Self>, mut call: Call) -> Result<Done, Refusal> {
        let message: HandOver = wire::decode(&call.body.take_control().await?)?;
        let lengths = message.lengths()?;
        let mut pieces = Vec::with_capacity(lengths.len());
        for length_bytes in lengths {
            pieces.push(call.body.take_anywhere(length_bytes).await?);
        }
        call.body.check(call.verified.head.body_hash)?;
        let Some(takes_over) = &self.options.takes_over else { return Ok(Failure::NotTaken.into()) };
        match takes_over.take_over(call.verified.head.sender, pieces).await {
            Ok(answer) => Ok(Done::Body(answer, None)),
            Err(NotTaken::Closed) => Ok(Failure::NotTaken.into()),
            Err(NotTaken::Malformed) => Err(Refusal::malformed("what is handed over cannot be read")),
        }
    }
}
