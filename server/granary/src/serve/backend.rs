//! The admin API's view of the engine.

use async_trait::async_trait;
use granary_admin::{
    AdminBackend, AdminError, BucketAnswer, BucketRequest, DrainPlan, DriveReport, DriveState,
    IdentityReport, IdentityRequest, Leaving, LossList, MoveReport, NodeReport, NodeState, RestorePage,
    RestoreRequest, TaskId, TaskKind, TaskProgress, TaskState, TierList, VolumePage, VolumeReport,
    VolumeState, WarmAnswer, WarmRequest,
};
use granary_engine::{DriveHealth, DriveProblem, DriveStatus, Engine, EngineError, NodeStatus, VolumeRow};
use granary_iam::IdentityStore;
use granary_types::VolumeId;

use super::{losses, moves};

/// Answers the admin API from the engine.
pub(super) struct EngineBackend {
    pub(super) engine: Engine,
    pub(super) identities: IdentityStore,
}

#[async_trait]
impl AdminBackend for EngineBackend {
    async fn list_drives(&self) -> Result<Vec<DriveReport>, AdminError> {
        let engine = self.engine.clone();
        // Asking a file system for its free space can hang with the drive.
        let drives = tokio::task::spawn_blocking(move || engine.drive_status())
            .await
            .map_err(|_| AdminError::Unavailable("the drives could not be asked".to_owned()))?;
        Ok(drives.into_iter().map(drive_report).collect())
    }

    async fn list_tiers(&self) -> Result<TierList, AdminError> {
        let (tiered, classes) = self.engine.class_status();
        let tiers = self.engine.tier_status().await.map_err(|error| unavailable(&error))?;
        let warm = self.engine.warm_status().await.map_err(|error| unavailable(&error))?;
        Ok(super::tiers::report(tiered, classes, &tiers, &warm, self.engine.spilled_and_refused()))
    }

    async fn list_nodes(&self) -> Result<Vec<NodeReport>, AdminError> {
        let drives = self.list_drives().await?;
        let nodes = self.engine.node_status().into_iter();
        Ok(nodes.map(|status| node_report(status, &drives)).collect())
    }

    async fn remove_node(&self, id: &str) -> Result<(), AdminError> {
        self.engine.remove_node(id).await.map_err(refused)
    }

    async fn remove_drive(&self, id: &str) -> Result<(), AdminError> {
        self.engine.remove_drive(id).await.map_err(refused)
    }

    async fn drain(&self, leaving: Leaving, apply: bool) -> Result<DrainPlan, AdminError> {
        let plan = self.engine.drain(&moves::leaving(leaving), apply).await.map_err(refused)?;
        Ok(moves::plan(plan))
    }

    async fn cancel_drain(&self, leaving: Leaving) -> Result<bool, AdminError> {
        self.engine.cancel_drain(&moves::leaving(leaving)).await.map_err(refused)
    }

    async fn moves(&self) -> Result<MoveReport, AdminError> {
        let drains = self.engine.drain_status().await.map_err(|error| unavailable(&error))?;
        let (tasks, damaged) = self.engine.running_tasks();
        let task =
            |(id, progress): (granary_engine::TaskId, _)| task_report(TaskId(id.0.to_string()), progress);
        let tasks = tasks.into_iter().map(task).collect();
        Ok(moves::report(drains, self.engine.rebalance_status(), (tasks, damaged)))
    }

    async fn list_losses(&self, after: Option<&str>, limit: usize) -> Result<LossList, AdminError> {
        let after = after.map(losses::place).transpose()?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let page = self.engine.metadata_losses(after, limit).await.map_err(|error| unavailable(&error))?;
        let copies_missing = self.engine.metadata_copies_missing();
        Ok(losses::list(page, self.engine.is_failing_over(), copies_missing))
    }

    async fn dismiss_losses(&self) -> Result<u64, AdminError> {
        self.engine.dismiss_metadata_losses().await.map_err(|error| unavailable(&error))
    }

    async fn list_volumes(&self, after: Option<&str>, limit: usize) -> Result<VolumePage, AdminError> {
        let after = after
            .map(str::parse::<VolumeId>)
            .transpose()
            .map_err(|_| AdminError::Invalid("after is not the id of a volume".to_owned()))?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.engine.volume_status(after, limit).await.map_err(|error| unavailable(&error))?;
        let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next_after = rows.last().filter(|_| is_full).map(|row| row.volume.id.to_string());
        Ok(VolumePage { volumes: rows.iter().map(volume_report).collect(), next_after })
    }

    async fn start(&self, kind: TaskKind) -> Result<TaskId, AdminError> {
        let kind = match kind {
            TaskKind::Heal => granary_engine::TaskKind::Heal,
            TaskKind::Scrub => granary_engine::TaskKind::Scrub,
            TaskKind::Compact => granary_engine::TaskKind::Compact,
        };
        Ok(TaskId(self.engine.start_task(kind).0.to_string()))
    }

    async fn identities(&self, request: IdentityRequest) -> Result<IdentityReport, AdminError> {
        match request {
            IdentityRequest::ShowQuota { .. } | IdentityRequest::SetQuota { .. } => {
                super::quotas::answer(&self.engine, &self.identities, request).await
            }
            other => super::identities::answer(&self.identities, other).await,
        }
    }

