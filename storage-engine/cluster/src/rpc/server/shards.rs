//! What the operations do.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use granary_drive::DriveError;
use granary_types::DriveId;

use super::body::empty;
use super::dispatch::{Call, Done, Refusal, Server};
use super::handles::{OpenShard, Use};
use crate::access::{DriveAccess, ShardAppend};
use crate::rpc::limits::{GROUP_COUNT_MAX, READ_LENGTH_BYTES_MAX};
use crate::rpc::wire::{
    self, AppendGroup, AppendHead, AppendResults, DriveReport, Failure, Handle, HelloAnswer, OnShard,
    Operation, ReadShard, WriteReplacement,
};
use crate::rpc::wire_error::{WireError, peer_error};

impl Server {
    /// Carries out an operation.
    pub(super) async fn perform(self: &Arc<Self>, operation: Operation, call: Call) -> Result<Done, Refusal> {
        match operation {
            Operation::Hello => self.hello(call).await,
            Operation::Create => self.open(call, Use::Append).await,
            Operation::Open => self.open(call, Use::Read).await,
            Operation::Read => self.read(call).await,
            Operation::Append => self.append(call).await,
            Operation::Remove => self.remove(call).await,
            Operation::CreateReplacement => self.create_replacement(call).await,
            Operation::WriteReplacement => self.write_replacement(call).await,
            Operation::InstallReplacement => self.install_replacement(call).await,
            Operation::CreateBackup => self.create_backup(call).await,
            Operation::ListBackups => self.list_backups(call).await,
            Operation::RemoveBackups => self.remove_backups(call).await,
            Operation::HandOver => self.take_over(call).await,
            Operation::Close => {
                let mut call = call;
                let handles: Vec<Handle> = call.message().await?;
                self.handles.close(&handles, call.sender());
                Done::message(&())
            }
        }
    }

    async fn hello(&self, mut call: Call) -> Result<Done, Refusal> {
        call.message::<()>().await?;
        let report = |drive: &Arc<dyn DriveAccess>| {
            let (free_bytes, total_bytes) = drive.space_bytes();
            DriveReport {
                drive: drive.id(),
                place: drive.place(),
                is_usable: drive.is_usable(),
                is_retired: drive.is_retired(),
                free_bytes,
                total_bytes,
            }
        };
        Done::message(&HelloAnswer {
            cluster: self.options.cluster,
            node: self.options.node,
            life: self.life,
            drives: self.drives.drives().iter().map(report).collect(),
        })
    }

    pub(super) fn drive(&self, id: DriveId) -> Result<Arc<dyn DriveAccess>, DriveError> {
        // It may be away for a moment only: nothing is said of what it holds.
        self.drives.find(id).ok_or_else(|| peer_error(&format!("drive {id}"), "the node does not have it"))
    }

