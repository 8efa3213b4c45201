//! Group commit of small objects, without a timer.
//!
//! One task of each tier takes whatever has queued (`incoming.rs`), packs it into stripes, has them written and flushed, and
//! commits them; meanwhile the next group queues. So a group costs one flush of each drive and one metadata commit, and grows
//! with the load. Flushing the next group during the commit of this one was measured and is slower: the groups
//! get smaller, and their flushes compete with the commit's for the same drives (docs/benchmarks.md). What becomes of
//! one group is told in `group.rs`. Requests wait on a channel of their own: a client that hangs up disturbs nobody. On a cluster
//! small puts may be packed by another node (`pooling`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use granary_metadata::{MetadataStore, Outcome, RenameObject, Write};
use granary_simd::md5::Kernel;
use granary_types::UnixMillis;
use tokio::sync::oneshot;

use super::etags::{Draft, EtagRoom, tag};
use super::group::{Group, Line, NotStored};
use super::incoming::{Entrance, Incoming, Request, Waiting};
use super::manifest::{Recorded, Stamping};
use super::pack::Item;
use super::pack_write::PackWrite;
use super::pooling::{Handing, Pool, Pooling};
use crate::error::{EngineError, Result};
use crate::tiers::Tier;
use crate::told::Stamps;
use crate::upkeep::Upkeep;
use crate::volume::VolumePool;
use crate::waits::Waits;

/// What a request gets in the end.
pub(super) type Answered = Result<(Vec<Outcome>, Waits), NotStored>;

const STOPPED: EngineError = EngineError::Unavailable { context: "packing: the store is shutting down" };

/// The entrance to what packs, here or on another node.
pub(crate) struct Packer {
    queues: Arc<Queues>,
    pooling: Pooling,
}

/// The queues of this node: each tier has one, so that writes to disks are not waited for by those to SSDs.
pub(super) struct Queues {
    pub(super) shared: Shared,
    /// `None` when nothing more is taken.
    entrances: parking_lot::RwLock<Option<HashMap<Tier, Entrance>>>,
    tasks: parking_lot::Mutex<Vec<tokio::task::JoinHandle<()>>>,
    /// How many requests of clients are queued.
    waiting: Arc<AtomicUsize>,
}

/// What the queues share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) pool: Arc<VolumePool>,
    store: Arc<dyn MetadataStore>,
    /// One for all: what a client writes after it was answered has the later stamp, wherever it is packed.
    pub(super) stamps: Arc<parking_lot::Mutex<Stamps>>,
    kernel: Kernel,
    /// Lays down what moves, and knows where requests are served, whoever comes first to a queue.
    upkeep: Arc<Upkeep>,
}

impl Packer {
    /// Nothing runs before there is something to pack; see [`Packer::close`]. `peers` says who may pack for this node.
    pub(crate) fn new(
        (pool, store): (&Arc<VolumePool>, &Arc<dyn MetadataStore>),
        life: u64,
        upkeep: Arc<Upkeep>,
        peers: Option<Arc<dyn Pool>>,
    ) -> Self {
        let (pool, store) = (Arc::clone(pool), Arc::clone(store));
        let stamps = Arc::new(parking_lot::Mutex::new(Stamps::new(life)));
        let queues = Arc::new(Queues {
            shared: Shared { pool, store, stamps, kernel: Kernel::detect(), upkeep },
            entrances: parking_lot::RwLock::new(Some(HashMap::new())),
            tasks: parking_lot::Mutex::default(),
            waiting: Arc::default(),
        });
        let pooling = Pooling::new(&queues, peers);
        Self { queues, pooling }
    }

    pub(super) fn queues(&self) -> &Queues {
        &self.queues
    }

    pub(super) fn pooling(&self) -> &Pooling {
        &self.pooling
    }

    /// Whether requests of clients wait to be packed. What is moved or copied does not count: it would keep itself from work.
    pub(crate) fn is_busy(&self) -> bool {
        self.queues.waiting.load(Ordering::Relaxed) > 0
    }

    /// Takes no more requests, of clients or of other nodes.
    pub(crate) fn close(&self) {
        self.pooling.close();
        self.queues.entrances.write().take();
    }

    /// Waits until everything queued is committed, after [`Packer::close`].
    pub(crate) async fn ended(&self) {
        let tasks = std::mem::take(&mut *self.queues.tasks.lock());
        for task in tasks {
            let _ended = task.await;
        }
    }

    /// Stores one small object and returns what became of its write, after it is durable.
    pub(crate) async fn write(
        &self,
        tier: Tier,
        bytes: Bytes,
        record: impl Into<Draft>,
        write: PackWrite,
    ) -> Result<Outcome> {
        let Draft { record, room } = record.into();
        let hash = *blake3::hash(&bytes).as_bytes();
        let outcomes = self.send(tier, vec![Item { bytes, hash, record }], (write, room)).await?;
        only(outcomes)
    }

    /// Stores a small object at its new key, and beside it `records` of what becomes of the old one.
    pub(crate) async fn rename(
        &self,
        tier: Tier,
        (bytes, record): (Bytes, Vec<u8>),
        records: Vec<Vec<u8>>,
        rename: RenameObject,
        behind: Vec<Write>,
    ) -> Result<Outcome> {
        let item = |bytes: Bytes, record| Item { hash: *blake3::hash(&bytes).as_bytes(), bytes, record };
        let mut items: Vec<Item> = records.into_iter().map(|record| item(Bytes::new(), record)).collect();
        // The place of the last item is the object's.
        items.push(item(bytes, record));
        let outcomes = self.send(tier, items, (PackWrite::Rename(Box::new(rename), behind), None)).await?;
        only(outcomes)
    }

