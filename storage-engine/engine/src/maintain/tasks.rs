//! Long work with progress that others can look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::scrub;
use crate::engine::{Engine, Inner};
use crate::error::Result;

const TASKS_KEPT_MAX: usize = 32;
/// The lease of whatever goes over all volumes: of all nodes, one does such work at a time.
pub(super) const TASK_LEASE: &str = "task";
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a task waits for another node's before it says why it waits.
const TASK_PATIENCE: Duration = Duration::from_secs(60);

/// Names a task in this life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Examine every volume and rebuild what is lost or wrong; empty directories become new drives.
    Heal,
    /// Examine every volume and report; what is found is healed in the background.
    Scrub,
    /// Repack volumes with much dead or hollow space.
    Compact,
}

/// Where a task is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// At work.
    Running,
    /// Everything was gone through.
    Done,
    /// Ended early, and why.
    Failed(String),
}

/// A task as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskProgress {
    /// What it does.
    pub kind: TaskKind,
    /// Where it is in its life.
    pub state: TaskState,
    /// Volumes gone through.
    pub done: u64,
    /// Volumes to go through.
    pub total: u64,
    /// Bytes read or moved.
    pub bytes: u64,
    /// Damaged columns and unreadable stripes found.
    pub findings: u64,
    /// Columns rebuilt, or volumes compacted.
    pub repaired: u64,
    /// Findings that cannot be repaired now: no drive to place a column on, or too few columns left.
    pub unrepairable: u64,
}

/// All tasks of this life, the oldest forgotten first.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: Mutex<(u64, BTreeMap<TaskId, TaskHandle>)>,
    /// One at a time: they would only get into each other's way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tasks {
    /// The turn, if no task is at work: background work that a task may also do must not be done twice.
    pub(crate) fn try_turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }
}

/// The worker's side of a task.
#[derive(Clone)]
pub(crate) struct TaskHandle {
    progress: Arc<Mutex<TaskProgress>>,
}

impl TaskHandle {
    pub(crate) fn begin(&self, total: u64) {
        self.progress.lock().total = total;
    }

    pub(crate) fn volume_done(&self) {
        self.progress.lock().done += 1;
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.progress.lock().bytes += bytes;
    }

    pub(crate) fn add_findings(&self, count: u64) {
        self.progress.lock().findings += count;
    }

    pub(crate) fn add_repaired(&self, count: u64) {
        self.progress.lock().repaired += count;
    }

    pub(crate) fn add_unrepairable(&self, count: u64) {
        self.progress.lock().unrepairable += count;
    }
}

/// Runs a task when no other node runs one.
async fn run_under_lease(inner: &Arc<Inner>, kind: TaskKind, task: &TaskHandle) -> Result<()> {
    loop {
        match inner.claim_within(TASK_LEASE, TASK_PATIENCE).await {
            Ok(Some(claim)) => return scrub::run(inner, &claim, kind, task).await,
            Ok(None) => tracing::info!(?kind, "a task waits until the one of another node has ended"),
            // The database is away; the task waits with everything else.
            Err(error) => tracing::warn!(?kind, %error, "a task cannot be begun yet"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

impl Engine {
    /// Starts a task; it waits for its turn if another is at work, on whatever node.
    pub fn start_task(&self, kind: TaskKind) -> TaskId {
        let progress = TaskProgress {
            kind,
            state: TaskState::Running,
            done: 0,
            total: 0,
            bytes: 0,
            findings: 0,
            repaired: 0,
            unrepairable: 0,
        };
        let handle = TaskHandle { progress: Arc::new(Mutex::new(progress)) };
        let id = {
            let mut tasks = self.inner.tasks.tasks.lock();
            tasks.0 += 1;
            let id = TaskId(tasks.0);
            tasks.1.insert(id, handle.clone());
            while tasks.1.len() > TASKS_KEPT_MAX {
                tasks.1.pop_first();
            }
            id
        };
        let inner = Arc::clone(&self.inner);
        self.inner.upkeep.spawn(async move {
            let _turn = inner.tasks.turn.clone().lock_owned().await;
            let result = run_under_lease(&inner, kind, &handle).await;
            handle.progress.lock().state = match result {
                Ok(()) => TaskState::Done,
                Err(error) => TaskState::Failed(error.to_string()),
            };
        });
        id
    }

    /// The tasks that are at work or wait for their turn, and how many damaged columns wait for being healed without one. Those of
    /// other nodes are not among them.
    #[must_use]
    pub fn running_tasks(&self) -> (Vec<(TaskId, TaskProgress)>, usize) {
        let tasks = self.inner.tasks.tasks.lock();
        let all = tasks.1.iter().map(|(id, handle)| (*id, handle.progress.lock().clone()));
        let running = all.filter(|(_, progress)| progress.state == TaskState::Running).collect();
        (running, self.inner.damage.count())
    }

    /// How far a task is; `None` if it was never started or is long forgotten.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<TaskProgress> {
        let tasks = self.inner.tasks.tasks.lock();
        tasks.1.get(&id).map(|handle| handle.progress.lock().clone())
    }
}