    async fn buckets(&self, request: BucketRequest) -> Result<BucketAnswer, AdminError> {
        super::buckets::answer(&self.engine, request).await
    }

    async fn restore(&self, request: RestoreRequest) -> Result<RestorePage, AdminError> {
        super::restores::answer(&self.engine, request).await
    }

    async fn warm(&self, request: WarmRequest) -> Result<WarmAnswer, AdminError> {
        super::warm::answer(&self.engine, request).await
    }

    async fn progress(&self, id: &TaskId) -> Result<TaskProgress, AdminError> {
        let found = id.0.parse().ok().and_then(|number| self.engine.task(granary_engine::TaskId(number)));
        let progress = found.ok_or_else(|| AdminError::NotFound("there is no such task".to_owned()))?;
        Ok(task_report(id.clone(), progress))
    }
}

fn task_report(task: TaskId, progress: granary_engine::TaskProgress) -> TaskProgress {
    TaskProgress {
        task,
        kind: match progress.kind {
            granary_engine::TaskKind::Heal => TaskKind::Heal,
            granary_engine::TaskKind::Scrub => TaskKind::Scrub,
            granary_engine::TaskKind::Compact => TaskKind::Compact,
        },
        state: match progress.state {
            granary_engine::TaskState::Running => TaskState::Running,
            granary_engine::TaskState::Done => TaskState::Done,
            granary_engine::TaskState::Failed(error) => TaskState::Failed(error),
        },
        done: progress.done,
        total: progress.total,
        bytes: progress.bytes,
        findings: progress.findings,
        repaired: progress.repaired,
        unrepairable: progress.unrepairable,
    }
}

fn refused(error: EngineError) -> AdminError {
    match error {
        EngineError::Layout(reason) => AdminError::Invalid(reason),
        other => unavailable(&other),
    }
}

fn unavailable(error: &EngineError) -> AdminError {
    AdminError::Unavailable(error.to_string())
}

fn node_report(status: NodeStatus, drives: &[DriveReport]) -> NodeReport {
    let state = match (status.row.state, status.is_alive, status.answers) {
        (granary_engine::NodeState::Removed, _, _) => NodeState::Removed,
        (_, true, true) => NodeState::Alive,
        (_, true, false) => NodeState::Unreachable,
        (_, false, _) => NodeState::Dead,
    };
    let node = status.row.node;
    let id = node.id.to_string();
    let own = || drives.iter().filter(|drive| drive.node.as_ref() == Some(&id));
    NodeReport {
        draining: status.draining,
        capacity_bytes: own().filter_map(|drive| drive.capacity_bytes).sum(),
        free_bytes: own().filter_map(|drive| drive.free_bytes).sum(),
        id: id.clone(),
        address: node.address,
        zone: node.zone,
        state,
        is_self: status.is_self,
        drives: status.drives,
        version: node.version,
        schema: node.schema,
        detail: status.problem,
    }
}

fn drive_report(drive: DriveStatus) -> DriveReport {
    let (state, detail) = match drive.health {
        DriveHealth::Online => (DriveState::Online, None),
        DriveHealth::Failed => {
            (DriveState::Failed, Some("it cannot be written to; the log of its node says why".to_owned()))
        }
        DriveHealth::Unused(problem, message) => {
            let state = match problem {
                DriveProblem::Missing => DriveState::Missing,
                DriveProblem::Empty => DriveState::Empty,
                DriveProblem::Foreign => DriveState::Foreign,
                DriveProblem::Unreadable => DriveState::Unreadable,
                DriveProblem::Removed => DriveState::Removed,
            };
            (state, Some(message))
        }
        DriveHealth::Away(reason) => (DriveState::Unreachable, Some(reason)),
    };
    let node = drive.node.as_ref();
    DriveReport {
        node: node.map(|node| node.id.to_string()),
        node_address: node.map(|node| node.address.clone()),
        zone: node.map(|node| node.zone.clone()).unwrap_or_default(),
        draining: drive.is_draining,
        slot: drive.slot,
        id: drive.drive.map(|id| id.to_string()),
        path: drive.directory,
        state,
        capacity_bytes: drive.space_bytes.map(|(_, capacity)| capacity),
        free_bytes: drive.space_bytes.map(|(free, _)| free),
        detail,
        class: drive.class,
    }
}

fn volume_report(row: &VolumeRow) -> VolumeReport {
    VolumeReport {
        id: row.volume.id.to_string(),
        state: match row.state {
            granary_engine::VolumeState::Open => VolumeState::Open,
            granary_engine::VolumeState::Sealed => VolumeState::Sealed,
            granary_engine::VolumeState::Freed => VolumeState::Freed,
        },
        erasure: format!("{}+{}", row.volume.data_columns, row.volume.parity_columns),
        committed_bytes: row.committed_end,
        stored_bytes: row.stored_bytes,
        live_bytes: row.live_bytes,
        drives: row.volume.drives.iter().map(ToString::to_string).collect(),
    }
}
