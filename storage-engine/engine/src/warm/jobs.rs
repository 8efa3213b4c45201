//! Work on prefixes that was asked for, and how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_types::{BucketName, UnixMillis};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

const JOBS_KEPT_MAX: usize = 64;

/// Names a job in this life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WarmJobId(pub u64);

/// What a job does with a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarmJobKind {
    /// Make copies that go when their room is needed.
    Prefetch,
    /// Make copies that stay.
    Pin,
}

/// Where a job is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WarmJobState {
    /// At work.
    Running,
    /// Everything was gone through.
    Done,
    /// Ended early, and why.
    Failed(String),
}

/// A job as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmJob {
    /// What it does.
    pub kind: WarmJobKind,
    /// The bucket.
    pub bucket: BucketName,
    /// The prefix.
    pub prefix: String,
    /// Where it is in its life.
    pub state: WarmJobState,
    /// Objects found so far that lie on disks and can be read at once.
    pub found: u64,
    /// Of these, what was copied.
    pub copied: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// What had a copy already.
    pub warm: u64,
    /// What was replaced, deleted or copied by somebody else meanwhile.
    pub changed: u64,
    /// What could not be copied now.
    pub failed: u64,
    /// Which of that was the last, and why.
    #[serde(default)]
    pub failure: Option<String>,
    /// What there was no room for.
    pub no_room: u64,
    /// Objects that lie on SSDs anyway.
    pub on_ssd: u64,
    /// Archived objects, which only a restore makes readable.
    pub archived: u64,
    /// When it was asked for.
    pub asked: UnixMillis,
    /// When its turn came; `None` as long as it waits for that.
    pub began: Option<UnixMillis>,
    /// Bytes of what was found and is not copied yet.
    pub left_bytes: u64,
    /// Whether all objects of the prefix were looked at, so that nothing more is found.
    pub is_listed: bool,
}

/// The worker's side of a job.
#[derive(Clone)]
pub(super) struct JobHandle(Arc<Mutex<WarmJob>>);

impl JobHandle {
    pub(super) fn change(&self, change: impl FnOnce(&mut WarmJob)) {
        change(&mut self.0.lock());
    }

    pub(super) fn shown(&self) -> WarmJob {
        self.0.lock().clone()
    }
}

/// All jobs of this life, the oldest forgotten first.
#[derive(Default)]
pub(super) struct WarmJobs {
    jobs: Mutex<(u64, BTreeMap<WarmJobId, JobHandle>)>,
    /// One at a time: two would fight for the same room.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    running: Mutex<Vec<AbortHandle>>,
}

impl WarmJobs {
    pub(super) fn begin(
        &self,
        kind: WarmJobKind,
        bucket: BucketName,
        prefix: String,
    ) -> (WarmJobId, JobHandle) {
        let handle = JobHandle(Arc::new(Mutex::new(WarmJob {
            kind,
            bucket,
            prefix,
            state: WarmJobState::Running,
            found: 0,
            copied: 0,
            bytes: 0,
            warm: 0,
            changed: 0,
            failed: 0,
            failure: None,
            no_room: 0,
            on_ssd: 0,
            archived: 0,
            asked: UnixMillis::now(),
            began: None,
            left_bytes: 0,
            is_listed: false,
        })));
        let mut jobs = self.jobs.lock();
        jobs.0 = jobs.0.wrapping_add(1);
        let id = WarmJobId(jobs.0);
        jobs.1.insert(id, handle.clone());
        while jobs.1.len() > JOBS_KEPT_MAX {
            jobs.1.pop_first();
        }
        (id, handle)
    }

    /// Knows the task of a job.
    pub(super) fn note(&self, task: AbortHandle) {
        let mut running = self.running.lock();
        running.retain(|task| !task.is_finished());
        running.push(task);
    }

    /// Ends all jobs where they are.
    pub(super) fn stop_all(&self) {
        self.running.lock().drain(..).for_each(|task| task.abort());
    }

    pub(super) fn get(&self, id: WarmJobId) -> Option<WarmJob> {
        self.jobs.lock().1.get(&id).map(JobHandle::shown)
    }
}
