//! A drive of another node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use granary_drive::{BackupName, DriveError, ShardName};
use granary_types::DriveId;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Shared;
use super::call_error::CallError;
use super::lane::LaneQueue;
use super::shard::{RemoteReplacement, RemoteShard};
use crate::access::{DriveAccess, LaneKind, ReplacementAccess, ShardAccess};
use crate::rpc::wire::{DriveReport, Handle, LifeId, OnBackup, OnShard, Operation, RemoveBackups};

const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_mins(5);
/// A drive that held for so long after it was taken back is not the same failure again.
const RETRY_FORGOTTEN: Duration = Duration::from_mins(10);

/// A drive of another node, as its last heartbeat said it is.
#[derive(Debug)]
pub struct RemoteDrive {
    pub(super) core: Arc<Core>,
    pub(super) lanes: Arc<Lanes>,
}

#[derive(Debug)]
pub(super) struct Lanes {
    packed: LaneQueue,
    bulk: LaneQueue,
}

/// What the drive's shards and lanes share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) id: DriveId,
    pub(super) shared: Arc<Shared>,
    report: Mutex<DriveReport>,
    failure: Mutex<FailureMark>,
}

/// A failure that was seen from here. The drive is taken back when the pause is over and its node says that it is well.
#[derive(Debug, Default)]
struct FailureMark {
    retry: Option<Instant>,
    last: Option<(Instant, Duration)>,
}

impl Lanes {
    pub(super) fn of(&self, kind: LaneKind) -> &LaneQueue {
        match kind {
            LaneKind::Packed => &self.packed,
            LaneKind::Bulk => &self.bulk,
        }
    }
}

impl Core {
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.shared.options.address, self.report.lock().place)
    }

    pub(super) fn error(&self, error: CallError) -> DriveError {
        error.into_drive_error(&self.shared.options.address, &self.place())
    }

    /// Asks the life of the node that is there now; also says which it was.
    pub(super) async fn ask_now<T: Serialize, R: DeserializeOwned>(
        &self,
        operation: Operation,
        message: &T,
    ) -> Result<(LifeId, R), CallError> {
        let life = self.shared.known().life;
        match self.shared.ask(operation, life, message).await {
            // It was started anew, and did nothing. Who is there now is asked once.
            Err(CallError::OtherLife) => {
                let life = self.shared.hello().await?.life;
                Ok((life, self.shared.ask(operation, life, message).await?))
            }
            other => Ok((life, other?)),
        }
    }
}

impl RemoteDrive {
    pub(super) fn new(shared: Arc<Shared>, report: DriveReport) -> Self {
        let core = Arc::new(Core {
            id: report.drive,
            shared,
            report: Mutex::new(report),
            failure: Mutex::default(),
        });
        let lane = |kind| LaneQueue::start(Arc::clone(&core), kind);
        let lanes = Arc::new(Lanes { packed: lane(LaneKind::Packed), bulk: lane(LaneKind::Bulk) });
        Self { core, lanes }
    }

    pub(super) fn core_id(&self) -> DriveId {
        self.core.id
    }

    pub(super) fn learn(&self, report: DriveReport) {
        if report.is_usable {
            let mut failure = self.core.failure.lock();
            if failure.retry.is_some_and(|at| Instant::now() >= at) {
                failure.retry = None;
            }
        }
        *self.core.report.lock() = report;
    }

    /// Its node no longer has it.
    pub(super) fn note_absent(&self) {
        let mut report = self.core.report.lock();
        report.is_usable = false;
        report.is_retired = true;
    }

    async fn open(
        &self,
        operation: Operation,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<(OnShard, LifeId, Handle), DriveError> {
        let on = OnShard::new(self.core.id, name, profile);
        let opened = self.core.ask_now(operation, &on).await;
        let (life, handle) = opened.map_err(|error| self.core.error(error))?;
        Ok((on, life, handle))
    }
}

#[async_trait]
impl DriveAccess for RemoteDrive {
    fn id(&self) -> DriveId {
        self.core.id
    }

    fn place(&self) -> String {
        self.core.place()
    }

    fn is_usable(&self) -> bool {
        self.core.shared.state().is_alive()
            && self.core.report.lock().is_usable
            && self.core.failure.lock().retry.is_none()
    }

    fn is_retired(&self) -> bool {
        self.core.report.lock().is_retired
    }

    fn mark_failed(&self) {
        let mut failure = self.core.failure.lock();
        if failure.retry.is_some() {
            return;
        }
        let now = Instant::now();
        let recent = failure.last.filter(|(at, _)| at.elapsed() < RETRY_FORGOTTEN);
        let pause = recent.map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_MAX));
        failure.retry = Some(now + pause);
        failure.last = Some((now, pause));
    }

    fn space_bytes(&self) -> (u64, u64) {
        let report = self.core.report.lock();
        (report.free_bytes, report.total_bytes)
    }

    async fn create_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError> {
        let (on, life, handle) = self.open(Operation::Create, name, profile).await?;
        Ok(Arc::new(RemoteShard::new(self, on, life, handle)))
    }

    async fn open_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError> {
        let (on, life, handle) = self.open(Operation::Open, name, profile).await?;
        Ok(Arc::new(RemoteShard::new(self, on, life, handle)))
    }

    async fn remove_shard(&self, name: ShardName) -> Result<(), DriveError> {
        let on = OnShard::new(self.core.id, name, (0, 0));
        let removed = self.core.ask_now::<_, ()>(Operation::Remove, &on).await;
        removed.map(|_| ()).map_err(|error| self.core.error(error))
    }

    async fn create_replacement(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        let (_, life, handle) = self.open(Operation::CreateReplacement, name, profile).await?;
        Ok(Arc::new(RemoteReplacement::new(Arc::clone(&self.core), life, handle)))
    }

    async fn create_backup_shard(&self, name: BackupName) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        let on = OnBackup { drive: self.core.id, name };
        let begun = self.core.ask_now(Operation::CreateBackup, &on).await;
        let (life, handle) = begun.map_err(|error| self.core.error(error))?;
        Ok(Arc::new(RemoteReplacement::new(Arc::clone(&self.core), life, handle)))
    }

    async fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError> {
        let listed = self.core.ask_now(Operation::ListBackups, &self.core.id).await;
        listed.map(|(_, names)| names).map_err(|error| self.core.error(error))
    }

    async fn remove_backup_shards(&self, before_ms: i64) -> Result<(), DriveError> {
        let remove = RemoveBackups { drive: self.core.id, before_ms };
        let removed = self.core.ask_now::<_, ()>(Operation::RemoveBackups, &remove).await;
        removed.map(|_| ()).map_err(|error| self.core.error(error))
    }
}
