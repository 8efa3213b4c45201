//! The loop that beats and looks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use granary_cluster::rpc::{Peer, PeerOptions};
use granary_metadata::{Drain, NodeDrive, NodeRow, NodeState};
use granary_types::NodeId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::reads::ReadAges;
use super::{BEAT_INTERVAL, BLIND_AFTER, Known, Neighbour, Nodes};
use crate::error::{EngineError, Result};
use crate::read::Running;

/// A node that stood still for so long holds up the freeing of volumes no more: it has ended its reads itself.
const READS_FORGOTTEN_AFTER: Duration = Duration::from_mins(5);
/// A node that could not beat for so long, by its own clock, ends its reads. A database that fails over in less ends none.
const READS_ENDED_AFTER: Duration = Duration::from_mins(4);

/// The loop; ends when stopped or dropped.
pub(crate) struct Watching {
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Watching {
    pub(crate) fn start(nodes: Arc<Nodes>, running: Arc<Running>) -> Self {
        let stop = Arc::new(Notify::new());
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopping.notified() => return,
                    () = nodes.tick(&running) => {}
                }
                tokio::select! {
                    () = stopping.notified() => return,
                    () = tokio::time::sleep(BEAT_INTERVAL) => {}
                }
            }
        });
        Self { stop, task }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.notify_one();
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Nodes {
    async fn tick(&self, running: &Running) {
        if let Err(error) = self.beat_and_look(Some(running)).await {
            tracing::warn!(%error, "the other nodes cannot be looked at");
        }
        if let Err(error) = self.tend_lease().await {
            tracing::debug!(%error, "the lease of the background work cannot be tended");
        }
    }

    /// Says that this node lives, and learns of the others.
    pub(crate) async fn beat_and_look(&self, running: Option<&Running>) -> Result<()> {
        self.beat(running).await?;
        let (drives, drains) = self.look().await?;
        self.meet()?;
        self.assign(drives, drains);
        Ok(())
    }

    /// Says that this node lives, and how old its oldest read is.
    pub(super) async fn beat(&self, running: Option<&Running>) -> Result<()> {
        let mut answered = self.answered.lock().await;
        let oldest = running.and_then(Running::oldest).map(|began| began.elapsed()).unwrap_or_default();
        let age_ms = u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let began = Instant::now();
        let counter = self.membership.beat(self.id, *answered, age_ms).await?;
        *answered = counter.unwrap_or(*answered);
        if let Some(running) = running {
            running.heard(began + READS_ENDED_AFTER);
        }
        if counter.is_none() && !self.removed.swap(true, Ordering::AcqRel) {
            tracing::error!(node = %self.id, "this node was removed from the store; it takes no requests any more");
        }
        Ok(())
    }

    /// Looks whose counter went up. Returns the drives of all nodes, and which are being emptied.
    pub(super) async fn look(&self) -> Result<(Vec<NodeDrive>, Vec<Drain>)> {
        let asked = Instant::now();
        let (nodes, drives) = (self.membership.nodes().await?, self.membership.node_drives().await?);
        let drains = self.membership.drains().await?;
        self.note(nodes, asked);
        Ok((drives, drains))
    }

    /// Notes whose counter went up.
    fn note(&self, nodes: Vec<NodeRow>, now: Instant) {
        let mut known = self.known.lock();
        let last_look = known.get(&self.id).map(|known| known.progress);
        let was_blind = last_look.is_none_or(|at| now.duration_since(at) > BLIND_AFTER);
        let mut next = HashMap::with_capacity(nodes.len());
        for row in nodes {
            let id = row.node.id;
            let (progress, mut reads) = match known.remove(&id) {
                Some(before) if before.row.beats == row.beats && !was_blind && id != self.id => {
                    (before.progress, before.reads)
                }
                Some(before) => (now, before.reads),
                None => (now, ReadAges::default()),
            };
            reads.look(now, row.beats, Duration::from_millis(row.oldest_read_ms));
            next.insert(id, Known { row, progress, reads });
        }
        *known = next;
    }

    /// Begins to watch nodes that are new or have moved, and leaves those that were removed.
    fn meet(&self) -> Result<()> {
        let wanted: Vec<(NodeId, String)> = {
            let known = self.known.lock();
            let others = known.values().filter(|k| k.row.state == NodeState::Active);
            let others = others.map(|k| (k.row.node.id, k.row.node.address.clone()));
            others.filter(|(id, _)| *id != self.id).collect()
        };
        self.peers.keep(|id| wanted.iter().any(|(wanted, _)| wanted == id));
        for (id, address) in wanted {
            if self.peers.address(id).as_ref() == Some(&address) {
                continue;
            }
            tracing::info!(node = %id, address, "meeting a node");
            let mut options = PeerOptions::new(address.clone(), self.secret.clone(), self.cluster, self.id);
            options.expected = Some(id);
            options.tls = self.tls.clone();
            let peer = Peer::new(options).map_err(|error| EngineError::Io {
                context: "watching a node",
                source: std::io::Error::other(error),
            })?;
            self.peers.put(id, Neighbour { address, peer: Arc::new(peer) });
        }
        Ok(())
    }

    fn assign(&self, drives: Vec<NodeDrive>, drains: Vec<Drain>) {
        let zones: HashMap<NodeId, String> =
            self.known.lock().iter().map(|(id, known)| (*id, known.row.node.zone.clone())).collect();
        self.drives.assign(&drives, &zones, &drains);
        *self.listed.lock() = drives;
        *self.drains.lock() = drains;
    }

    /// Whether every read that runs on any node began after `seen`.
    pub(crate) fn no_read_since(&self, seen: Instant) -> bool {
        self.known
            .lock()
            .values()
            .filter(|known| known.row.state == NodeState::Active)
            .all(|known| known.reads.all_after(seen) || known.progress.elapsed() > READS_FORGOTTEN_AFTER)
    }
}
