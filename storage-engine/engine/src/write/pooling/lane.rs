//! The way of small objects to the head of the pool.
//!
//! One task takes whatever has queued and has it handed over; while as many hand-overs are under way as may be, the next one
//! forms. What comes back unpacked goes to the queues of this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use granary_cluster::rpc::HandOverError;
use granary_types::{NodeId, UnixMillis};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::codec::{self, Answer, OBJECTS_MAX};
use super::{Handing, Loads, Pool, UNDER_WAY_MAX};
use crate::write::group::NotStored;
use crate::write::incoming::Request;
use crate::write::packer::Queues;

/// A hand-over takes no more once it has so many bytes; the last request comes on top.
const HAND_OVER_BYTES: usize = 1024 * 1024;
/// A head whose answers are waited for longer than this before another hand-over may begin is late: what waits is packed here.
const TURN_MAX: Duration = Duration::from_millis(500);
/// How long a node that stops waits for what it handed over.
const END_MAX: Duration = Duration::from_secs(5);
/// How long nothing is handed over after a head was late, refused or silent, or where this node is the head.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a node is not asked that does not understand.
const STRANGER_PAUSE: Duration = Duration::from_mins(1);

/// What the task of the lane shares with the hand-overs that are under way.
pub(super) struct Lane {
    pool: Arc<dyn Pool>,
    queues: Arc<Queues>,
    loads: Arc<Loads>,
    under_way: Arc<Semaphore>,
    /// Nodes that are not asked before.
    strangers: Mutex<HashMap<NodeId, Instant>>,
}

impl Lane {
    pub(super) fn new(pool: Arc<dyn Pool>, queues: Arc<Queues>, loads: Arc<Loads>) -> Self {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX as usize));
        Self { pool, queues, loads, under_way, strangers: Mutex::default() }
    }

    /// Ends when the entrance is closed and all that came is answered, or will not be soon.
    pub(super) async fn run(self: Arc<Self>, mut handings: mpsc::Receiver<Handing>) {
        while let Some(first) = handings.recv().await {
            let turn = timeout(TURN_MAX, Arc::clone(&self.under_way).acquire_owned()).await;
            // Clients that were answered together come back together: whoever is about to queue does so first.
            tokio::task::yield_now().await;
            let batch = batch(first, &mut handings);
            match turn {
                Ok(Ok(turn)) => {
                    let lane = Arc::clone(&self);
                    tokio::spawn(async move {
                        lane.hand_over(batch).await;
                        drop(turn);
                    });
                }
                Ok(Err(_)) | Err(_) => {
                    self.loads.fail(PAUSE);
                    self.pack_here(batch).await;
                }
            }
        }
        let _ended = timeout(END_MAX, self.under_way.acquire_many(UNDER_WAY_MAX)).await;
    }

    async fn hand_over(&self, batch: Vec<Handing>) {
        let Some((id, head)) = self.pool.head().filter(|(id, _)| !self.is_stranger(*id)) else {
            self.loads.fail(PAUSE);
            return self.pack_here(batch).await;
        };
        let requests = batch.iter().map(|handing| &handing.request);
        let stamp_us = self.queues.shared.stamps.lock().reached_us(UnixMillis::now().0);
        let handed = match codec::lot(requests, self.loads.own(), stamp_us) {
            Ok(pieces) => head.hand_over(pieces).await,
            Err(error) => Err(HandOverError::NotTaken(error.to_string())),
        };
        let unreadable = || HandOverError::Unknown("the answer cannot be read".to_owned());
        let answer = handed.and_then(|bytes| Answer::decode(&bytes, batch.len()).ok_or_else(unreadable));
        match answer {
            Ok(answer) => self.settle(batch, answer).await,
            Err(error) => self.bear(batch, (id, error)).await,
        }
    }

    /// Packs here what was not taken. What may have been taken is not tried again.
    async fn bear(&self, batch: Vec<Handing>, (id, error): (NodeId, HandOverError)) {
        self.loads.fail(PAUSE);
        let objects = batch.len() as u64;
        match &error {
            HandOverError::NotTaken(_) => {
                tracing::debug!(node = %id, %error, objects, "small objects are packed here");
            }
            HandOverError::NotUnderstood(_) => {
                tracing::info!(node = %id, %error, objects, "small objects are packed here for a while");
                let now = Instant::now();
                let mut strangers = self.strangers.lock();
                strangers.retain(|_, until| now < *until);
                strangers.insert(id, now + STRANGER_PAUSE);
            }
            HandOverError::Unknown(_) => {
                tracing::warn!(node = %id, %error, objects, "small objects were handed to another node, and nobody knows what became of them");
                count("unknown", objects);
                for handing in batch {
                    handing.answer(Err(NotStored::Unknown));
                }
                return;
            }
        }
        self.pack_here(batch).await;
    }

    fn is_stranger(&self, id: NodeId) -> bool {
        self.strangers.lock().get(&id).is_some_and(|until| Instant::now() < *until)
    }

    /// Tells each request what became of it. What the head could not write, for drives that fail or are full, is tried here: it may be
    /// the head that is cut off from others.
    async fn settle(&self, batch: Vec<Handing>, answer: Answer) {
        let Answer { stamp_us, others, results } = answer;
        // Before a client hears of it, and writes again.
        self.queues.shared.stamps.lock().raise(stamp_us, UnixMillis::now().0);
        let waits = results.iter().flatten().map(codec::Stored::waits);
        let took = waits.map(|waits| waits.flush + waits.metadata).max();
        self.loads.learn(others, took.unwrap_or_default());
        let (mut handed, mut unknown, mut back) = (0, 0, Vec::new());
        for (handing, result) in batch.into_iter().zip(results) {
            match result {
                Err(NotStored::Drives | NotStored::NoSpace) => back.push(handing),
                Err(NotStored::Unknown) => {
                    unknown += 1;
                    handing.answer(result);
                }
                Ok(_) => {
                    handed += 1;
                    handing.answer(result);
                }
            }
        }
        count("handed_over", handed);
        count("unknown", unknown);
        if unknown > 0 || !back.is_empty() {
            self.loads.fail(PAUSE);
        }
        self.pack_here(back).await;
    }

    async fn pack_here(&self, batch: Vec<Handing>) {
        count("returned", batch.len() as u64);
        for Handing { tier, request } in batch {
            // One that is not taken is dropped, and its reply with it.
            self.queues.send(tier, request).await;
        }
    }
}

impl Handing {
    fn answer(self, stored: Result<codec::Stored, NotStored>) {
        let Request { room, reply, .. } = self.request;
        let outcome = stored.and_then(|stored| {
            let waits = stored.waits();
            match (room, stored.etag) {
                (None, _) => {}
                (Some(room), Some(etag)) => room.tell(etag),
                // Its client cannot be told what it stored.
                (Some(_), None) => return Err(NotStored::Unknown),
            }
            Ok((vec![stored.fate.into()], waits))
        });
        let _gone = reply.send(outcome);
    }
}

/// A request and those that wait behind it, as far as one hand-over takes them.
fn batch(first: Handing, handings: &mut mpsc::Receiver<Handing>) -> Vec<Handing> {
    let mut bytes = first.request.length();
    let mut batch = vec![first];
    while batch.len() < OBJECTS_MAX && bytes < HAND_OVER_BYTES {
        let Ok(handing) = handings.try_recv() else { break };
        bytes += handing.request.length();
        batch.push(handing);
    }
    batch
}

fn count(outcome: &'static str, objects: u64) {
    if objects > 0 {
        metrics::counter!("granary_pool_objects_total", "outcome" => outcome).increment(objects);
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
