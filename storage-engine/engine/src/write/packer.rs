//! Group commit of small objects, without a timer.
//!
//! One task takes whatever has queued, packs it into stripes, has them written and flushed, and commits them;
//! meanwhile the next group queues. So a group costs one flush of each drive and one metadata commit, and grows
//! with the load. Flushing the next group during the commit of this one was measured and is slower: the groups
//! get smaller, and their flushes compete with the commit's for the same drives (docs/benchmarks.md). What becomes of
//! one group is told in `group.rs`. Requests wait on a channel of their own: a client that hangs up disturbs nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use granary_metadata::{MetadataStore, Outcome, RenameObject, Write};
use granary_simd::md5::Kernel;
use granary_types::UnixMillis;
use tokio::sync::{mpsc, oneshot};

use super::etags::{Draft, EtagRoom, Untagged, tag};
use super::group::{Group, Line, Reply};
use super::manifest::{Recorded, Stamping};
use super::pack::Item;
use super::pack_write::PackWrite;
use crate::error::{EngineError, Result};
use crate::tiers::Tier;
use crate::told::Stamps;
use crate::volume::VolumePool;

const QUEUE_LENGTH_MAX: usize = 4096;
const GROUP_LENGTH_MAX: usize = 1024;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Writes of a group: what one transaction of the metadata takes in at most.
const GROUP_WRITES_MAX: usize = 2048;

struct Request {
    items: Vec<Item>,
    write: PackWrite,
    /// Of the object whose body is still to be hashed.
    room: Option<EtagRoom>,
    reply: Reply,
    /// Of what is not the store's own work.
    _waiting: Option<Waiting>,
}

/// Counts a request while it is queued.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Request {
    /// What is to be hashed of it.
    fn untagged(&mut self) -> Option<Untagged<'_>> {
        let PackWrite::Put(put, _) = &mut self.write else { return None };
        let Item { bytes, record, .. } = self.items.last_mut()?;
        Some(Untagged { bytes, record, etag: &mut put.object.etag, room: self.room.take()? })
    }
}

/// The entrance to the queues: each tier has one, so that writes to disks are not waited for by those to SSDs.
pub(crate) struct Packer {
    shared: Shared,
    /// `None` when nothing more is taken.
    queues: parking_lot::RwLock<Option<HashMap<Tier, mpsc::Sender<Request>>>>,
    tasks: parking_lot::Mutex<Vec<tokio::task::JoinHandle<()>>>,
    /// How many requests of clients are queued.
    waiting: Arc<AtomicUsize>,
}

/// What the queues share.
#[derive(Clone)]
struct Shared {
    pool: Arc<VolumePool>,
    store: Arc<dyn MetadataStore>,
    /// One for all: what a client writes after it was answered has the later stamp, wherever it is packed.
    stamps: Arc<parking_lot::Mutex<Stamps>>,
    kernel: Kernel,
}

impl Packer {
    /// Nothing runs before there is something to pack; see [`Packer::close`].
    pub(crate) fn new(pool: Arc<VolumePool>, store: Arc<dyn MetadataStore>, life: u64) -> Self {
        let stamps = Arc::new(parking_lot::Mutex::new(Stamps::new(life)));
        Self {
            shared: Shared { pool, store, stamps, kernel: Kernel::detect() },
            queues: parking_lot::RwLock::new(Some(HashMap::new())),
            tasks: parking_lot::Mutex::default(),
            waiting: Arc::default(),
        }
    }

    /// Whether requests of clients wait to be packed. What is moved or copied does not count: it would keep itself from work.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Takes no more requests.
    pub(crate) fn close(&self) {
        self.queues.write().take();
    }

    /// Waits until everything queued is committed, after [`Packer::close`].
    pub(crate) async fn ended(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            let _ended = task.await;
        }
    }

    /// The queue of a tier, which its first request starts; `None` if nothing more is taken.
    fn queue(&self, tier: Tier) -> Option<mpsc::Sender<Request>> {
        if let Some(queue) = self.queues.read().as_ref()?.get(&tier) {
            return Some(queue.clone());
        }
        let mut queues = self.queues.write();
        let queue = queues.as_mut()?.entry(tier).or_insert_with(|| {
            let (queue, requests) = mpsc::channel(QUEUE_LENGTH_MAX);
            let task = tokio::spawn(commit_groups(requests, self.shared.clone(), tier));
            self.tasks.lock().push(task);
            queue
        });
        Some(queue.clone())
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
        outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
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
        outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
    }

    /// Makes records durable and then the writes true; one outcome for each write.
    pub(crate) async fn record(&self, records: Vec<Vec<u8>>, recorded: Recorded) -> Result<Vec<Outcome>> {
        let hash = *blake3::hash(&[]).as_bytes();
        let items = records.into_iter().map(|record| Item { bytes: Bytes::new(), hash, record });
        self.send(self.shared.pool.tiers.usual(), items.collect(), (PackWrite::Recorded(recorded), None))
            .await
    }

    /// Queues items that belong together and waits until they and their write are durable.
    async fn send(
        &self,
        tier: Tier,
        items: Vec<Item>,
        (write, room): (PackWrite, Option<EtagRoom>),
    ) -> Result<Vec<Outcome>> {
        let (reply, answer) = oneshot::channel();
        let stopped = EngineError::Unavailable { context: "packing: the store is shutting down" };
        let waiting = (!write.is_upkeep()).then(|| Waiting::of(&self.waiting));
        let request = Request { items, write, room, reply, _waiting: waiting };
        let Some(queue) = self.queue(tier) else { return Err(stopped) };
        if queue.send(request).await.is_err() {
            return Err(stopped);
        }
        drop(queue);
        answer.await.unwrap_or(Err(stopped))
    }
}

async fn commit_groups(mut requests: mpsc::Receiver<Request>, shared: Shared, tier: Tier) {
    let Shared { pool, store, stamps, kernel } = shared;
    let mut line = Line { pool, store, tier, turn: 0, last_flush: None };
    while let Some(first) = requests.recv().await {
        let mut group = collect(first, &mut requests);
        stamp(&mut group, &mut stamps.lock());
        tag(kernel, group.iter_mut().filter_map(Request::untagged).collect());
        metrics::histogram!("granary_pack_group_objects").record(group.len() as f64);
        let requests = group.into_iter().map(|request| (request.items, request.write, request.reply));
        line.store_group(Group::of(requests)).await;
    }
}

fn collect(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let length = |request: &Request| -> usize {
        request.items.iter().map(|item| item.bytes.len() + item.record.len()).sum()
    };
    let (mut bytes, mut writes) = (length(&first), first.write.count());
    let mut group = vec![first];
    while group.len() < GROUP_LENGTH_MAX && bytes < GROUP_BYTES_MAX && writes < GROUP_WRITES_MAX {
        let Ok(request) = requests.try_recv() else { break };
        bytes += length(&request);
        writes += request.write.count();
        group.push(request);
    }
    group
}

/// Stamps what is new, in the order of the commits.
fn stamp(group: &mut [Request], stamps: &mut Stamps) {
    let now = UnixMillis::now().0;
    for request in group.iter_mut().filter(|request| request.write.stamping() == Stamping::Now) {
        let stamp = stamps.next(now);
        request.items.iter_mut().for_each(|item| stamp.write(&mut item.record));
    }
}
