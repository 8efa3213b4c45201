//! What the bodies of one thread have queued, and when a round of hashing is worth while.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use granary_simd::md5::{LANES_MAX, Md5};
use tokio::sync::{Notify, oneshot};

use super::{
    LEFT_ALONE_BYTES_MAX, LEFT_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_PIECES_MAX, READY_BYTES, ROUND_BYTES_MAX,
    URGENT_BYTES,
};

/// Names a body within its thread.
pub(super) type BodyId = u64;

/// One body.
#[derive(Default)]
struct Queued {
    /// Out while the thread hashes.
    md5: Option<Md5>,
    pieces: VecDeque<Bytes>,
    pieces_bytes: usize,
    /// Out with the thread.
    taken_bytes: usize,
    /// Set once the body has ended.
    answer: Option<oneshot::Sender<[u8; 16]>>,
    /// The body waits until it may queue more.
    waiting: bool,
    room: Arc<Notify>,
}

impl Queued {
    fn is_ready(&self) -> bool {
        self.answer.is_some() || self.pieces_bytes >= READY_BYTES
    }

    fn is_urgent(&self) -> bool {
        self.answer.is_some() || self.pieces_bytes >= URGENT_BYTES || self.pieces.len() >= QUEUE_PIECES_MAX
    }

    fn queued_bytes(&self) -> usize {
        self.pieces_bytes + self.taken_bytes
    }
}

/// The bodies of one thread.
#[derive(Default)]
pub(super) struct Queue {
    bodies: BTreeMap<BodyId, Queued>,
    next_id: BodyId,
    /// The first body of the next round, so that all have their turn when there are more than lanes.
    turn: BodyId,
    ready: usize,
    urgent: usize,
}

/// What a round takes of one body.
pub(super) struct Taken {
    pub(super) id: BodyId,
    pub(super) md5: Md5,
    pub(super) pieces: Vec<Bytes>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Adds a body; the notification tells it when it may have room again.
    pub(super) fn open(&mut self) -> (BodyId, Arc<Notify>) {
        let id = self.next_id;
        self.next_id += 1;
        let queued = Queued { md5: Some(Md5::default()), ..Queued::default() };
        let room = Arc::clone(&queued.room);
        self.bodies.insert(id, queued);
        (id, room)
    }

    /// Adds bytes to a body; whether a round is worth while now.
    pub(super) fn push(&mut self, id: BodyId, piece: Bytes) -> bool {
        self.change(id, |queued| {
            queued.pieces_bytes += piece.len();
            queued.pieces.push_back(piece);
        });
        self.is_worth_a_round()
    }

    /// Whether a body may queue more; if not, it is notified when it may. `None` if it is not there.
    pub(super) fn has_room(&mut self, id: BodyId) -> Option<bool> {
        let queued = self.bodies.get_mut(&id)?;
        let full = queued.queued_bytes() > QUEUE_BYTES_MAX || queued.pieces.len() > QUEUE_PIECES_MAX;
        queued.waiting = full;
        Some(!full)
    }

    /// Ends a body: its digest will be sent to `answer`.
    pub(super) fn end(&mut self, id: BodyId, answer: oneshot::Sender<[u8; 16]>) {
        self.change(id, |queued| queued.answer = Some(answer));
    }

    /// Takes a body out if the thread is not at it and little is left to do.
    pub(super) fn take_short(&mut self, id: BodyId) -> Option<(Md5, VecDeque<Bytes>)> {
        let alone = self.bodies.len() == 1;
        let left_bytes_max = if alone { LEFT_ALONE_BYTES_MAX } else { LEFT_BYTES_MAX };
        let queued = self.bodies.get(&id)?;
        if queued.md5.is_none() || queued.pieces_bytes > left_bytes_max {
            return None;
        }
        let queued = self.remove(id)?;
        Some((queued.md5?, queued.pieces))
    }

