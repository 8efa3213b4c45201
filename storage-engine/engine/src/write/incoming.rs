//! What waits to be packed, and which of it makes the next group.
//!
//! What clients wait for, and the store's own small writes, are in one queue. What moves between tiers comes in lots in
//! another one, and makes groups of its own: these are read back, which is nothing for a client to wait for, and they are longer where
//! the code is wide, so that each disk gets a long piece. The two take turns. A long group is only made if no client
//! has come since the last one, so that nobody waits behind more than a group of the usual length where clients are many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::etags::{EtagRoom, Untagged};
use super::group::Reply;
use super::pack::{Item, PACKED_LENGTH_BYTES_MAX};
use super::pack_write::PackWrite;
use super::pooling::BEHIND_MAX;

const QUEUE_LENGTH_MAX: usize = 4096;
/// Lots that wait beside the one that is packed: who moves reads the next one meanwhile.
const LOTS_QUEUED_MAX: usize = 2;
const GROUP_LENGTH_MAX: usize = 1024;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Writes of a group: what one transaction of the metadata takes in at most.
pub(crate) const GROUP_WRITES_MAX: usize = 2048;
/// What each data column gets of a long group.
const COLUMN_BYTES: usize = 2 * 1024 * 1024;

/// How many bytes of what moves between tiers are packed together, in a code of so many data columns.
pub(crate) fn lot_bytes(data_columns: u8) -> usize {
    GROUP_BYTES_MAX.max(COLUMN_BYTES * usize::from(data_columns))
}

/// Items that belong together, and what is to be true with them.
pub(super) struct Request {
    pub(super) items: Vec<Item>,
    pub(super) write: PackWrite,
    /// Of the object whose body is still to be hashed.
    pub(super) room: Option<EtagRoom>,
    pub(super) reply: Reply,
    /// Of what clients wait for.
    pub(super) _waiting: Option<Waiting>,
}

impl Request {
    /// What is to be hashed of it.
    pub(super) fn untagged(&mut self) -> Option<Untagged<'_>> {
        let PackWrite::Put(put, _) = &mut self.write else { return None };
        let Item { bytes, record, .. } = self.items.last_mut()?;
        Some(Untagged { bytes, record, etag: &mut put.object.etag, room: self.room.take()? })
    }

    /// Whether another node may pack it: a plain put.
    pub(super) fn may_be_handed_over(&self) -> bool {
        let is_small = |item: &Item| (1..=PACKED_LENGTH_BYTES_MAX).contains(&item.bytes.len());
        let is_plain = matches!(&self.write, PackWrite::Put(_, behind) if behind.len() <= BEHIND_MAX);
        is_plain && self.items.len() == 1 && self.items.iter().all(is_small)
    }

    pub(super) fn length(&self) -> usize {
        self.items.iter().map(|item| item.bytes.len() + item.record.len()).sum()
    }
}

/// Counts a request while it is queued.
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(super) fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The entrance to the queues of a tier.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) lots: mpsc::Sender<Vec<Request>>,
}

/// The queues of a tier.
pub(super) struct Incoming {
    requests: mpsc::Receiver<Request>,
    lots: mpsc::Receiver<Vec<Request>>,
    /// What is left of the lot that groups are made of.
    lot: VecDeque<Request>,
    /// The last group was one of clients.
    after_clients: bool,
}

impl Incoming {
    pub(super) fn new() -> (Entrance, Self) {
        let (requests, of_requests) = mpsc::channel(QUEUE_LENGTH_MAX);
        let (lots, of_lots) = mpsc::channel(LOTS_QUEUED_MAX);
        let (lot, after_clients) = (VecDeque::new(), false);
        (Entrance { requests, lots }, Self { requests: of_requests, lots: of_lots, lot, after_clients })
    }

    /// The next group, for a code of so many data columns; `None` when nothing more comes.
    pub(super) async fn group(&mut self, data_columns: u8) -> Option<Vec<Request>> {
        loop {
            if self.lot.is_empty() {
                self.lot = self.lots.try_recv().unwrap_or_default().into();
            }
            let is_turn_of_lot = self.after_clients && !self.lot.is_empty();
            if !is_turn_of_lot && let Ok(first) = self.requests.try_recv() {
                return Some(self.group_of_clients(first));
            }
            if !self.lot.is_empty() {
                return Some(self.group_of_lot(data_columns));
            }
            tokio::select! {
                biased;
                Some(first) = self.requests.recv() => return Some(self.group_of_clients(first)),
                Some(lot) = self.lots.recv() => self.lot = lot.into(),
                else => return None,
            }
        }
    }

    fn group_of_clients(&mut self, first: Request) -> Vec<Request> {
        self.after_clients = true;
        let (mut bytes, mut writes) = (first.length(), first.write.count());
        let mut group = vec![first];
        while group.len() < GROUP_LENGTH_MAX && bytes < GROUP_BYTES_MAX && writes < GROUP_WRITES_MAX {
            let Ok(request) = self.requests.try_recv() else { break };
            bytes += request.length();
            writes += request.write.count();
            group.push(request);
        }
        group
    }

    /// As much of the lot as a group takes, or an equal share of it if it makes several: a short group would be short pieces.
    fn group_of_lot(&mut self, data_columns: u8) -> Vec<Request> {
        let all_bytes: usize = self.lot.iter().map(Request::length).sum();
        let all_writes: usize = self.lot.iter().map(|request| request.write.count()).sum();
        let long_bytes = lot_bytes(data_columns);
        let (by_bytes, by_writes) = match std::mem::take(&mut self.after_clients) {
            true => (all_bytes.div_ceil(GROUP_BYTES_MAX), all_writes.div_ceil(GROUP_LENGTH_MAX)),
            // Records come on top of what a lot is measured by: what is hardly more than a group is one.
            false => ((all_bytes + long_bytes / 2) / long_bytes, all_writes.div_ceil(GROUP_WRITES_MAX)),
        };
        let groups = by_bytes.max(by_writes).max(1);
        let (share_bytes, share_writes) = (all_bytes.div_ceil(groups), all_writes.div_ceil(groups));
        let (mut group, mut bytes, mut writes) = (Vec::new(), 0, 0);
        while group.is_empty() || (bytes < share_bytes && writes < share_writes) {
            let Some(request) = self.lot.pop_front() else { break };
            bytes += request.length();
            writes += request.write.count();
            group.push(request);
        }
        group
    }
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