    /// Runs what may block for long in a task of its own: a caller that hangs up must not leave it half done, and one
    /// drive that hangs must not take everything.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        drive: &Arc<dyn DriveAccess>,
        run: impl Future<Output = Result<T, DriveError>> + Send + 'static,
    ) -> Result<T, Failure> {
        let Some(permit) = self.gate(drive.id()) else { return Err(failure(&stalled(drive))) };
        let done = under(permit, drive, run).await;
        done.map_err(|error| {
            note(drive, &error);
            failure(&error)
        })
    }

    async fn open(self: &Arc<Self>, mut call: Call, wanted: Use) -> Result<Done, Refusal> {
        let on: OnShard = call.message().await?;
        let drive = match self.drive(on.drive) {
            Ok(drive) => drive,
            Err(error) => return Ok(failure(&error).into()),
        };
        let (server, sender, held) = (Arc::clone(self), call.sender(), Arc::clone(&drive));
        // The handle is made in the task, so that what was opened is always owned by somebody.
        let Some(permit) = self.gate(drive.id()) else { return Ok(failure(&stalled(&drive)).into()) };
        let opened = under(permit, &drive, async move {
            let shard = match wanted {
                Use::Append => held.create_shard(on.name(), on.profile).await?,
                Use::Read => held.open_shard(on.name(), on.profile).await?,
            };
            let place = held.place();
            let handle = server.handles.add_shard(OpenShard { drive: held, shard }, wanted, sender);
            handle.ok_or_else(|| peer_error(&place, "the node has too many shards open"))
        });
        let opened = opened.await.map_err(|error| {
            // A file whose header is in a bad sector says no more of the drive than a block that is.
            if wanted == Use::Append || !error.is_of_sector() {
                note(&drive, &error);
            }
            failure(&error)
        });
        settle(opened)
    }

    async fn read(&self, mut call: Call) -> Result<Done, Refusal> {
        let read: ReadShard = call.message().await?;
        let length_bytes = usize::try_from(read.length_bytes).unwrap_or(usize::MAX);
        if length_bytes > READ_LENGTH_BYTES_MAX {
            return Err(Refusal::new(413, format!("at most {READ_LENGTH_BYTES_MAX} bytes are read at once")));
        }
        let open = match self.handles.shard(read.handle, Use::Read, call.sender()) {
            Ok(open) => open,
            Err(failure) => return Ok(failure.into()),
        };
        let room = self.room(length_bytes).await?;
        Ok(match open.shard.read(read.offset, length_bytes).await {
            Ok(bytes) => Done::Body(bytes, Some(room)),
            Err(error) => failure(&error).into(),
        })
    }

    async fn append(&self, mut call: Call) -> Result<Done, Refusal> {
        let group: AppendGroup = wire::decode(&call.body.take_control().await?)?;
        if group.appends.len() > GROUP_COUNT_MAX {
            return Err(Refusal::new(413, format!("at most {GROUP_COUNT_MAX} appends are one group")));
        }
        let mut bodies = Vec::with_capacity(group.appends.len());
        for head in &group.appends {
            let length_bytes = usize::try_from(head.length_bytes).unwrap_or(usize::MAX);
            bodies.push(if length_bytes == 0 { empty() } else { call.body.take(length_bytes).await? });
        }
        call.body.check(call.verified.head.body_hash)?;
        let queued =
            group.appends.iter().zip(bodies).map(|(head, bytes)| {
                let open = self.handles.shard(head.handle, Use::Append, call.sender());
                let open = open.and_then(|open| {
                    if open.drive.id() == group.drive { Ok(open) } else { Err(Failure::NoHandle) }
                });
                queue(open, &group, *head, bytes)
            });
        // All are queued, in order, before the first is waited for.
        let queued: Vec<_> = queued.collect();
        let results: AppendResults = join_all(queued).await;
        Done::message(&results)
    }

    async fn remove(&self, mut call: Call) -> Result<Done, Refusal> {
        let on: OnShard = call.message().await?;
        self.on_drive(on.drive, move |drive| async move { drive.remove_shard(on.name()).await }).await
    }

    pub(super) async fn on_drive<F>(
        &self,
        id: DriveId,
        run: impl FnOnce(Arc<dyn DriveAccess>) -> F,
    ) -> Result<Done, Refusal>
    where
        F: Future<Output = Result<(), DriveError>> + Send + 'static,
    {
        match self.drive(id) {
            Ok(drive) => settle(self.apart(&drive, run(Arc::clone(&drive))).await),
            Err(error) => Ok(failure(&error).into()),
        }
    }

    async fn create_replacement(self: &Arc<Self>, mut call: Call) -> Result<Done, Refusal> {
        let on: OnShard = call.message().await?;
        let drive = match self.drive(on.drive) {
            Ok(drive) => drive,
            Err(error) => return Ok(failure(&error).into()),
        };
        let Some(beginning) = self.handles.begin_replacement(&on) else {
            let busy = peer_error(&drive.place(), "the shard is being replaced, or too many others are");
            return Ok(failure(&busy).into());
        };
        let (server, sender, held) = (Arc::clone(self), call.sender(), Arc::clone(&drive));
        let created = self.apart(&drive, async move {
            let _beginning = beginning;
            let replacement = held.create_replacement(on.name(), on.profile).await?;
            Ok(server.handles.add_replacement(replacement, &on, sender))
        });
        settle(created.await)
    }

    async fn write_replacement(&self, mut call: Call) -> Result<Done, Refusal> {
        let write: WriteReplacement = wire::decode(&call.body.take_control().await?)?;
        let bytes = call.body.take(usize::try_from(write.length_bytes).unwrap_or(usize::MAX)).await?;
        call.body.check(call.verified.head.body_hash)?;
        match self.handles.replacement(write.handle, call.sender()) {
            Ok((replacement, drive)) => {
                let write = move |_| async move { replacement.write(write.offset, bytes).await };
                self.on_drive(drive, write).await
            }
            Err(failure) => Ok(failure.into()),
        }
    }

    async fn install_replacement(&self, mut call: Call) -> Result<Done, Refusal> {
        let handle: Handle = call.message().await?;
        match self.handles.replacement(handle, call.sender()) {
            Ok((replacement, drive)) => {
                let install = move |_| async move { replacement.install().await };
                self.on_drive(drive, install).await
            }
            Err(failure) => Ok(failure.into()),
        }
    }
}