    /// Forgets a body; whether the others are worth a round now that they need not wait for it.
    pub(super) fn close(&mut self, id: BodyId) -> bool {
        self.remove(id).is_some() && self.is_worth_a_round()
    }

    /// Forgets all bodies and wakes those that wait.
    pub(super) fn clear(&mut self) {
        for queued in std::mem::take(&mut self.bodies).into_values() {
            queued.room.notify_one();
        }
        (self.ready, self.urgent) = (0, 0);
    }

    pub(super) fn is_worth_a_round(&self) -> bool {
        self.urgent > 0 || (self.ready > 0 && self.ready == self.bodies.len())
    }

    /// Takes what the next round hashes: like amounts of up to 16 bodies.
    pub(super) fn take_round(&mut self) -> Vec<Taken> {
        let later = self.bodies.range(self.turn..).chain(self.bodies.range(..self.turn));
        let has_work =
            |queued: &Queued| queued.md5.is_some() && (queued.pieces_bytes > 0 || queued.answer.is_some());
        let ids = later.filter(|(_, queued)| has_work(queued)).map(|(id, _)| *id);
        let ids: Vec<BodyId> = ids.take(LANES_MAX).collect();
        self.turn = ids.last().map_or(0, |last| last + 1);
        let going_on =
            ids.iter().filter_map(|id| self.bodies.get(id)).filter(|queued| queued.answer.is_none());
        let shortest = going_on.map(|queued| queued.pieces_bytes).min().unwrap_or(ROUND_BYTES_MAX);
        let limit = shortest.clamp(READY_BYTES, ROUND_BYTES_MAX);
        ids.into_iter().filter_map(|id| self.take(id, limit)).collect()
    }

    fn take(&mut self, id: BodyId, limit_bytes: usize) -> Option<Taken> {
        self.change(id, |queued| {
            let (mut pieces, mut left) = (Vec::new(), limit_bytes);
            while left > 0
                && let Some(mut piece) = queued.pieces.pop_front()
            {
                if piece.len() > left {
                    queued.pieces.push_front(piece.split_off(left));
                }
                left -= piece.len();
                pieces.push(piece);
            }
            queued.taken_bytes = limit_bytes - left;
            queued.pieces_bytes -= queued.taken_bytes;
            queued.md5.take().map(|md5| Taken { id, md5, pieces })
        })
        .flatten()
    }

    /// Puts a hashed body back. One that has ended gets its answer and is forgotten.
    pub(super) fn put_back(&mut self, id: BodyId, md5: Md5) {
        let ended = self.change(id, |queued| {
            queued.taken_bytes = 0;
            // Not before there is room for several pieces, or the body would be woken for each.
            if queued.waiting && queued.pieces_bytes <= QUEUE_BYTES_MAX / 2 {
                queued.waiting = false;
                queued.room.notify_one();
            }
            if queued.pieces.is_empty() { queued.answer.take() } else { None }
        });
        if let Some(answer) = ended.flatten() {
            self.remove(id);
            // A request that went away meanwhile wants no answer.
            let _ = answer.send(md5.finish());
        } else if let Some(queued) = self.bodies.get_mut(&id) {
            queued.md5 = Some(md5);
        }
    }

    fn remove(&mut self, id: BodyId) -> Option<Queued> {
        let queued = self.bodies.remove(&id)?;
        self.ready -= usize::from(queued.is_ready());
        self.urgent -= usize::from(queued.is_urgent());
        Some(queued)
    }

    /// Changes a body and keeps the counts.
    fn change<T>(&mut self, id: BodyId, change: impl FnOnce(&mut Queued) -> T) -> Option<T> {
        let queued = self.bodies.get_mut(&id)?;
        let before = (queued.is_ready(), queued.is_urgent());
        let result = change(queued);
        let after = (queued.is_ready(), queued.is_urgent());
        self.ready = self.ready + usize::from(after.0) - usize::from(before.0);
        self.urgent = self.urgent + usize::from(after.1) - usize::from(before.1);
        Some(result)
    }
}