    /// Makes records durable and then the writes true; one outcome for each write.
    pub(crate) async fn record(&self, records: Vec<Vec<u8>>, recorded: Recorded) -> Result<Vec<Outcome>> {
        self.record_in(self.queues.shared.pool.tiers.usual(), records, recorded).await
    }

    /// As [`Packer::record`], in this tier.
    pub(crate) async fn record_in(
        &self,
        tier: Tier,
        records: Vec<Vec<u8>>,
        recorded: Recorded,
    ) -> Result<Vec<Outcome>> {
        let hash = *blake3::hash(&[]).as_bytes();
        let items = records.into_iter().map(|record| Item { bytes: Bytes::new(), hash, record });
        self.send(tier, items.collect(), (PackWrite::Recorded(recorded), None)).await
    }

    /// Queues items that belong together and waits until they and their write are durable.
    async fn send(
        &self,
        tier: Tier,
        items: Vec<Item>,
        (write, room): (PackWrite, Option<EtagRoom>),
    ) -> Result<Vec<Outcome>> {
        let (reply, answer) = oneshot::channel();
        let waiting = (!write.is_upkeep()).then(|| self.queues.waiting());
        let request = Request { items, write, room, reply, _waiting: waiting };
        let is_put = matches!(request.write, PackWrite::Put(..));
        let _flight = is_put.then(|| self.pooling.begin(request.length()));
        let kept = self.pooling.offer(Handing { tier, request }, || self.queues.shared.pool.tiers.usual());
        if let Some(Handing { request, .. }) = kept
            && !self.queues.send(tier, request).await
        {
            return Err(STOPPED);
        }
        let (outcomes, waits) = answer.await.map_err(|_| STOPPED)??;
        waits.note();
        Ok(outcomes)
    }

    /// Stores what moves to a tier, in as few groups as it takes; what became of each, in their order.
    pub(crate) async fn write_lot(
        &self,
        tier: Tier,
        lot: Vec<(Bytes, Vec<u8>, PackWrite)>,
    ) -> Vec<Result<Outcome>> {
        let request = |(bytes, record, write): (Bytes, Vec<u8>, PackWrite)| {
            let (reply, answer) = oneshot::channel();
            let hash = *blake3::hash(&bytes).as_bytes();
            let items = vec![Item { bytes, hash, record }];
            (Request { items, write, room: None, reply, _waiting: None }, answer)
        };
        let (lot, answers): (Vec<_>, Vec<_>) = lot.into_iter().map(request).unzip();
        if let Some(queue) = self.queues.queue(tier) {
            // A lot that is not taken is dropped, and its answers with it.
            let _sent = queue.lots.send(lot).await;
        }
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = answer.await.map_err(|_| STOPPED).and_then(|answer| Ok(answer?));
            outcomes.push(answer.and_then(|(outcomes, _)| only(outcomes)));
        }
        outcomes
    }
}

impl Queues {
    /// The queue of a tier, which its first request starts; `None` if nothing more is taken.
    pub(super) fn queue(&self, tier: Tier) -> Option<Entrance> {
        if let Some(queue) = self.entrances.read().as_ref()?.get(&tier) {
            return Some(queue.clone());
        }
        let mut entrances = self.entrances.write();
        let queue = entrances.as_mut()?.entry(tier).or_insert_with(|| {
            let (queue, incoming) = Incoming::new();
            self.spawn(commit_groups(incoming, self.shared.clone(), tier));
            queue
        });
        Some(queue.clone())
    }

    /// Queues a request; whether it was taken.
    pub(super) async fn send(&self, tier: Tier, request: Request) -> bool {
        let Some(queue) = self.queue(tier) else { return false };
        queue.requests.send(request).await.is_ok()
    }

    /// Counts a request of a client until what this gives is dropped.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting::of(&self.waiting)
    }

    /// Runs what has to end before the store is closed.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.shared.upkeep.spawn_serving(work);
        self.tasks.lock().push(task);
    }
}

async fn commit_groups(mut incoming: Incoming, shared: Shared, tier: Tier) {
    let Shared { pool, store, stamps, kernel, upkeep } = shared;
    let mut line = Line { pool, store, tier, turn: 0, last_flush: None };
    loop {
        let data_columns = line.pool.tiers.code(tier).data;
        let Some(mut group) = incoming.group(data_columns).await else { return };
        stamp(&mut group, &mut stamps.lock());
        tag(kernel, group.iter_mut().filter_map(Request::untagged).collect());
        metrics::histogram!("granary_pack_group_objects").record(group.len() as f64);
        let requests = group.into_iter().map(|request| (request.items, request.write, request.reply));
        let group = Group::of(requests);
        if group.moves() {
            // Megabytes to encode.
            let stored = upkeep.spawn(async move {
                line.store_group(group).await;
                line
            });
            let Ok(back) = stored.await else { return };
            line = back;
        } else {
            line.store_group(group).await;
        }
    }
}

/// The outcome of a request's only write, or of its first.
fn only(outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
}

/// Stamps what is new, in the order of the commits.
fn stamp(group: &mut [Request], stamps: &mut Stamps) {
    let now = UnixMillis::now().0;
    for request in group.iter_mut().filter(|request| request.write.stamping() == Stamping::Now) {
        let stamp = stamps.next(now);
        request.items.iter_mut().for_each(|item| stamp.write(&mut item.record));
    }
}
