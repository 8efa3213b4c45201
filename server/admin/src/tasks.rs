//! Tasks in the background: started once each, metered while they run, remembered for a while.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::error::AdminError;
use crate::model::{TaskId, TaskKind, TaskProgress, TaskState};

/// Tasks that are remembered; the oldest finished ones are forgotten first.
const MAX_TASKS: usize = 64;
/// Findings that are kept in words.
const MAX_DETAILS: usize = 100;

/// What a running task reports to.
#[derive(Debug, Default)]
pub struct TaskMeter {
    done: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
    findings: AtomicU64,
    details: Mutex<Vec<String>>,
}

impl TaskMeter {
    /// Sets the units of work in all.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Sets the units of work done.
    pub fn set_done(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Sets the bytes read and written.
    pub fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Adds a problem; only the first ones are kept in words.
    pub fn add_finding(&self, detail: impl Display) {
        self.findings.fetch_add(1, Ordering::Relaxed);
        let mut details = self.details.lock();
        if details.len() < MAX_DETAILS {
            details.push(detail.to_string());
        }
    }
}

struct Entry {
    id: TaskId,
    kind: TaskKind,
    state: TaskState,
    meter: Arc<TaskMeter>,
}

/// The tasks of one server. Cheap to clone; all clones are the same board.
#[derive(Clone, Default)]
pub struct TaskBoard {
    entries: Arc<Mutex<VecDeque<Entry>>>,
    started: Arc<AtomicU64>,
}

impl TaskBoard {
    /// Starts `run` in the background, unless a task of that kind is running: then its id is returned and `run` is
    /// dropped. Needs a running tokio runtime.
    pub fn start<F, R>(&self, kind: TaskKind, run: F) -> TaskId
    where
        F: FnOnce(Arc<TaskMeter>) -> R,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut entries = self.entries.lock();
        if let Some(running) = entries.iter().find(|e| e.kind == kind && e.state == TaskState::Running) {
            return running.id.clone();
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let id = new_id(kind, number);
        let meter = Arc::new(TaskMeter::default());
        let task = tokio::spawn(run(Arc::clone(&meter)));
        entries.push_back(Entry { id: id.clone(), kind, state: TaskState::Running, meter });
        forget_oldest(&mut entries);
        drop(entries);
        let (board, watched) = (self.clone(), id.clone());
        // Watching from outside, so that a panic in the task is a failure and not a task that runs for ever.
        tokio::spawn(async move {
            let state = match task.await {
                Ok(Ok(())) => TaskState::Done,
                Ok(Err(error)) => TaskState::Failed(error),
                Err(error) => TaskState::Failed(format!("the task ended abnormally: {error}")),
            };
            tracing::info!(task = %watched, ?state, "task ended");
            board.end(&watched, state);
        });
        id
    }

    /// How far a task is.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for an id that was never given out or is forgotten.
    pub fn progress(&self, id: &TaskId) -> Result<TaskProgress, AdminError> {
        let entries = self.entries.lock();
        let entry = entries
            .iter()
            .find(|entry| entry.id == *id)
            .ok_or_else(|| AdminError::NotFound("there is no such task".to_owned()))?;
        let meter = &entry.meter;
        Ok(TaskProgress {
            task: entry.id.clone(),
            kind: entry.kind,
            state: entry.state.clone(),
            done: meter.done.load(Ordering::Relaxed),
            total: meter.total.load(Ordering::Relaxed),
            bytes: meter.bytes.load(Ordering::Relaxed),
            findings: meter.findings.load(Ordering::Relaxed),
            finding_details: meter.details.lock().clone(),
        })
    }

    fn end(&self, id: &TaskId, state: TaskState) {
        if let Some(entry) = self.entries.lock().iter_mut().find(|entry| entry.id == *id) {
            entry.state = state;
        }
    }
}

fn forget_oldest(entries: &mut VecDeque<Entry>) {
    while entries.len() > MAX_TASKS {
        // One task of each kind runs at most, so there is a finished one among so many.
        match entries.iter().position(|entry| entry.state != TaskState::Running) {
            Some(at) => drop(entries.remove(at)),
            None => return,
        }
    }
}

/// Ids differ from those of the server's earlier lives, which a client may still ask for.
fn new_id(kind: TaskKind, number: u64) -> TaskId {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    TaskId(format!("{}-{now_ms:x}-{number}", kind.as_str()))
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;
