//! A shard on a drive of another node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use granary_drive::DriveError;
use parking_lot::Mutex;

use super::call::{Way, encode};
use super::call_error::CallError;
use super::drive::{Core, Lanes, RemoteDrive};
use crate::access::{ReplacementAccess, ShardAccess, ShardAppend};
use crate::rpc::limits::READ_LENGTH_BYTES_MAX;
use crate::rpc::wire::{self, Handle, LifeId, OnShard, Operation, ReadShard, WriteReplacement};
use crate::rpc::wire_error::peer_error;

/// A handle in a life of the other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) life: LifeId,
    pub(super) handle: Handle,
}

/// What appends to a shard need of it. The other node closes the handle when the shard and all appends that are queued
/// are gone.
#[derive(Debug)]
pub(super) struct Writing {
    core: Arc<Core>,
    pub(super) held: Held,
    /// The outcome of an append is not known: none after it may be tried.
    pub(super) is_unresolved: AtomicBool,
}

impl Writing {
    pub(super) fn is_unresolved(&self) -> bool {
        self.is_unresolved.load(Ordering::Acquire)
    }

    pub(super) fn give_up(&self) {
        self.is_unresolved.store(true, Ordering::Release);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.core.shared.close_later(self.held.life, self.held.handle);
    }
}

/// A shard of another node's drive.
#[derive(Debug)]
pub(super) struct RemoteShard {
    core: Arc<Core>,
    lanes: Arc<Lanes>,
    on: OnShard,
    writing: Arc<Writing>,
    /// As it was opened, or opened again to be read after the node was started anew.
    reading: Mutex<Held>,
    reopening: tokio::sync::Mutex<()>,
}

impl RemoteShard {
    pub(super) fn new(drive: &RemoteDrive, on: OnShard, life: LifeId, handle: Handle) -> Self {
        let held = Held { life, handle };
        Self {
            core: Arc::clone(&drive.core),
            lanes: Arc::clone(&drive.lanes),
            on,
            writing: Arc::new(Writing {
                core: Arc::clone(&drive.core),
                held,
                is_unresolved: AtomicBool::new(false),
            }),
            reading: Mutex::new(held),
            reopening: tokio::sync::Mutex::default(),
        }
    }

    async fn read_piece(&self, offset: u64, length_bytes: u32) -> Result<Bytes, DriveError> {
        let held = *self.reading.lock();
        match self.try_read(held, offset, length_bytes).await {
            Err(CallError::NoHandle | CallError::OtherLife) => {
                let held = self.reopen(held).await?;
                self.try_read(held, offset, length_bytes).await
            }
            // The connection ended, perhaps in good order. To read again does no harm.
            Err(CallError::CutOff(_) | CallError::Unsent(_)) => {
                self.try_read(held, offset, length_bytes).await
            }
            other => other,
        }
        .map_err(|error| self.core.error(error))
    }

    async fn try_read(&self, held: Held, offset: u64, length_bytes: u32) -> Result<Bytes, CallError> {
        let message = encode(&ReadShard { handle: held.handle, offset, length_bytes })?;
        let body = vec![Bytes::from(message)];
        let bytes = self.core.shared.call(Way::Read, Operation::Read, held.life, body).await?;
        if bytes.len() > usize::try_from(length_bytes).unwrap_or(usize::MAX) {
            return Err(CallError::Refused("more bytes than were asked for".to_owned()));
        }
        Ok(bytes)
    }

    /// Opens the shard again to read it, unless another reader just did.
    async fn reopen(&self, gone: Held) -> Result<Held, DriveError> {
        let _one = self.reopening.lock().await;
        let held = *self.reading.lock();
        if held != gone {
            return Ok(held);
        }
        let opened = self.core.ask_now(Operation::Open, &self.on).await;
        let (life, handle) = opened.map_err(|error| self.core.error(error))?;
        let held = Held { life, handle };
        *self.reading.lock() = held;
        Ok(held)
    }
}

impl Drop for RemoteShard {
    fn drop(&mut self) {
        let reading = *self.reading.lock();
        if reading != self.writing.held {
            self.core.shared.close_later(reading.life, reading.handle);
        }
    }
}

#[async_trait]
impl ShardAccess for RemoteShard {
    async fn read(&self, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError> {
        let piece = |done: usize| (length_bytes - done).min(READ_LENGTH_BYTES_MAX);
        let first = self.read_piece(offset, narrow(piece(0))).await?;
        if first.len() == length_bytes || first.len() < piece(0) {
            return Ok(first);
        }
        let mut read = BytesMut::with_capacity(length_bytes);
        read.extend_from_slice(&first);
        while read.len() < length_bytes {
            let wanted = piece(read.len());
            let bytes = self.read_piece(offset + read.len() as u64, narrow(wanted)).await?;
            read.extend_from_slice(&bytes);
            if bytes.len() < wanted {
                break;
            }
        }
        Ok(read.freeze())
    }

    fn append(&self, append: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>> {
        self.lanes.of(append.lane).append(Arc::clone(&self.writing), append)
    }
}

fn narrow(length_bytes: usize) -> u32 {
    u32::try_from(length_bytes).unwrap_or(u32::MAX)
}

/// A replacement on another node's drive.
#[derive(Debug)]
pub(super) struct RemoteReplacement {
    core: Arc<Core>,
    held: Held,
}

impl RemoteReplacement {
    pub(super) fn new(core: Arc<Core>, life: LifeId, handle: Handle) -> Self {
        Self { core, held: Held { life, handle } }
    }

    /// A replacement whose node has forgotten it must be begun again.
    fn error(&self, error: CallError) -> DriveError {
        match error {
            CallError::NoHandle => peer_error(&self.core.place(), "the node has dropped the replacement"),
            other => self.core.error(other),
        }
    }

    async fn write_piece(&self, offset: u64, bytes: Bytes) -> Result<(), CallError> {
        let write = WriteReplacement { handle: self.held.handle, offset, length_bytes: narrow(bytes.len()) };
        let head = wire::bulk_head(&encode(&write)?).map_err(|e| CallError::Refused(e.to_string()))?;
        let (way, operation) = (Way::Bulk, Operation::WriteReplacement);
        self.core.shared.call(way, operation, self.held.life, vec![head, bytes]).await?;
        Ok(())
    }
}

impl Drop for RemoteReplacement {
    fn drop(&mut self) {
        self.core.shared.close_later(self.held.life, self.held.handle);
        self.core.shared.wake.notify_one();
    }
}

#[async_trait]
impl ReplacementAccess for RemoteReplacement {
    async fn write(&self, offset: u64, mut bytes: Bytes) -> Result<(), DriveError> {
        let mut at = offset;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(READ_LENGTH_BYTES_MAX));
            let length_bytes = piece.len() as u64;
            self.write_piece(at, piece).await.map_err(|error| self.error(error))?;
            at += length_bytes;
        }
        Ok(())
    }

    async fn install(&self) -> Result<(), DriveError> {
        let asked = self.core.shared.ask(Operation::InstallReplacement, self.held.life, &self.held.handle);
        asked.await.map_err(|error| self.error(error))
    }
}
