//! One node of a simulation, and what it does.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use granary_cluster::rpc::ClusterSecret;
use granary_metadata::Membership;
use granary_metadata::conformance::membership::node_id;
use granary_types::{ClusterId, VolumeId};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use super::memory::Link;
use super::{KEYS, Shared};
use crate::nodes::{BEAT_INTERVAL, Claim, Nodes};
use crate::read::Running;

const READERS: usize = 3;
const JANITOR_INTERVAL: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(2);
const CLAIM: &str = "volume/1";

pub(super) struct SimulatedNode {
    pub(super) nodes: Arc<Nodes>,
    pub(super) link: Arc<Link>,
    running: Arc<Running>,
    claim: Mutex<Option<Claim>>,
    shared: Arc<Shared>,
}

impl SimulatedNode {
    pub(super) fn new(number: u64, shared: &Arc<Shared>) -> Self {
        let link = Arc::new(Link::new(Arc::clone(&shared.world)));
        Self {
            nodes: Arc::new(nodes(number, Arc::clone(&link) as Arc<dyn Membership>)),
            link,
            running: Arc::default(),
            claim: Mutex::default(),
            shared: Arc::clone(shared),
        }
    }

    pub(super) fn holds_claim(&self) -> bool {
        self.claim.lock().as_ref().is_some_and(Claim::is_held)
    }

    /// Begins everything that the node does.
    pub(super) fn start(self: &Arc<Self>) {
        self.spawn(Self::beat_and_look);
        self.spawn(Self::be_asked);
        self.spawn(Self::remove_free);
        self.spawn(Self::claim_now_and_then);
        self.spawn(Self::write);
        for _ in 0..READERS {
            self.spawn(Self::read);
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, work: fn(Arc<Self>) -> F) {
        let frozen =
            Frozen { work: Box::pin(work(Arc::clone(self))), link: Arc::clone(&self.link), thaw: None };
        tokio::spawn(frozen);
    }

    async fn pause_below(&self, bound_ms: u64) {
        let pause = self.shared.choose(bound_ms);
        sleep(Duration::from_millis(pause)).await;
    }

    /// The loop of `Watching`, without meeting the others.
    async fn beat_and_look(self: Arc<Self>) {
        loop {
            if self.nodes.beat(Some(&self.running)).await.is_ok() {
                let _ = self.nodes.look().await;
            }
            let _ = self.nodes.tend_lease().await;
            sleep(BEAT_INTERVAL).await;
        }
    }

    /// Operators ask for what is planned, which looks at once.
    async fn be_asked(self: Arc<Self>) {
        loop {
            self.pause_below(20_000).await;
            if self.nodes.beat(Some(&self.running)).await.is_ok() {
                let _ = self.nodes.look().await;
            }
        }
    }

    /// What the reclaimer does with the volumes that are free.
    async fn remove_free(self: Arc<Self>) {
        let mut seen: HashMap<VolumeId, Instant> = HashMap::new();
        loop {
            sleep(JANITOR_INTERVAL).await;
            if !self.nodes.leads() {
                seen.clear();
                continue;
            }
            let Ok(freed) = self.link.call(|state| state.freed.clone()).await else { continue };
            seen.retain(|volume, _| freed.contains(volume));
            for volume in freed {
                let since = *seen.entry(volume).or_insert_with(Instant::now);
                let is_due = since.elapsed() >= GRACE
                    && self.nodes.no_read_since(since)
                    && self.running.all_after(since);
                if is_due {
                    self.shared.removed.lock().insert(volume);
                    let _ = self.link.call(move |state| state.freed.remove(&volume)).await;
                }
            }
        }
    }

    async fn claim_now_and_then(self: Arc<Self>) {
        loop {
            self.pause_below(5_000).await;
            let Ok(Some(claim)) = self.nodes.claim(CLAIM).await else { continue };
            *self.claim.lock() = Some(claim);
            self.pause_below(30_000).await;
            drop(self.claim.lock().take());
        }
    }

    async fn write(self: Arc<Self>) {
        while !*self.shared.world.is_calm.lock() {
            self.pause_below(8_000).await;
            let key = self.shared.choose(KEYS);
            let _ = self.link.call(move |state| state.replace(key)).await;
        }
    }

    /// Reads piece by piece, as fast or slowly as its client takes them.
    async fn read(self: Arc<Self>) {
        while !*self.shared.world.is_calm.lock() {
            self.pause_below(3_000).await;
            let guard = self.running.begin();
            let key = self.shared.choose(KEYS);
            let Ok(Some(volume)) = self.find(key).await else { continue };
            let longest_ms = if self.shared.choose(10) == 0 { 60_000 } else { 2_000 };
            for _ in 0..self.shared.choose(8) {
                self.pause_below(longest_ms).await;
                if guard.check().is_err() {
                    break;
                }
                *self.shared.reads.lock() += 1;
                if self.shared.removed.lock().contains(&volume) {
                    self.shared.blame(format!("a read met a volume whose files are gone: {volume}"));
                }
            }
        }
    }

    /// Reads have connections of their own to the metadata, which may be well when the nodes' is not.
    async fn find(&self, key: u64) -> Result<Option<VolumeId>, granary_metadata::MetadataError> {
        if self.shared.choose(2) == 0 {
            return self.link.call(move |state| state.keys.get(&key).copied()).await;
        }
        self.pause_below(20).await;
        Ok(self.shared.world.state.lock().keys.get(&key).copied())
    }
}

/// What a node without drives knows of the others, over this way to the metadata.
pub(super) fn nodes(number: u64, membership: Arc<dyn Membership>) -> Nodes {
    let secret = ClusterSecret::new(&[7; 64]).unwrap();
    let cluster = ClusterId::from_bytes([1; 16]);
    Nodes::new(node_id(number), cluster, (secret, None), membership, Arc::default(), Arc::default())
}

/// Work of a process that may stand still, in whatever it is doing.
struct Frozen {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    link: Arc<Link>,
    thaw: Option<Pin<Box<Sleep>>>,
}

impl Future for Frozen {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let until = *self.link.frozen_until.lock();
            if Instant::now() >= until {
                return self.work.as_mut().poll(context);
            }
            let thaw = self.thaw.insert(Box::pin(tokio::time::sleep_until(until)));
            if thaw.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