/// Queues an append now and returns the wait for its result.
fn queue(
    open: Result<OpenShard, Failure>,
    group: &AppendGroup,
    head: AppendHead,
    bytes: Bytes,
) -> BoxFuture<'static, Result<(), Failure>> {
    let open = match open {
        Ok(open) => open,
        Err(failure) => return Box::pin(std::future::ready(Err(failure))),
    };
    let appended = open.shard.append(ShardAppend {
        lane: group.lane(),
        offset: head.offset,
        length_before_bytes: head.length_before_bytes,
        bytes,
        cache: head.cache(),
        flush: head.flush(),
    });
    Box::pin(async move {
        appended.await.map_err(|error| {
            note(&open.drive, &error);
            failure(&error)
        })?;
        // The writer learns of it with the next heartbeat only; what is written from now on is not on the drive.
        if open.drive.is_retired() {
            let what = "taken out of use";
            return Err(failure(&DriveError::Tampered { path: open.drive.place().into(), what }));
        }
        Ok(())
    })
}

fn stalled(drive: &Arc<dyn DriveAccess>) -> DriveError {
    DriveError::Stalled { path: drive.place().into() }
}

async fn under<T: Send + 'static>(
    permit: impl Send + 'static,
    drive: &Arc<dyn DriveAccess>,
    run: impl Future<Output = Result<T, DriveError>> + Send + 'static,
) -> Result<T, DriveError> {
    let running = tokio::spawn(async move {
        let _permit = permit;
        run.await
    });
    running.await.unwrap_or_else(|_| Err(stalled(drive)))
}

/// A drive that fails others is looked at here as well.
fn note(drive: &Arc<dyn DriveAccess>, error: &DriveError) {
    let is_of_drive = matches!(error, DriveError::Stalled { .. })
        || matches!(error, DriveError::Io { source, .. } if !is_of_request(source.kind()));
    if is_of_drive {
        drive.mark_failed();
    }
}

fn is_of_request(kind: std::io::ErrorKind) -> bool {
    matches!(kind, std::io::ErrorKind::NotFound | std::io::ErrorKind::AlreadyExists)
}

pub(super) fn failure(error: &DriveError) -> Failure {
    Failure::Drive(WireError::new(error))
}

pub(super) fn settle<T: serde::Serialize>(done: Result<T, Failure>) -> Result<Done, Refusal> {
    match done {
        Ok(value) => Done::message(&value),
        Err(failure) => Ok(failure.into()),
    }
}
