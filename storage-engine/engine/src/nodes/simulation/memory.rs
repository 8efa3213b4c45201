//! The metadata that nodes share, in memory, and what may become of a call to it: it is slow, or lost before or after it was
//! done, or done when its caller has given it up and asked for other things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use granary_metadata::{
    Drain, LeaseRow, Membership, MetadataError, NewNode, NodeDrive, NodeRow, NodeState, Result,
};
use granary_types::{ClusterId, DriveId, Epoch, NodeId, VolumeId};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::simulated::Choices;

/// How long a node waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a call that was given up may still be under way.
const LATE_MS: u64 = 40_000;

/// The rows, and the volumes of a few keys.
#[derive(Default)]
pub(super) struct State {
    cluster: Option<ClusterId>,
    nodes: BTreeMap<NodeId, NodeRow>,
    leases: BTreeMap<String, LeaseRow>,
    last_epoch: u64,
    next_volume: u128,
    /// The volume that each key is in.
    pub(super) keys: BTreeMap<u64, VolumeId>,
    /// Volumes in which nothing lives any more.
    pub(super) freed: BTreeSet<VolumeId>,
}

impl State {
    /// Puts a key into a new volume and frees the one that it was in.
    pub(super) fn replace(&mut self, key: u64) {
        self.next_volume += 1;
        let volume = VolumeId::from_bytes(self.next_volume.to_be_bytes());
        self.freed.extend(self.keys.insert(key, volume));
    }
}

/// All that is outside the nodes.
pub(super) struct World {
    pub(super) state: Mutex<State>,
    pub(super) choices: Choices,
    /// Until then no call comes through.
    pub(super) away_until: Mutex<Instant>,
    /// Until then calls take seconds.
    pub(super) slow_until: Mutex<Instant>,
    /// Whether anything goes wrong at all.
    pub(super) is_calm: Mutex<bool>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::default(),
            choices: Choices::new(seed),
            away_until: Mutex::new(now),
            slow_until: Mutex::new(now),
            is_calm: Mutex::new(false),
        }
    }
}

/// What becomes of a call.
enum Fate {
    Answered,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done so long after it was given up.
    Late(Duration),
    Lost,
}

/// One node's way to the metadata.
pub(super) struct Link {
    world: Arc<World>,
    /// Calls share a connection, as they do in the store.
    turn: tokio::sync::Mutex<()>,
    /// Until then this node does not reach the metadata.
    pub(super) cut_until: Mutex<Instant>,
    /// Until then the process stands still.
    pub(super) frozen_until: Mutex<Instant>,
}

impl Link {
    pub(super) fn new(world: Arc<World>) -> Self {
        let now = Instant::now();
        Self {
            world,
            turn: tokio::sync::Mutex::default(),
            cut_until: Mutex::new(now),
            frozen_until: Mutex::new(now),
        }
    }

    fn fate(&self) -> (Fate, Duration, Duration) {
        let now = Instant::now();
        let choices = &self.world.choices;
        let slow = if *self.world.slow_until.lock() > now { 6_000 } else { 40 };
        let (before, after) = (choices.millis_below(slow), choices.millis_below(slow));
        let is_cut = *self.cut_until.lock() > now || *self.world.away_until.lock() > now;
        let goes_wrong = is_cut || (!*self.world.is_calm.lock() && choices.is_one_in(60));
        let fate = match (goes_wrong, choices.below(3)) {
            (false, _) => Fate::Answered,
            (true, 0) if !is_cut => Fate::Unanswered,
            (true, 1) => Fate::Late(choices.millis_below(LATE_MS)),
            (true, _) => Fate::Lost,
        };
        (fate, before, after)
    }

