//! Pooling: a node whose clients put few small objects hands them to the packer of another node, the head of its pool.
//!
//! A group costs a flush of each of its columns and a transaction, however few objects it has, and clients that are spread over nodes
//! make short groups on each. So a node has the objects that wait together packed by the head (`nodes/pools.rs`), which puts them
//! into its own groups like those of its own clients, commits them, and answers with what became of each.
//!
//! * Only plain puts of clients are handed over. All that is decided before a body is packed, from the signature to the quota, is
//!   decided where the client is; conditions are decided in the commit, as always. What goes over is the record, the body and its
//!   hash, and what goes behind the put (`codec.rs`). The head checks all of it, or takes nothing. An MD5 that is still to come is
//!   computed by the head, with its group.
//! * Requests that wait together go in one hand-over; while [`UNDER_WAY_MAX`] of them are under way the next one forms (`lane.rs`).
//! * Whether it is worth it is told by the answers (`advice.rs`): a lone client is asked for one hand-over in a tenth of a second.
//! * What was surely not taken, or surely not committed, is packed here instead. What was sent and not answered is of unknown
//!   outcome: its client gets 503, and nothing is tried again, or one put could be two. Who does not answer, or
//!   answers late, is not asked for a while; who does not understand, for longer, as it is of an older release.
//! * The head goes on with what it took, whoever goes away. One that stops takes nothing more, and answers what it has.
//! * Stamps (`told.rs`) go along both ways, so that two writes of one client have stamps in their order, whichever of them was packed
//!   where and however far apart the clocks are.

mod advice;
mod codec;
mod door;
mod lane;
mod take;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use granary_cluster::rpc::{HandOverError, Peer};
use granary_types::NodeId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::incoming::Request;
use super::packer::Queues;
use crate::nodes::Nodes;
use crate::tiers::Tier;
use advice::{Advice, Choice, Heard, Load};
pub(super) use codec::BEHIND_MAX;
pub(crate) use door::Door;
use lane::Lane;

/// Requests that wait for their turn; beyond, they are packed here.
const QUEUE_LENGTH_MAX: usize = 1024;
/// Hand-overs at once. An answer comes when the head's group is done: with few at once, who comes a little later than others would
/// miss the next group too.
const UNDER_WAY_MAX: u32 = 8;

/// Who packs for this node.
pub(crate) trait Pool: Send + Sync + 'static {
    /// The head of the pool; `None` if that is this node.
    fn head(&self) -> Option<(NodeId, Arc<dyn Head>)>;
}

/// The packer of another node.
#[async_trait]
pub(crate) trait Head: Send + Sync {
    /// As [`Peer::hand_over`].
    async fn hand_over(&self, pieces: Vec<Bytes>) -> Result<Bytes, HandOverError>;
}

impl Pool for Nodes {
    fn head(&self) -> Option<(NodeId, Arc<dyn Head>)> {
        self.pool_head().map(|(id, peer)| (id, peer as Arc<dyn Head>))
    }
}

#[async_trait]
impl Head for Peer {
    async fn hand_over(&self, pieces: Vec<Bytes>) -> Result<Bytes, HandOverError> {
        self.hand_over(pieces).await
    }
}

/// What is known of the load, here and elsewhere.
pub(super) struct Loads {
    /// Puts of this node's clients that are not answered.
    requests: AtomicU64,
    bytes: AtomicU64,
    /// As the head of a pool.
    heard: Mutex<Heard>,
    advice: Mutex<Advice>,
}

impl Loads {
    fn own(&self) -> Load {
        let requests = self.requests.load(Ordering::Relaxed);
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        Load { requests, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// What all but this sender have in flight, as far as this node knows.
    fn others(&self, sender: NodeId) -> Load {
        self.heard.lock().others(sender, Instant::now()).plus(self.own())
    }

    /// What an answer tells: what others have in flight, and how long the head's group took.
    fn learn(&self, others: Load, took: Duration) {
        let mut advice = self.advice.lock();
        advice.learn(Instant::now(), self.own(), (others, took));
        metrics::gauge!("granary_pool_together").set(f64::from(u8::from(advice.is_together())));
    }

    fn fail(&self, pause: Duration) {
        self.advice.lock().fail(Instant::now(), pause);
        metrics::gauge!("granary_pool_together").set(0.0);
    }
}

/// A put of this node's client, until it is answered or nobody waits for it.
pub(super) struct Flight {
    loads: Arc<Loads>,
    bytes: u64,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.loads.requests.fetch_sub(1, Ordering::Relaxed);
        self.loads.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A request on its way to the head, and where it is packed otherwise.
pub(super) struct Handing {
    pub(super) tier: Tier,
    pub(super) request: Request,
}

/// The part of a packer that hands over.
pub(super) struct Pooling {
    pub(super) loads: Arc<Loads>,
    /// The entrance of the lane; `None` where nothing is handed over.
    lane: RwLock<Option<mpsc::Sender<Handing>>>,
}

impl Pooling {
    /// Without a pool nothing is handed over.
    pub(super) fn new(queues: &Arc<Queues>, pool: Option<Arc<dyn Pool>>) -> Self {
        let loads = Arc::new(Loads {
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            heard: Mutex::default(),
            advice: Mutex::new(Advice::new(Instant::now())),
        });
        let lane = pool.map(|pool| {
            let (entrance, handings) = mpsc::channel(QUEUE_LENGTH_MAX);
            let lane = Lane::new(pool, Arc::clone(queues), Arc::clone(&loads));
            queues.spawn(Arc::new(lane).run(handings));
            entrance
        });
        Self { loads, lane: RwLock::new(lane) }
    }

    /// Counts a put until the flight is dropped.
    pub(super) fn begin(&self, bytes: usize) -> Flight {
        let bytes = bytes as u64;
        self.loads.requests.fetch_add(1, Ordering::Relaxed);
        self.loads.bytes.fetch_add(bytes, Ordering::Relaxed);
        Flight { loads: Arc::clone(&self.loads), bytes }
    }

    /// Hands a put over, or gives it back to be packed here. What does not belong in the `usual` tier stays.
    pub(super) fn offer(&self, handing: Handing, usual: impl FnOnce() -> Tier) -> Option<Handing> {
        let lane = self.lane.read();
        let Some(lane) =
            lane.as_ref().filter(|_| handing.request.may_be_handed_over() && handing.tier == usual())
        else {
            return Some(handing);
        };
        let choice = self.loads.advice.lock().choose(Instant::now(), self.loads.own());
        if choice == Choice::Here {
            return Some(handing);
        }
        match lane.try_send(handing) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(handing) | mpsc::error::TrySendError::Closed(handing)) => {
                self.loads.fail(advice::APART);
                Some(handing)
            }
        }
    }

    /// Hands nothing over any more.
    pub(super) fn close(&self) {
        self.lane.write().take();
    }
}
