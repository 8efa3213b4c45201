//! Another node, watched by heartbeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use granary_types::{DriveId, NodeId};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::call::Shared;
use super::call_error::CallError;
use super::drive::RemoteDrive;
use super::{PeerOptions, PeerState};
use crate::rpc::error::RpcError;
use crate::rpc::wire::HelloAnswer;

/// Another node of the cluster and its drives. Dropped, it is no longer watched, and its drives soon count as dead.
#[derive(Debug)]
pub struct Peer {
    pub(super) watched: Arc<Watched>,
    heartbeat: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Watched {
    pub(super) shared: Arc<Shared>,
    drives: Mutex<BTreeMap<DriveId, Arc<RemoteDrive>>>,
    problem: Mutex<Option<String>>,
}

impl Peer {
    /// Begins to watch a node. It needs not be there yet. Must be called within a runtime.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(options: PeerOptions) -> Result<Self, RpcError> {
        let watched = Arc::new(Watched {
            shared: Arc::new(Shared::new(options)?),
            drives: Mutex::default(),
            problem: Mutex::default(),
        });
        let heartbeat = tokio::spawn(beat(Arc::clone(&watched)));
        Ok(Self { watched, heartbeat })
    }

    /// Its drives, as far as they were ever heard of; one that it no longer has is not usable.
    #[must_use]
    pub fn drives(&self) -> Vec<Arc<RemoteDrive>> {
        self.watched.drives.lock().values().cloned().collect()
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> PeerState {
        self.watched.shared.state()
    }

    /// Who it is, once it has answered.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.watched.shared.known().node
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.watched.shared.options.address
    }

    /// Why the last heartbeat failed, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.watched.problem.lock().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

async fn beat(watched: Arc<Watched>) {
    let shared = Arc::clone(&watched.shared);
    let mut was_alive = false;
    loop {
        let begun = Instant::now();
        match shared.hello().await {
            Ok(hello) => watched.learn(hello),
            Err(error) => watched.note_problem(&error),
        }
        let is_alive = shared.state().is_alive();
        if is_alive != was_alive {
            let (address, problem) = (&shared.options.address, watched.problem.lock().clone());
            if is_alive {
                tracing::info!(address, "a node answers");
            } else {
                tracing::warn!(address, ?problem, "a node does not answer");
                shared.hang_up().await;
            }
            was_alive = is_alive;
        }
        if is_alive {
            shared.close_handles().await;
        }
        let pause = shared.options.timing.heartbeat_interval.saturating_sub(begun.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.wake.notified() => {}
        }
    }
}

impl Watched {
    fn note_problem(&self, error: &CallError) {
        *self.problem.lock() = Some(error.reason().to_owned());
    }

    fn learn(&self, hello: HelloAnswer) {
        *self.problem.lock() = None;
        let mut drives = self.drives.lock();
        for (id, drive) in drives.iter() {
            if !hello.drives.iter().any(|report| report.drive == *id) {
                drive.note_absent();
            }
        }
        for report in hello.drives {
            match drives.get(&report.drive) {
                Some(drive) => drive.learn(report),
                None => {
                    let drive = RemoteDrive::new(Arc::clone(&self.shared), report);
                    drives.insert(drive.core_id(), Arc::new(drive));
                }
            }
        }
    }
}