    pub(super) async fn thawed(&self) {
        loop {
            let until = *self.frozen_until.lock();
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Does something to the state, or does not.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        apply: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T> {
        let _turn = self.turn.lock().await;
        self.thawed().await;
        let (fate, before, after) = self.fate();
        sleep(before).await;
        let done = match fate {
            Fate::Answered => {
                let value = apply(&mut self.world.state.lock());
                sleep(after).await;
                Ok(value)
            }
            Fate::Unanswered => {
                drop(apply(&mut self.world.state.lock()));
                sleep(PATIENCE).await;
                Err(unavailable())
            }
            Fate::Late(late) => {
                let world = Arc::clone(&self.world);
                tokio::spawn(async move {
                    sleep(late).await;
                    drop(apply(&mut world.state.lock()));
                });
                // Some are given up at once: the connection broke.
                let wait = self.world.choices.below(2) * PATIENCE.as_secs();
                sleep(Duration::from_secs(wait)).await;
                Err(unavailable())
            }
            Fate::Lost => {
                sleep(PATIENCE).await;
                Err(unavailable())
            }
        };
        self.thawed().await;
        done
    }
}

fn unavailable() -> MetadataError {
    MetadataError::Unavailable { context: "simulating", source: "the call was lost".into() }
}

#[async_trait]
impl Membership for Link {
    async fn cluster(&self) -> Result<Option<ClusterId>> {
        self.call(|state| state.cluster).await
    }

    async fn found(&self, cluster: ClusterId) -> Result<ClusterId> {
        self.call(move |state| *state.cluster.get_or_insert(cluster)).await
    }

    async fn join(&self, node: NewNode) -> Result<bool> {
        self.call(move |state| {
            let new = NodeRow { node: node.clone(), state: NodeState::Active, beats: 0, oldest_read_ms: 0 };
            let row = state.nodes.entry(node.id).or_insert(new);
            row.node = node;
            row.beats += 1;
            row.state == NodeState::Active
        })
        .await
    }

    async fn beat(&self, node: NodeId, answered: u64, oldest_read_ms: u64) -> Result<Option<u64>> {
        self.call(move |state| {
            let row = state.nodes.get_mut(&node).filter(|row| row.state == NodeState::Active)?;
            if row.beats <= answered + 1 {
                row.oldest_read_ms = oldest_read_ms;
            }
            if row.beats <= answered {
                row.beats = answered + 1;
            }
            Some(row.beats)
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>> {
        self.call(|state| state.nodes.values().cloned().collect()).await
    }

    async fn node_drives(&self) -> Result<Vec<NodeDrive>> {
        Ok(Vec::new())
    }

    async fn remove_node(&self, node: NodeId) -> Result<bool> {
        self.call(move |state| {
            let row = state.nodes.get_mut(&node);
            row.map(|row| row.state = NodeState::Removed).is_some()
        })
        .await
    }

    async fn open_volumes(&self) -> Result<Vec<(VolumeId, Option<NodeId>)>> {
        Ok(Vec::new())
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>> {
        let name = name.to_owned();
        self.call(move |state| state.leases.get(&name).copied()).await
    }

    async fn take_lease(&self, name: &str, holder: NodeId, seen: Option<LeaseRow>) -> Result<Option<Epoch>> {
        let name = name.to_owned();
        self.call(move |state| {
            if state.leases.get(&name).copied() != seen {
                return None;
            }
            // Far from all before, as a drawn one is.
            state.last_epoch += 1_000_000;
            let epoch = Epoch(seen.map_or(state.last_epoch, |seen| seen.epoch.0 + 1));
            state.leases.insert(name, LeaseRow { holder, epoch, beats: 0 });
            Some(epoch)
        })
        .await
    }

    async fn renew_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool> {
        let name = name.to_owned();
        self.call(move |state| {
            let row = state.leases.get_mut(&name).filter(|row| row.holder == holder && row.epoch == epoch);
            row.map(|row| row.beats += 1).is_some()
        })
        .await
    }

    async fn release_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool> {
        let name = name.to_owned();
        self.call(move |state| {
            let is_held =
                state.leases.get(&name).is_some_and(|row| row.holder == holder && row.epoch == epoch);
            is_held && state.leases.remove(&name).is_some()
        })
        .await
    }

    async fn put_drain(&self, _: Drain) -> Result<()> {
        Ok(())
    }

    async fn end_drain(&self, _: DriveId) -> Result<bool> {
        Ok(false)
    }

    async fn drains(&self) -> Result<Vec<Drain>> {
        Ok(Vec::new())
    }

    async fn retire_drive(&self, _: DriveId) -> Result<bool> {
        Ok(false)
    }
}
